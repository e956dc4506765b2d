// Forms and requests that wait: whatever happens meanwhile, none of them waits for ever, and each is sent
// once. Fields and data with unusual names change nothing.

import { account, expect, routes, solve, test } from "./app.js";

const form = (inside = "", attributes = 'method="post" action="/signup"') => `<form id="form" ${attributes}>
  <label>E-mail <input name="email" value="a@example.com"></label>${inside}<div data-human-check="signup"></div><button>Send</button></form>`;
const place = (page) => page.locator("[data-human-check]").first();
const status = (page) => page.getByRole("status").first();
const SOLVE = "Please complete the verification.";

/** Opens a page of an application with Turnstile. */
async function open({ page, app, emulator }, body, options) {
  const site = await app(account(emulator, "main", "turnstile") + routes('use = "main"'));
  await site.page("/page", body, options);
  await page.goto(`${site.base}/page`);
  return site;
}

const count = (site, path = "/signup") => site.posts.filter((at) => at === path).length;
const settled = (page, name) => page.evaluate((key) => Promise.race([
  window[key].then((response) => response.status, (error) => error.code ?? error.name),
  new Promise((resolve) => setTimeout(resolve, 5000, "pending"))]), name);

test("fields may have the names of methods", async ({ page, app, emulator }) => {
  const names = ["prepend", "append", "children", "elements", "submit", "requestSubmit", "action", "method", "dataset", "closest",
    "name", "id", "insertBefore", "before"];
  const fields = names.map((name) => `<input type="hidden" name="${name}" value="x">`).join("");
  const site = await open({ page, app, emulator }, form(fields).replace('<div data-human-check="signup"></div>', "").replace("<form", '<form data-human-check="signup"'));
  await expect(status(page)).toHaveText(SOLVE);
  await solve(page, "turnstile", page.locator("#form"));
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.locator("body")).toContainText("a@example.com");
  expect(count(site)).toBe(1);
});

test("an error of the provider is told, and the visitor can try again", async ({ page, app, emulator }) => {
  await page.addInitScript(() => {
    let api;
    Object.defineProperty(window, "turnstile", { configurable: true, get: () => api, set: (given) => {
      api = { ...given, render: (element, options) => { window.options = options; return given.render(element, options); } };
    } });
  });
  const site = await open({ page, app, emulator }, form());
  await expect(status(page)).toHaveText(SOLVE);
  await page.evaluate(() => window.options["error-callback"]("110200"));
  await expect(status(page)).toContainText("could not be loaded");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(status(page)).toHaveText(SOLVE);
  await solve(page, "turnstile", place(page));
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.locator("body")).toContainText("a@example.com");
  expect(count(site)).toBe(1);
});

const CALL = (more = "") => `window.call = (path = "/comments", given = {}) => humanCheck.fetch(path, { method: "POST",
  headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text: "hello" }), ...given });${more}`;

test("a request ends when its challenge goes away", async ({ page, app, emulator, context }) => {
  await open({ page, app, emulator }, `<div id="host"></div>`, { scripts: CALL() });
  const dialog = page.getByRole("dialog");
  // The dialog is left while the script loads.
  let go;
  const late = new Promise((resolve) => { go = resolve; });
  await context.route(/turnstile\/v0\/api\.js/, async (route) => { await late; await route.continue(); });
  await page.evaluate(() => { window.first = window.call(); });
  await expect(dialog).toBeVisible();
  await page.keyboard.press("Escape");
  expect(await settled(page, "first")).toBe(403);
  go();
  await context.unrouteAll({ behavior: "wait" });
  // The dialog is removed with the body.
  await page.evaluate(() => { window.second = window.call(); });
  await expect(dialog.getByRole("checkbox").or(dialog.locator("iframe"))).toBeVisible();
  await page.evaluate(() => { document.body.innerHTML = '<div id="host"></div>'; });
  expect(await settled(page, "second")).toBe(403);
  // The place is removed, or the request is aborted.
  const insert = () => page.evaluate(() => { document.getElementById("host").innerHTML = '<div data-human-check="comments"></div>'; });
  for (const end of [
    () => { document.getElementById("host").replaceChildren(); },
    () => window.stop.abort(),
  ]) {
    await insert();
    await expect(status(page)).toHaveText(SOLVE);
    await page.evaluate(() => {
      window.stop = new AbortController();
      window.third = window.call("/comments", { humanCheck: "comments", signal: window.stop.signal });
      window.third.catch(() => {});
    });
    await expect(page.getByRole("group", { name: "Verification" })).toBeFocused();
    await page.evaluate(end);
    expect(await settled(page, "third")).not.toBe("pending");
  }
  // None of them made the next one busy.
  await insert();
  await page.evaluate(() => { window.last = window.call("/comments", { humanCheck: "comments" }); });
  await solve(page, "turnstile", page.locator("#host"));
  expect(await settled(page, "last")).toBe(200);
});

test("two requests at once use a place one after the other", async ({ page, app, emulator }) => {
  await open({ page, app, emulator }, `<div id="host"><div data-human-check="comments"></div></div>`, { scripts: CALL() });
  await solve(page, "turnstile", page.locator("#host"));
  await expect(status(page)).toHaveText("The verification is complete.");
  await page.evaluate(() => {
    window.first = window.call("/comments?1", { humanCheck: "comments" });
    window.second = window.call("/comments?2", { humanCheck: "comments" });
  });
  // A browser may start either one first.
  await page.evaluate(() => { window.either = Promise.race([window.first, window.second]); });
  expect(await settled(page, "either")).toBe(200);
  await solve(page, "turnstile", page.locator("#host"));
  expect(await settled(page, "first")).toBe(200);
  expect(await settled(page, "second")).toBe(200);
});

test("a form that is sent elsewhere, or in an address, has no token", async ({ page, app, emulator, violations }) => {
  violations.allow("elsewhere.example");
  const buttons = `<button id="other" formaction="https://elsewhere.example/x">Other</button>
    <button id="get" formmethod="get" formaction="/search">Search</button>`;
  const seen = [];
  await page.route(/elsewhere\.example|\/search/, (route) => {
    seen.push(`${route.request().url()} ${route.request().postData()}`);
    return route.fulfill({ body: "seen" });
  });
  await open({ page, app, emulator }, form(buttons), { policy: (text) => text });
  for (const button of ["#other", "#get"]) {
    await page.goto(new URL("/page", page.url().startsWith("http://127") ? page.url() : seen.base).href);
    seen.base = page.url();
    await solve(page, "turnstile", place(page));
    await expect(status(page)).toHaveText("The verification is complete.");
    const secrets = await page.evaluate(() => [...document.querySelectorAll("#form > input[type=hidden]")].map(({ value }) => value));
    await page.locator(button).click();
    await expect.poll(() => seen.length).toBeGreaterThan(0);
    const sent = decodeURIComponent(seen.splice(0).join(" "));
    expect(sent).toContain("example.com");
    secrets.forEach((text) => expect(sent).not.toContain(text));
  }
});

test("a slow refusal under htmx is followed by one more submit, also after clicks in between", async ({ page, app, emulator }) => {
  const site = await open({ page, app, emulator }, form("", 'hx-post="/signup" hx-target="output"') + "<output></output>", { modules: ["htmx.org/dist/htmx.min.js"] });
  await expect(status(page)).toHaveText(SOLVE);
  let wait = 2500;
  await page.route(/\/signup$/, async (route) => { await new Promise((resolve) => setTimeout(resolve, wait)); await route.continue(); });
  await emulator.knobs({ visitors_are_bots: true });
  await solve(page, "turnstile", place(page));
  await expect(status(page)).toHaveText("The verification is complete.");
  await page.getByRole("button", { name: "Send" }).click();
  await page.waitForTimeout(1300);
  await page.getByRole("button", { name: "Send" }).click();
  await expect(status(page)).toHaveText(SOLVE, { timeout: 10_000 });
  expect(count(site)).toBe(1);
  wait = 0;
  await emulator.knobs({});
  await page.getByRole("button", { name: "Send" }).click();
  await solve(page, "turnstile", place(page));
  await expect(page.locator("output")).toContainText("a@example.com");
  expect(count(site)).toBe(2);
});

test("a click from before the back button sends nothing", async ({ page, app, emulator }) => {
  const site = await open({ page, app, emulator }, form());
  await expect(status(page)).toHaveText(SOLVE);
  await page.getByRole("button", { name: "Send" }).click();
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  await expect(status(page)).toHaveText(SOLVE);
  await solve(page, "turnstile", place(page));
  await expect(status(page)).toHaveText("The verification is complete.");
  await page.waitForTimeout(300);
  expect(count(site)).toBe(0);
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.locator("body")).toContainText("a@example.com");
  expect(count(site)).toBe(1);
});

test("the button that was clicked last is sent, and a button that closes a dialog needs no challenge", async ({ page, app, emulator }) => {
  const buttons = `<button name="name" value="first">First</button><button name="name" value="second">Second</button><button formmethod="dialog">Close</button>`;
  const site = await open({ page, app, emulator }, `<dialog open>${form(buttons)}</dialog>`);
  await expect(status(page)).toHaveText(SOLVE);
  await page.getByRole("button", { name: "First" }).click();
  await page.getByRole("button", { name: "Second" }).click();
  await solve(page, "turnstile", place(page));
  await expect(page.locator("body")).toContainText('"name":"second"');
  expect(count(site)).toBe(1);
  await page.goto(`${site.base}/page`);
  await page.getByRole("button", { name: "Close" }).click();
  await expect(page.getByRole("dialog")).toBeHidden();
});

test("a score that cannot be had lets the server decide", async ({ page, app, emulator }) => {
  const site = await app(account(emulator, "main", "recaptcha-v3") + routes('use = "main"'));
  await site.page("/page", form());
  await page.goto(`${site.base}/page`);
  await expect.poll(() => page.evaluate(() => Boolean(window.grecaptcha?.execute))).toBe(true);
  await page.evaluate(() => { window.grecaptcha.execute = async () => null; });
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.getByRole("heading")).toHaveText("Verification required");
});

test("one submit of a page that sends by script is one score", async ({ page, app, emulator }) => {
  const site = await app(account(emulator, "main", "recaptcha-v3") + routes('use = "main"'));
  await site.page("/page", form(), { scripts: `${CALL()} window.executed = 0;
    document.getElementById("form").addEventListener("submit", (event) => {
      event.preventDefault();
      window.sent = window.call("/signup", { humanCheck: event.target, headers: {}, body: new FormData(event.target) });
    });` });
  await page.goto(`${site.base}/page`);
  await expect.poll(() => page.evaluate(() => Boolean(window.grecaptcha?.execute))).toBe(true);
  await page.evaluate(() => {
    const { execute } = window.grecaptcha;
    window.grecaptcha.execute = (...given) => { window.executed += 1; return execute(...given); };
  });
  await page.getByRole("button", { name: "Send" }).click();
  await expect.poll(() => page.evaluate(() => Boolean(window.sent))).toBe(true);
  expect(await settled(page, "sent")).toBe(200);
  expect(await page.evaluate(() => window.executed)).toBe(1);
});

test("functions of the page are not called, and bodies keep what was typed", async ({ page, app, emulator }) => {
  const site = await app(account(emulator, "main", "turnstile") + routes('use = "main"'));
  const widget = { api: "element", element: "div", attributes: { "class": "x" }, script: "/node_modules/vue/dist/vue.global.prod.js" };
  const given = { account: "main", provider: "x", field: "x", header: "x-captcha-token", sitekey: "k", action: null, offer: "0", why: "primary" };
  for (const more of [
    { widget: { ...widget, attach: "app.wipe" } }, { widget: { ...widget, attach: "open" } }, { widget: { ...widget, attach: "window.open" } },
    { widget: { ...widget, api: "render", global: "app" } }, { widget: { ...widget, api: "execute", global: "app" } },
  ]) {
    await page.unrouteAll();
    await page.route(/human-check\/options/, (route) => route.fulfill({ json: { captcha: { options: [{ ...given, ...more }] } } }));
    await site.page("/page", form(), { scripts: `window.called = []; const call = (name) => () => { window.called.push(name); };
      window.app = { wipe: call("wipe"), render: call("render"), execute: call("execute") }; window.open = call("open");` });
    await page.goto(`${site.base}/page`);
    await expect(status(page), JSON.stringify(more)).toHaveText(/could not be loaded|Please complete/);
    expect(await page.evaluate(() => window.called), JSON.stringify(more)).toEqual([]);
  }
  // The offer is a digit, and the field that of the visitor.
  await page.unrouteAll();
  const bodies = [];
  await page.route(/human-check\/options/, (route) => route.fulfill({ json: { captcha: { options: [{ ...given, field: "email", widget }] } } }));
  await page.route(/\/comments$/, (route) => { bodies.push(route.request().postData()); return route.fulfill({ json: {} }); });
  await site.page("/page", form());
  await page.goto(`${site.base}/page`);
  await expect(status(page)).toContainText("could not be loaded");
  await page.evaluate(async () => {
    const data = new URLSearchParams(new FormData(document.getElementById("form")));
    await humanCheck.fetch("/comments", { method: "POST", body: JSON.stringify({ amount: 1000 }) });
    await humanCheck.fetch("/comments", { method: "POST", body: data });
  });
  expect(bodies[0]).toBe('{"amount":1000}');
  expect(bodies[1]).toContain("email=a%40example.com");
});

test("bodies of all kinds arrive as they are", async ({ page, app, emulator }) => {
  const bodies = [];
  await page.route(/\/comments$/, async (route) => {
    bodies.push(route.request().postDataBuffer()?.toString() ?? "");
    await route.fulfill({ json: {} });
  });
  await open({ page, app, emulator }, form());
  await expect(status(page)).toHaveText(SOLVE);
  await page.evaluate(async () => {
    const bytes = new TextEncoder().encode("bytes");
    const form = new FormData();
    form.append("file", new File(["content"], "name.txt"));
    for (const body of ["text", bytes, bytes.buffer, new Blob(["blob"]), new URLSearchParams({ a: "b" }), form]) {
      await humanCheck.fetch("/comments", { method: "POST", body });
    }
    await humanCheck.fetch(new Request("/comments", { method: "POST", body: "request" }));
    await humanCheck.fetch(new URL("/comments", location.href), { method: "POST" });
  });
  expect(bodies.slice(0, 5)).toEqual(["text", "bytes", "bytes", "blob", "a=b"]);
  expect(bodies[5]).toContain('filename="name.txt"');
  expect(bodies.slice(6)).toEqual(["request", ""]);
});

for (const [library, module] of [["htmx 2", "htmx2/dist/htmx.min.js"], ["htmx 4", "htmx.org/dist/htmx.min.js"]]) {
  test(`${library} can send a form again after the network failed`, async ({ page, app, emulator }) => {
    // The indicator styles of htmx are inline.
    const config = `<meta name="htmx-config" content='{"includeIndicatorStyles":false}'>`;
    await open({ page, app, emulator }, config + form("", 'hx-post="/signup" hx-target="output"') + "<output></output>", { modules: [module] });
    await solve(page, "turnstile", place(page));
    await expect(status(page)).toHaveText("The verification is complete.");
    await page.route(/\/signup$/, (route) => route.abort());
    const failed = page.waitForEvent("requestfailed");
    await page.getByRole("button", { name: "Send" }).click();
    await failed;
    await page.unroute(/\/signup$/);
    await page.waitForTimeout(1200);
    await page.getByRole("button", { name: "Send" }).click();
    await expect(page.locator("output")).toContainText("a@example.com");
  });
}

test("copies of a page have one challenge, and caches of pages no token", async ({ page, app, emulator }) => {
  await open({ page, app, emulator }, form() + "<div id='copy'></div>");
  await expect(status(page)).toHaveText(SOLVE);
  await page.evaluate(async () => {
    const node = document.getElementById("form");
    for (let times = 0; times < 20; times += 1) {
      node.remove();
      await new Promise((resolve) => setTimeout(resolve));
      document.querySelector("main").append(node);
      await new Promise((resolve) => setTimeout(resolve));
    }
  });
  await expect(page.getByRole("status")).toHaveCount(1);
  await solve(page, "turnstile", place(page));
  await expect(status(page)).toHaveText("The verification is complete.");
  const [fields, saved] = await page.evaluate(() => {
    const node = document.getElementById("form");
    const copy = node.cloneNode(true);
    document.getElementById("copy").append(copy);
    node.remove();
    dispatchEvent(new CustomEvent("htmx:beforeHistorySave"));
    return [document.querySelectorAll(".human-check").length, document.body.innerHTML];
  });
  await expect(page.getByRole("status")).toHaveCount(1);
  await expect(page.locator("#copy input.human-check")).toHaveCount(2);
  expect(fields).toBeLessThan(5);
  await page.evaluate(() => dispatchEvent(new CustomEvent("turbo:before-cache")));
  await expect(page.locator("#copy input.human-check").first()).toHaveValue("");
  expect(saved.length).toBeGreaterThan(0);
});

test("two accounts that fail in turn are tried three times", async ({ page, app, emulator }) => {
  const site = await app(account(emulator, "main", "turnstile") + routes('use = "main"'));
  let asked = 0;
  await page.route(/human-check\/options/, (route) => {
    asked += 1;
    return route.fulfill({ json: { captcha: { options: [{ account: `a${asked}`, provider: "x", field: "x", header: "x", offer: "", why: "primary", widget: { api: "element", element: "div", attributes: {}, script: `/missing-${asked}.js` } }] } } });
  });
  await site.page("/page", form());
  await page.goto(`${site.base}/page`);
  await expect(page.getByRole("button", { name: "Try again" })).toBeVisible();
  await page.waitForTimeout(500);
  expect(asked).toBeLessThan(6);
});

test("a form without an account posts no field of the script", async ({ page, app, emulator }) => {
  await page.route(/human-check\/options/, (route) => route.fulfill({ status: 503, json: {} }));
  await open({ page, app, emulator }, form());
  await expect(status(page)).toContainText("could not be loaded");
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.getByRole("button", { name: "Send" }).click();
  expect((await sent).postData()).toBe("human-check-offer=&email=a%40example.com");
});

test("a place names the origins of its widgets", async ({ page, app, emulator }) => {
  await open({ page, app, emulator }, form().replace("<div data-human-check", `<div data-origins="https://other.example ${emulator.base}" data-human-check`), { origins: false });
  await expect(status(page)).toHaveText(SOLVE);
  await page.goto("about:blank");
});

test("a server that finds out about an outage is asked three times in all", async ({ page, app, emulator }) => {
  await page.clock.install();
  const site = await open({ page, app, emulator }, `<div id="host"><div data-human-check="comments"></div></div>`, { scripts: CALL() });
  let asked = 0;
  await page.route(/\/comments$/, (route) => {
    asked += 1;
    return route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify({ type: "https://x/refusal-responses.md#verification-unavailable", captcha: { required: false, reset: false, retry: true } }) });
  });
  for (const humanCheck of [undefined, "comments"]) {
    asked = 0;
    if (humanCheck) { await solve(page, "turnstile", page.locator("#host")); }
    await page.evaluate((named) => { window.sent = window.call("/comments", { humanCheck: named }).then(({ status: code }) => { window.code = code; }); }, humanCheck);
    await expect.poll(async () => { await page.clock.runFor(1000); return page.evaluate(() => window.code); }).toBe(503);
    expect(asked).toBe(3);
    await page.evaluate(() => { window.code = 0; });
  }
  expect(site.posts).toEqual([]);
});
