// Tests of the fixture `violations`: each page here causes a violation, which the fixture must report.

import { expect, policy, test } from "./site.js";

const bare = (body, sources = {}) => ({
  policy: policy(sources),
  body: `<!doctype html><title>page</title>${body}`,
});

test("a violation of the policy is reported", async ({ page, site, violations }) => {
  violations.expect(/^policy: script-src-elem stops inline/);
  violations.expect(/^policy: .*inline script/);
  site.add("/", bare("<script>document.title = 'ran'</script>"));
  await page.goto(`${site.base}/`);
  await expect(page).toHaveTitle("page");
});

test("a violation of the policy in a frame is reported", async ({ page, site, violations }) => {
  violations.expect(/^policy: frame-src stops http/);
  violations.expect(/^policy: .*frame-src/);
  site.add("/", bare('<iframe src="/inner"></iframe>', { "frame-src": ["'self'"] }));
  site.add("/inner", bare('<iframe src="http://127.0.0.1:9/"></iframe>'));
  await page.goto(`${site.base}/`);
});

test("a request to an unknown host is reported", async ({ page, site, violations }) => {
  violations.expect(/^unknown host: cdn.example$/);
  site.add("/", bare('<img src="http://cdn.example/pixel.png">', { "img-src": ["http://cdn.example"] }));
  await page.goto(`${site.base}/`);
});

test("a web socket to an unknown host is reported", async ({ page, site, violations }) => {
  violations.expect(/^unknown host: live.example$/);
  site.add("/page.js", { type: "text/javascript", body: 'new WebSocket("ws://live.example/")' });
  site.add("/", bare('<script src="/page.js"></script>', { "connect-src": ["ws://live.example"] }));
  await page.goto(`${site.base}/`);
  await expect.poll(() => violations.seen).toHaveLength(1);
});

test("an uncaught error is reported", async ({ page, site, violations }) => {
  violations.expect(/^error: lost$/);
  violations.expect(/^error: given up$/);
  site.add("/page.js", {
    type: "text/javascript",
    body: "Promise.reject(new Error('given up')); setTimeout(() => { document.title = 'late'; throw new Error('lost'); });",
  });
  site.add("/", bare('<script src="/page.js"></script>'));
  await page.goto(`${site.base}/`);
  await expect(page).toHaveTitle("late");
});

test("violations of a second page are reported", async ({ context, site, violations }) => {
  violations.expect(/^policy: script-src-elem stops inline/);
  violations.expect(/^policy: .*inline script/);
  site.add("/", bare("<script>document.title = 'ran'</script>"));
  const other = await context.newPage();
  await other.goto(`${site.base}/`);
});

test("an expected violation that does not happen fails a test", async ({ page, site, violations }) => {
  test.fail();
  violations.expect(/^policy: /);
  site.add("/", bare(""));
  await page.goto(`${site.base}/`);
});

test("an unexpected violation fails a test", async ({ page, site }) => {
  test.fail();
  site.add("/", bare("<script>document.title = 'ran'</script>"));
  await page.goto(`${site.base}/`);
});
