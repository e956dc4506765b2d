// What the page script does with a hostile options endpoint, hostile data and other origins.

import { createServer } from "node:http";
import { account, expect, routes, solve, test } from "./app.js";

const FORM = `<form id="form" method="post" action="/signup"><label>E-mail <input name="email" value="a@example.com"></label>
  <div data-human-check="signup"></div><button>Send</button></form>`;

const WIDGET = { api: "render", global: "turnstile", element: "div", attributes: { "class": "x", "data-sitekey": "k" } };
const option = (widget, more) => ({ account: "main", provider: "turnstile", field: "t", header: "x-captcha-token",
  sitekey: "k", action: null, offer: "o", why: "primary", widget: { ...WIDGET, ...widget }, ...more });

/** Opens the form with an options endpoint that responds with one option. */
async function hostile(page, site, given) {
  await page.addInitScript(() => { window.ran = []; window.bad = (what) => window.ran.push(what); });
  await page.route(/human-check\/options/, (route) => route.fulfill({ json: { captcha: { required: true, options: [given], ...given.captcha } } }));
  await site.page("/page", FORM, { policy: (text) => text.replace("default-src 'self'", "default-src * 'unsafe-inline' blob: data:").replace(/script-src [^;]*;/, "script-src * 'unsafe-inline' blob: data:;").replace(/frame-src [^;]*;?/, "") });
  await page.goto(`${site.base}/page`);
}

const EVIL = "http://127.0.0.1:9";
const ADDRESSES = [
  `${EVIL}/evil.js`, "//127.0.0.1:9/evil.js", "javascript:bad(1)", "data:text/javascript,bad(2)", "blob:http://127.0.0.1/1",
  "https://challenges.cloudflare.com.evil.example/turnstile/v0/api.js", "https://challenges.cloudflare.com@evil.example/turnstile/x",
  "https://js.hcaptcha.com/1/api.js?assethost=https://evil.example", "https://js.hcaptcha.com/1/api.js?render=explicit&endpoint=https://evil.example",
  "https://www.google.com/complete/search?client=chrome&jsonp=bad", "https://www.google.com/recaptcha/../complete/search?jsonp=bad",
  "https://www.google.com/recaptcha/api.js?onload=bad", "https://cdn.captchafox.com.evil.example/api.js", "ftp://challenges.cloudflare.com/turnstile/x",
];

for (const [api, name] of [["render", "script"], ["execute", "script"], ["element", "script"], ["captchala", "script"], ["frame", "script"], ["element", "stylesheet"]]) {
  test(`a ${name} of another origin is not loaded (${api})`, async ({ page, app, emulator }) => {
    const site = await app(account(emulator, "main", "turnstile") + routes('use = "main"'));
    for (const address of ADDRESSES) {
      await page.unrouteAll();
      const requests = [];
      page.on("request", (request) => requests.push(request.url()));
      await hostile(page, site, option({ api, script: "/node_modules/none.js", [name]: address }));
      await expect(page.getByRole("status"), address).toContainText("could not be loaded");
      const elsewhere = requests.filter((url) => /^https?:/.test(url) && !url.startsWith(site.base));
      expect(elsewhere, address).toEqual([]);
      expect(await page.evaluate(() => window.ran), address).toEqual([]);
      expect(await page.locator("[src^='javascript'], [src^='data'], [src^='blob']").count()).toBe(0);
    }
  });
}

test("attributes, functions and texts of the endpoint run nothing", async ({ page, app, emulator, violations }) => {
  const site = await app(account(emulator, "main", "turnstile") + routes('use = "main"'));
  const markup = `"><img src=x onerror=bad(1)>`;
  const attributes = {
    "class": markup, "data-sitekey": markup, "onclick": "bad(2)", "onfocus": "bad(3)", "style": "background:red", "data-callback": "bad",
    "data-error-callback": "bad", "data-expired-callback": "bad", "src": "javascript:bad(4)", "srcdoc": "<script>bad(5)</script>", "is": "evil",
    "__proto__": "x", "constructor": "x", "formaction": "javascript:bad(6)",
  };
  for (const given of [
    option({ script: `${emulator.base}/turnstile/v0/api.js`, attributes }, { captcha: { texts: { solve: markup, failed: markup, title: markup } } }),
    option({ script: `${emulator.base}/turnstile/v0/api.js`, global: "bad" }),
    option({ script: `${emulator.base}/turnstile/v0/api.js`, global: "document.__proto__.constructor" }),
    option({ api: "element", element: "script", script: "/node_modules/none.js", attributes: { "class": "a" } }),
    option({ api: "element", element: "iframe srcdoc=x", script: "/node_modules/none.js", attributes: { "class": "a" } }),
    option({ api: "constructor", script: `${emulator.base}/turnstile/v0/api.js` }),
    option({ api: "__proto__", script: `${emulator.base}/turnstile/v0/api.js` }),
    option({}, { field: "email", offer: markup, header: "Host" }),
    option({}, { widget: null }), option({}, { widget: "x" }), option({ attributes: null }),
  ]) {
    await page.unrouteAll();
    await page.clock.install();
    await hostile(page, site, given);
    await page.clock.runFor(12_000);
    await expect(page.getByRole("status")).not.toBeEmpty();
    expect(await page.evaluate(() => window.ran), JSON.stringify(given)).toEqual([]);
    expect(await page.locator("#form img, #form script, #form [onclick], #form [style]:not(iframe)").count()).toBe(0);
    expect(await page.evaluate(() => ({}).x)).toBeUndefined();
    expect(await page.evaluate(() => document.querySelector("[name=email]").value)).toBe("a@example.com");
  }
  expect(violations.seen.filter((text) => !/emulated|policy/.test(text))).toEqual([]);
});

/** Starts another origin, which records the requests that it gets. */
async function elsewhere(handle = (_, reply) => reply.end()) {
  const seen = [];
  const server = createServer((request, reply) => {
    seen.push({ url: request.url, method: request.method, headers: request.headers });
    reply.setHeader("access-control-allow-origin", "*");
    reply.setHeader("access-control-allow-headers", "*");
    handle(request, reply);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { base: `http://127.0.0.1:${server.address().port}`, seen, stop: () => { server.closeAllConnections(); server.close(); } };
}

test("no token leaves the origin, by a request, a redirect, a refusal, an event, the console or the URL", async ({ page, app, emulator }) => {
  const site = await app(account(emulator, "main", "turnstile") + routes('use = "main"'));
  const other = await elsewhere((request, reply) => {
    reply.writeHead(403, { "content-type": "application/problem+json" });
    reply.end(JSON.stringify({ type: "https://x/refusal-responses.md#challenge-required", captcha: { required: true, route: "signup", options: [option({})] } }));
  });
  try {
    await site.page("/page", FORM, { policy: (text) => text.replace("default-src 'self'", "default-src 'self'; connect-src *").replace(/connect-src 'self'[^;]*/, "connect-src *") });
    const lines = [];
    page.on("console", (message) => lines.push(message.text()));
    await page.addInitScript(() => {
      window.seen = "";
      addEventListener("human-check", (event) => { window.seen += JSON.stringify(event.detail); });
    });
    await page.goto(`${site.base}/page`);
    await solve(page, "turnstile", page.locator("#form"));
    await expect(page.locator("input.human-check").first()).not.toHaveValue("");
    const secrets = await page.evaluate(() => [...document.querySelectorAll("#form input[type=hidden]")].map(({ value }) => value));
    const tried = await page.evaluate(async (base) => {
      const results = [];
      for (const url of [base, new URL("/redirect", location.href).href]) {
        results.push(await humanCheck.fetch(url, { method: "POST", humanCheck: "signup" }).then((response) => response.status, (error) => error.code ?? error.name));
      }
      return results;
    }, other.base);
    expect(tried[0]).toBe("origin");
    await page.route(/\/redirect$/, (route) => route.fulfill({ status: 307, headers: { location: other.base } }));
    await page.evaluate((url) => humanCheck.fetch(url, { method: "POST", humanCheck: "signup" }).catch(() => {}), "/redirect");
    for (const text of secrets) {
      expect(JSON.stringify(other.seen)).not.toContain(text);
      expect(lines.join("\n")).not.toContain(text);
      expect(page.url()).not.toContain(text);
      expect(await page.evaluate(() => window.seen)).not.toContain(text);
    }
  } finally {
    other.stop();
  }
});

test("a body that cannot be sent again is an error of its own", async ({ page, app, emulator }) => {
  const site = await app(account(emulator, "main", "turnstile") + routes('use = "main"'));
  await site.page("/page", FORM);
  await page.goto(`${site.base}/page`);
  const codes = await page.evaluate(async () => {
    const stream = new Blob(["x"]).stream();
    const code = async (...given) => humanCheck.fetch(...given).then(() => "sent", (error) => [error instanceof humanCheck.HumanCheckError, error.code]);
    return [await code("/comments", { method: "POST", body: stream, duplex: "half" }), await code("https://elsewhere.example/", {})];
  });
  expect(codes).toEqual([[true, "stream"], [true, "origin"]]);
});

test("on another origin the script asks and sends across origins, with a CORS policy", async ({ page, app, emulator, violations }) => {
  violations.allow("localhost");
  const configuration = (origin) => account(emulator, "main", "turnstile", { hostnames: ["localhost", "127.0.0.1"] })
    + routes(`use = "main"\norigins = [${JSON.stringify(origin)}]`);
  // The page is on `localhost`, and the application on 127.0.0.1.
  let html;
  const pages = await elsewhere((_, reply) => { reply.setHeader("content-type", "text/html"); reply.end(html); });
  const origin = pages.base.replace("127.0.0.1", "localhost");
  const site = await app(configuration(origin));
  const cors = (headers) => ({ ...headers, "access-control-allow-origin": origin, "access-control-allow-headers": "Content-Type, X-Captcha-Token, X-Captcha-Provider, X-Captcha-Offer", "access-control-expose-headers": "X-Captcha-Required, Retry-After" });
  await page.route(`${site.base}/comments`, async (route) => {
    if (route.request().method() === "OPTIONS") { await route.fulfill({ status: 204, headers: cors({}) }); return; }
    const response = await route.fetch();
    await route.fulfill({ response, headers: cors(response.headers()) });
  });
  html = `<!doctype html><title>page</title>
    <script type="module">import { humanCheck } from "${site.base}/human-check/human-check.js";
    humanCheck.configure({ options: "${site.base}/human-check/options", origins: "${emulator.base}" });
    document.body.innerHTML = "<div data-human-check=comments></div><button>Go</button><output></output>";
    document.querySelector("button").onclick = async () => {
      const response = await humanCheck.fetch("${site.base}/comments", { method: "POST", humanCheck: "comments",
        headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text: "hello" }) });
      document.querySelector("output").textContent = await response.text();
    };</script><body></body>`;
  await page.route(`${site.base}/human-check/human-check.js`, async (route) => route.fulfill({ response: await route.fetch(), headers: { "content-type": "text/javascript", "access-control-allow-origin": "*" } }));
  await page.goto(`${origin}/`);
  await solve(page, "turnstile", page.locator("[data-human-check]"));
  await page.getByRole("button", { name: "Go" }).click();
  await expect(page.locator("output")).toContainText("hello");
  pages.stop();
});
