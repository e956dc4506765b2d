// That the tests would notice: each of these pages does what no page may, and the test has to say so.

import { expect, policy, test } from "./site.js";

const page_ = (body, sources = {}) => ({
  policy: policy(sources),
  body: `<!doctype html><title>page</title>${body}`,
});

test("a breach of the policy is trouble", async ({ page, site, trouble }) => {
  trouble.expect(/^policy: script-src-elem stops inline/);
  trouble.expect(/^policy: .*inline script/);
  site.add("/", page_("<script>document.title = 'ran'</script>"));
  await page.goto(`${site.base}/`);
  await expect(page).toHaveTitle("page");
});

test("a breach in a frame is trouble", async ({ page, site, trouble }) => {
  trouble.expect(/^policy: frame-src stops http/);
  trouble.expect(/^policy: .*frame-src/);
  site.add("/", page_('<iframe src="/inner"></iframe>', { "frame-src": ["'self'"] }));
  site.add("/inner", page_('<iframe src="http://127.0.0.1:9/"></iframe>'));
  await page.goto(`${site.base}/`);
});

test("a word to a stranger is trouble", async ({ page, site, trouble }) => {
  trouble.expect(/^stranger: cdn.example is asked$/);
  site.add("/", page_('<img src="http://cdn.example/pixel.png">', { "img-src": ["http://cdn.example"] }));
  await page.goto(`${site.base}/`);
});

test("an error that nobody catches is trouble", async ({ page, site, trouble }) => {
  trouble.expect(/^error: lost$/);
  trouble.expect(/^error: given up$/);
  site.add("/page.js", {
    type: "text/javascript",
    body: "Promise.reject(new Error('given up')); setTimeout(() => { document.title = 'late'; throw new Error('lost'); });",
  });
  site.add("/", page_('<script src="/page.js"></script>'));
  await page.goto(`${site.base}/`);
  await expect(page).toHaveTitle("late");
});

test("a second page is watched as well", async ({ context, site, trouble }) => {
  trouble.expect(/^policy: script-src-elem stops inline/);
  trouble.expect(/^policy: .*inline script/);
  site.add("/", page_("<script>document.title = 'ran'</script>"));
  const other = await context.newPage();
  await other.goto(`${site.base}/`);
});

test("trouble that is expected and does not come fails a test", async ({ page, site, trouble }) => {
  test.fail();
  trouble.expect(/^policy: /);
  site.add("/", page_(""));
  await page.goto(`${site.base}/`);
});

test("trouble that is not expected fails a test", async ({ page, site }) => {
  test.fail();
  site.add("/", page_("<script>document.title = 'ran'</script>"));
  await page.goto(`${site.base}/`);
});
