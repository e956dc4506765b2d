// What pages do wrong with widgets, and what goes wrong around them: each case with every kind that it can
// hit.

import { account, expect, KINDS, routes, SCORES, solve, test } from "./app.js";

const BOXES = KINDS.filter((kind) => !SCORES.includes(kind));
const form = (id = "form", inside = `<div data-human-check="signup"></div>`) => `<form id="${id}" method="post" action="/signup">
  <label>E-mail <input name="email" required value="${id}@example.com"></label>${inside}<button>Send</button></form>`;
const place = (page, id = "form") => page.locator(`#${id}`);
const signups = (site) => site.posts.filter((at) => at === "/signup").length;

test.beforeEach(async ({ page }) => {
  await page.addInitScript(() => {
    window.states = [];
    addEventListener("human-check", ({ detail }) => { window.states.push(detail); });
  });
});

/** Waits until a state was reported `times` times. */
const reached = (page, state, times = 1) => expect.poll(() => (
  page.evaluate((name) => window.states.filter((detail) => detail.state === name).length, state))).toBeGreaterThanOrEqual(times);

async function solved(page, kind, where) {
  await solve(page, kind, where);
  if (!SCORES.includes(kind)) { await reached(page, "solved"); }
}

test("of two forms of a page, the one that is sent is verified once", async ({ page, site }) => {
  await site.page("/page", form("one") + form("two"));
  for (const kind of KINDS) {
    site.show(kind);
    await page.goto(`${site.base}/page`);
    await reached(page, "shown", 2);
    const before = signups(site);
    await solved(page, kind, place(page, "two"));
    await place(page, "two").getByRole("button", { name: "Send" }).click();
    await expect(page.locator("body"), kind).toContainText("two@example.com");
    expect(signups(site) - before, kind).toBe(1);
  }
});

test("a form that is inserted later, and again, has its own challenge", async ({ page, site }) => {
  await site.page("/page", `<div id="host"></div>`, { scripts: `
    window.insert = () => { document.getElementById("host").innerHTML = ${JSON.stringify(form())}; };` });
  for (const kind of KINDS) {
    site.show(kind);
    await page.goto(`${site.base}/page`);
    for (let times = 1; times <= 3; times += 1) {
      await page.evaluate(() => window.insert());
      await reached(page, "shown", times);
    }
    await solved(page, kind, place(page));
    const before = signups(site);
    await page.getByRole("button", { name: "Send" }).click();
    await expect(page.locator("body"), kind).toContainText("form@example.com");
    expect(signups(site) - before, kind).toBe(1);
  }
});

test("a form in a modal dialog has a challenge, and the dialog can be left", async ({ page, site }) => {
  await site.page("/page", `<button id="open">Open</button><dialog id="dialog">${form()}</dialog>`, { scripts: `
    document.getElementById("open").addEventListener("click", () => document.getElementById("dialog").showModal());` });
  for (const kind of KINDS) {
    site.show(kind);
    await page.goto(`${site.base}/page`);
    await page.getByRole("button", { name: "Open" }).click();
    await reached(page, "shown");
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog"), kind).toBeHidden();
    await page.getByRole("button", { name: "Open" }).click();
    await solved(page, kind, place(page));
    await page.getByRole("button", { name: "Send" }).click();
    await expect(page.locator("body"), kind).toContainText("form@example.com");
  }
});

test("a double click is one submit", async ({ page, site }) => {
  await site.page("/page", form());
  for (const kind of KINDS) {
    site.show(kind);
    await page.goto(`${site.base}/page`);
    await reached(page, "shown");
    await solved(page, kind, place(page));
    const before = signups(site);
    await page.getByRole("button", { name: "Send" }).dblclick();
    await expect(page.locator("body"), kind).toContainText("form@example.com");
    expect(signups(site) - before, kind).toBe(1);
  }
});

test("a double click on a page that sends by script is one request", async ({ page, site }) => {
  await site.page("/page", form(), { scripts: `
    window.results = [];
    document.getElementById("form").addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const response = await humanCheck.fetch("/signup", { method: "POST", humanCheck: event.target, body: new URLSearchParams(new FormData(event.target)) });
        window.results.push(response.status);
      } catch (error) { window.results.push(error.code); }
    });` });
  for (const kind of KINDS) {
    site.show(kind);
    await page.goto(`${site.base}/page`);
    await reached(page, "shown");
    await solved(page, kind, place(page));
    const before = signups(site);
    await page.getByRole("button", { name: "Send" }).dblclick();
    await expect.poll(() => page.evaluate(() => window.results), kind).toEqual([200]);
    expect(signups(site) - before, kind).toBe(1);
  }
});

test("after the back button the form gets a new token", async ({ page, site }) => {
  await site.page("/page", form());
  for (const kind of KINDS) {
    site.show(kind);
    await page.goto(`${site.base}/page`);
    await reached(page, "shown");
    await page.getByLabel("E-mail").fill("typed@example.com");
    await solved(page, kind, place(page));
    await page.getByRole("button", { name: "Send" }).click();
    await expect(page.locator("body")).toContainText("typed@example.com");
    await page.goBack();
    await expect(page.getByLabel("E-mail"), kind).toHaveValue("typed@example.com");
    await expect.poll(() => page.evaluate(() => window.states.at(-1)?.state), kind).toBe("shown");
    await page.evaluate(() => { window.states = []; });
    await solved(page, kind, place(page));
    const before = signups(site);
    await page.getByRole("button", { name: "Send" }).click();
    await expect(page.locator("body"), kind).toContainText("typed@example.com");
    expect(signups(site) - before, kind).toBe(1);
  }
});

test("a script that is blocked is told at once, and the next click tries again", async ({ page, context, site }) => {
  await site.page("/page", form());
  const isProviders = (url) => /api\.js|enterprise\.js|loader\.js|cap\.min\.js|site\.min\.js|widget\.js/.test(url.pathname);
  for (const kind of KINDS.filter((name) => name !== "mcaptcha")) {
    site.show(kind);
    await context.route(isProviders, (route) => route.abort());
    await page.goto(`${site.base}/page`);
    await expect(page.getByRole("status"), kind).toContainText("could not be loaded", { timeout: 2000 });
    await context.unroute(isProviders);
    await page.getByRole("button", { name: "Try again" }).click();
    await reached(page, "shown");
    await solved(page, kind, place(page));
    await page.getByRole("button", { name: "Send" }).click();
    await expect(page.locator("body"), kind).toContainText("form@example.com");
  }
});

test("a form whose challenge cannot be shown is sent all the same, and the server decides", async ({ page, context, site }) => {
  await site.page("/page", form());
  await context.route(/turnstile\/v0\/api\.js/, (route) => route.abort());
  site.show("turnstile");
  await page.goto(`${site.base}/page`);
  await expect(page.getByRole("status")).toContainText("could not be loaded");
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.getByRole("heading")).toHaveText("Verification required");
});

test("a provider that does not react is told after ten seconds, and may still come", async ({ page, context, site, violations }) => {
  await page.clock.install();
  await site.page("/page", form());
  for (const kind of ["turnstile", "recaptcha-v3", "captchala", "cap"]) {
    site.show(kind);
    let go;
    const late = new Promise((resolve) => { go = resolve; });
    const isProviders = (url) => /api\.js$|captchala-loader\.js$|cap\.min\.js$/.test(url.pathname);
    await context.route(isProviders, async (route) => { await late; await route.continue(); });
    await page.goto(`${site.base}/page`);
    await expect(page.getByRole("status")).toHaveText("The verification is loading.");
    await expect.poll(async () => { await page.clock.runFor(2000); return page.getByRole("status").innerText(); }, kind).toContain("could not be loaded");
    go();
    await context.unroute(isProviders, { behavior: "wait" });
    await page.getByRole("button", { name: "Try again" }).click();
    await expect.poll(async () => { await page.clock.runFor(500); return page.evaluate(() => window.states.at(-1).state); }, kind).toBe("shown");
  }
  expect(violations.seen).toEqual([]);
});

test("a token that expires on a long form is asked for again", async ({ page, site, emulator }) => {
  await site.page("/page", form());
  for (const kind of BOXES.filter((name) => !["altcha", "captchala"].includes(name))) {
    await emulator.knobs({ token_ttl_ms: 300 });
    site.show(kind);
    await page.goto(`${site.base}/page`);
    await solve(page, kind, place(page));
    await reached(page, "solved");
    await expect(page.locator("input.human-check").first(), kind).toHaveValue("");
    await emulator.knobs({});
    const before = signups(site);
    await page.getByRole("button", { name: "Send" }).click();
    await expect(page.getByRole("status")).toHaveText("Please complete the verification.");
    expect(signups(site) - before, kind).toBe(0);
    await solve(page, kind, place(page));
    await expect(page.locator("body"), kind).toContainText("form@example.com");
    expect(signups(site) - before, kind).toBe(1);
  }
});

test("a selection of more than a minute is made again before the form is sent", async ({ page, site }) => {
  await page.clock.install();
  await site.page("/page", form());
  site.show("turnstile");
  await page.goto(`${site.base}/page`);
  await reached(page, "shown");
  site.show("hcaptcha");
  await page.clock.fastForward(61_000);
  await page.getByRole("button", { name: "Send" }).click();
  await expect.poll(() => page.evaluate(() => window.states.at(-1).provider)).toBe("hcaptcha");
  await solve(page, "hcaptcha", place(page));
  await expect(page.locator("body")).toContainText("form@example.com");
  expect(signups(site)).toBe(1);
});

for (const [library, module] of [["htmx 2", "htmx2/dist/htmx.min.js"], ["htmx 4", "htmx.org/dist/htmx.min.js"]]) {
  test(`${library} keeps a form that targets its own card, and sends it again`, async ({ page, site }) => {
    await site.page("/page", `<div id="card"><form id="form" hx-post="/signup" hx-target="#card">
      <label>E-mail <input name="email" required></label><div data-human-check="signup"></div><button>Send</button></form></div>`, { modules: [module] });
    for (const kind of KINDS) {
      site.show(kind === "turnstile" ? "hcaptcha" : "turnstile");
      await page.goto(`${site.base}/page`);
      await reached(page, "shown");
      await page.getByLabel("E-mail").fill("typed@example.com");
      await solve(page, kind === "turnstile" ? "hcaptcha" : "turnstile", place(page));
      await reached(page, "solved");
      site.show(kind);
      await page.getByRole("button", { name: "Send" }).click();
      if (!SCORES.includes(kind)) {
        await expect.poll(() => page.evaluate(() => window.states.at(-1).provider)).toBe(kind);
        await expect(page.getByLabel("E-mail")).toHaveValue("typed@example.com");
        await solve(page, kind, place(page));
      }
      await expect(page.locator("#card"), kind).toContainText("typed@example.com");
      await expect(page.locator("#card")).toContainText('"ok":true');
    }
  });

  test(`${library} without the page script keeps the form and gets the event`, async ({ page, site }) => {
    await site.page("/page", `<div id="card"><form id="form" hx-post="/signup" hx-target="#card">
      <label>E-mail <input name="email" required></label><button>Send</button></form></div>`, { modules: [module], scripts: `
      document.body.addEventListener("human:challenge", ({ detail }) => { window.options = detail.options; });` });
    site.show("turnstile");
    await page.goto(`${site.base}/page`);
    await page.getByLabel("E-mail").fill("typed@example.com");
    await page.getByRole("button", { name: "Send" }).click();
    await expect.poll(() => page.evaluate(() => window.options?.[0].provider)).toBe("turnstile");
    await expect(page.getByLabel("E-mail")).toHaveValue("typed@example.com");
  });
}

test("Turbo shows the challenge of a refusal in the page", async ({ page, site }) => {
  await site.page("/page", form(), { modules: ["@hotwired/turbo/dist/turbo.es2017-umd.js"] });
  for (const kind of KINDS) {
    const first = kind === "turnstile" ? "hcaptcha" : "turnstile";
    site.show(first);
    await page.goto(`${site.base}/page`);
    await reached(page, "shown");
    await page.getByLabel("E-mail").fill("typed@example.com");
    await solve(page, first, place(page));
    await reached(page, "solved");
    site.show(kind);
    const sent = () => page.waitForResponse((response) => response.url().endsWith("/signup"));
    const refused = sent();
    await page.getByRole("button", { name: "Send" }).click();
    expect((await refused).status(), kind).toBe(403);
    await expect(page.getByLabel("E-mail")).toHaveValue("typed@example.com");
    const accepted = sent();
    await solve(page, kind, place(page));
    expect((await accepted).status(), kind).toBe(200);
  }
});

test("a widget of the server, twice in a page and without the page script, sends one token", async ({ page, site }) => {
  for (const kind of ["recaptcha-v3", "recaptcha-enterprise", "captchala", "mcaptcha"]) {
    site.show(kind);
    const refusal = await fetch(`${site.base}/signup`, {
      method: "POST", body: new URLSearchParams({ email: "a@example.com" }),
      headers: { "accept": "text/html", "sec-fetch-site": "same-origin" },
    });
    const widget = (await refusal.text()).match(/<form method="post">\n([^]*)\n<p><button/)[1].replace(/<input type="hidden" name="email"[^>]*>/, "");
    await site.page("/page", form("one", widget) + form("two", widget), { policy: (text) => text.replace("script-src", "script-src 'unsafe-inline'").replace(/'nonce-[^']*'/g, "") });
    await page.goto(`${site.base}/page`);
    await solve(page, kind, place(page, "two"));
    if (!SCORES.includes(kind)) { await expect(place(page, "two").locator("input[type=hidden]").first()).not.toHaveValue(""); }
    const before = signups(site);
    await place(page, "two").getByRole("button", { name: "Send" }).click();
    await expect(page.locator("body"), kind).toContainText("two@example.com");
    expect(signups(site) - before, kind).toBe(1);
  }
});

test("a failed widget is replaced by the next account, where the route allows it", async ({ page, app, emulator, context }) => {
  const own = `on_widget_failure = "fallback"`;
  const configuration = account(emulator, "main", "turnstile") + account(emulator, "spare", "hcaptcha")
    + routes(`use = "main"\nfallback = ["spare"]`, own);
  const site = await app(configuration);
  await site.page("/page", form());
  await context.route(/turnstile\/v0\/api\.js/, (route) => route.abort());
  await page.goto(`${site.base}/page`);
  await expect.poll(() => page.evaluate(() => window.states.at(-1))).toMatchObject({ state: "shown", account: "spare", why: "widget-failure" });
  await solve(page, "hcaptcha", place(page));
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.locator("body")).toContainText("form@example.com");
});

test("in an outage and after a low score the page goes on without a reload", async ({ page, app, emulator, context }) => {
  // Nothing listens on port 1. The widget still loads.
  const dead = { base_url: "http://127.0.0.1:1", script_url: `${emulator.base}/recaptcha/api.js` };
  const fetchPage = { scripts: `
    document.getElementById("form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const response = await humanCheck.fetch("/signup", { method: "POST", humanCheck: event.target, body: new FormData(event.target) });
      document.body.append(await response.text());
    });` };
  const outage = await app(account(emulator, "main", "recaptcha-v3", dead) + account(emulator, "spare", "hcaptcha")
    + routes(`use = "main"\nfallback = ["spare"]`));
  await outage.page("/page", form(), fetchPage);
  await page.goto(`${outage.base}/page`);
  await page.getByRole("button", { name: "Send" }).click();
  await expect.poll(() => page.evaluate(() => window.states.at(-1)), { timeout: 10_000 }).toMatchObject({ account: "spare", why: "fallback" });
  await solve(page, "hcaptcha", place(page));
  await expect(page.locator("body")).toContainText("form@example.com");

  // One script serves both keys of reCAPTCHA, and the score no longer runs on the form.
  const stepUp = await app(account(emulator, "main", "recaptcha-v3") + account(emulator, "stronger", "recaptcha-v2")
    + routes(`use = "main"`, `step_up = { to = "stronger", floor = 0.3 }`));
  await stepUp.page("/page", form(), fetchPage);
  await emulator.knobs({ visitor_score: 0.4 });
  const scripts = [];
  page.on("request", (request) => { if (/recaptcha\/api\.js/.test(request.url())) { scripts.push(request.url()); } });
  await page.goto(`${stepUp.base}/page`);
  await page.getByRole("button", { name: "Send" }).click();
  await expect.poll(() => page.evaluate(() => window.states.at(-1))).toMatchObject({ state: "shown", account: "stronger", why: "step-up" });
  await solve(page, "recaptcha-v2", place(page));
  await expect(page.locator("body")).toContainText("form@example.com");
  expect(scripts).toHaveLength(1);
});

test("texts have the language of the browser, on the page and in a refusal", async ({ browser, site }) => {
  await site.page("/page", form());
  for (const [locale, solveText, title] of [
    ["de-CH", "Bitte schließen Sie die Überprüfung ab.", "Überprüfung erforderlich"],
    ["pt-BR", "Conclua a verificação.", "Verificação necessária"],
    ["ja", "確認を完了してください。", "確認が必要です"],
    ["xx", "Please complete the verification.", "Verification required"],
  ]) {
    const context = await browser.newContext({ locale });
    const page = await context.newPage();
    site.show("turnstile");
    await page.goto(`${site.base}/page`);
    await expect(page.getByRole("status")).toHaveText(solveText);
    const problem = await page.evaluate(async () => (await fetch("/comments", { method: "POST" })).json());
    expect(problem.title).toBe(title);
    await context.route(/turnstile\/v0\/api\.js/, (route) => route.abort());
    await page.goto("about:blank");
    await page.goto(`${site.base}/page`);
    await page.getByRole("button", { name: "Send" }).click();
    await expect(page.getByRole("heading")).toHaveText(title);
    await context.close();
  }
});

test("a provider's script waits for consent", async ({ page, site }) => {
  await site.page("/page", form(), { script: `data-consent="wait"` });
  site.show("turnstile");
  await page.goto(`${site.base}/page`);
  await expect(page.getByRole("status")).toHaveText("The verification loads once you allow it on this page.");
  await expect(page.locator("script[src*=turnstile]")).toHaveCount(0);
  await page.evaluate(() => humanCheck.allow());
  await solve(page, "turnstile", place(page));
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.locator("body")).toContainText("form@example.com");
});
