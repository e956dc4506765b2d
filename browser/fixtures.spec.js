// That the tests would notice: each of these pages does what no page may, and the test has to say so.

import { expect, policy, test } from "./site.js";

const bare = (body, sources = {}) => ({
  policy: policy(sources),
  body: `<!doctype html><title>page</title>${body}`,
});

test("a breach of the policy is trouble", async ({ page, site, trouble }) => {
  trouble.expect(/^policy: script-src-elem stops inline/);
  trouble.expect(/^policy: .*inline script/);
  site.add("/", bare("<script>document.title = 'ran'</script>"));
  await page.goto(`${site.base}/`);
  await expect(page).toHaveTitle("page");
});

test("a breach in a frame is trouble", async ({ page, site, trouble }) => {
  trouble.expect(/^policy: frame-src stops http/);
  trouble.expect(/^policy: .*frame-src/);
  site.add("/", bare('<iframe src="/inner"></iframe>', { "frame-src": ["'self'"] }));
  site.add("/inner", bare('<iframe src="http://127.0.0.1:9/"></iframe>'));
  await page.goto(`${site.base}/`);
});

test("a word to a stranger is trouble", async ({ page, site, trouble }) => {
  trouble.expect(/^stranger: cdn.example is asked$/);
  site.add("/", bare('<img src="http://cdn.example/pixel.png">', { "img-src": ["http://cdn.example"] }));
  await page.goto(`${site.base}/`);
});

test("a socket to a stranger is trouble", async ({ page, site, trouble }) => {
  trouble.expect(/^stranger: live.example is asked$/);
  site.add("/page.js", { type: "text/javascript", body: 'new WebSocket("ws://live.example/")' });
  site.add("/", bare('<script src="/page.js"></script>', { "connect-src": ["ws://live.example"] }));
  await page.goto(`${site.base}/`);
  await expect.poll(() => trouble.seen).toHaveLength(1);
});

test("an error that nobody catches is trouble", async ({ page, site, trouble }) => {
  trouble.expect(/^error: lost$/);
  trouble.expect(/^error: given up$/);
  site.add("/page.js", {
    type: "text/javascript",
    body: "Promise.reject(new Error('given up')); setTimeout(() => { document.title = 'late'; throw new Error('lost'); });",
  });
  site.add("/", bare('<script src="/page.js"></script>'));
  await page.goto(`${site.base}/`);
  await expect(page).toHaveTitle("late");
});

test("a second page is watched as well", async ({ context, site, trouble }) => {
  trouble.expect(/^policy: script-src-elem stops inline/);
  trouble.expect(/^policy: .*inline script/);
  site.add("/", bare("<script>document.title = 'ran'</script>"));
  const other = await context.newPage();
  await other.goto(`${site.base}/`);
});

test("trouble that is expected and does not come fails a test", async ({ page, site, trouble }) => {
  test.fail();
  trouble.expect(/^policy: /);
  site.add("/", bare(""));
  await page.goto(`${site.base}/`);
});

test("trouble that is not expected fails a test", async ({ page, site }) => {
  test.fail();
  site.add("/", bare("<script>document.title = 'ran'</script>"));
  await page.goto(`${site.base}/`);
});
