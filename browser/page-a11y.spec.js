// The page script with a keyboard, a screen reader, at 200 % zoom, dark, light and without motion.

import { AxeBuilder } from "@axe-core/playwright";
import { account, expect, KINDS, routes, SCORES, solve, test } from "./app.js";

const STYLE = `<style nonce="bm9uY2U">:root { color-scheme: light dark; }</style>`;
const FORM = `${STYLE}<form id="form" method="post" action="/signup"><label>E-mail <input name="email" value="a@example.com"></label>
  <div data-human-check="signup"></div><button>Send</button></form>`;
const FETCH = { scripts: `document.getElementById("go").addEventListener("click", async () => {
  const response = await humanCheck.fetch("/comments", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text: "hello" }) });
  const output = document.querySelector("output");
  if (output) { output.textContent = response.status; } });` };
const withStyle = (text) => `${text}; style-src 'self' 'nonce-bm9uY2U' 'unsafe-inline'`.replace(/style-src ([^;]*);(.*); style-src.*/, "style-src $1 'nonce-bm9uY2U';$2");

/** Checks the page without what providers show in their own frames and elements. */
async function clean(page, what) {
  const { violations } = await new AxeBuilder({ page }).exclude("iframe").exclude("altcha-widget").exclude("div:has(> .grecaptcha-badge)").analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html)}`), what).toEqual([]);
}

for (const colorScheme of ["light", "dark"]) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme, reducedMotion: "reduce" });

    test("every state is accessible", async ({ page, site, context }) => {
      await site.page("/page", FORM, { policy: withStyle });
      await page.clock.install();
      // Loading, and failed.
      site.show("turnstile");
      let go;
      const late = new Promise((resolve) => { go = resolve; });
      await context.route(/turnstile\/v0\/api\.js/, async (route) => { await late; await route.abort(); });
      await page.goto(`${site.base}/page`);
      await expect(page.getByRole("status")).toHaveText("The verification is loading.");
      await clean(page, "loading");
      go();
      await expect(page.getByRole("button", { name: "Try again" })).toBeVisible();
      await clean(page, "failed");
      await context.unrouteAll({ behavior: "wait" });
      for (const kind of KINDS) {
        site.show(kind);
        await page.goto(`${site.base}/page`);
        await expect(page.getByRole("status")).toHaveText(SCORES.includes(kind) ? "" : "Please complete the verification.");
        await clean(page, `${kind} shown`);
        if (SCORES.includes(kind)) { continue; }
        await solve(page, kind, page.locator("#form"));
        await expect.poll(async () => { await page.clock.runFor(1000); return page.getByRole("status").innerText(); }).toBe("The verification is complete.");
        await clean(page, `${kind} solved`);
      }
    });

    test("a challenge in a dialog is accessible, and so is a refusal", async ({ page, site }) => {
      await site.page("/page", `${STYLE}<button id="go">Go</button><output></output>`, { ...FETCH, policy: withStyle });
      site.show("turnstile");
      await page.goto(`${site.base}/page`);
      await page.getByRole("button", { name: "Go" }).click();
      await expect(page.getByRole("dialog", { name: "Verification" })).toBeVisible();
      await expect(page.getByRole("dialog").getByRole("status")).toHaveText("Please complete the verification.");
      await clean(page, "dialog");
      await page.evaluate(() => fetch("/signup", { method: "POST", body: new URLSearchParams({ email: "a@example.com" }), headers: { Accept: "text/html" } })
        .then((response) => response.text()).then((html) => { document.documentElement.innerHTML = html.replace(/[^]*<html[^>]*>/, ""); }));
      await expect(page.getByRole("heading")).toHaveText("Verification required");
      await page.evaluate(() => { document.documentElement.lang = "en"; });
      await clean(page, "refusal");
    });
  });
}

test("the keyboard reaches the challenge after a refusal, and leaves a dialog", async ({ page, site }) => {
  await site.page("/page", FORM);
  site.show("turnstile");
  await page.goto(`${site.base}/page`);
  await expect(page.getByRole("status")).toHaveText("Please complete the verification.");
  // Sent without a solution: the focus is on the challenge.
  await page.getByRole("button", { name: "Send" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("group", { name: "Verification" })).toBeFocused();
  await expect(page.frameLocator("iframe").getByRole("checkbox")).toBeEnabled();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  await expect(page.locator("body")).toContainText("a@example.com");

  await site.page("/fetch", `<button id="go">Go</button><output></output>`, FETCH);
  await page.goto(`${site.base}/fetch`);
  await page.getByRole("button", { name: "Go" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("group", { name: "Verification" })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Go" })).toBeFocused();
  await expect(page.locator("output")).toHaveText("403");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("group", { name: "Verification" })).toBeFocused();
  await expect(page.frameLocator("iframe").getByRole("checkbox")).toBeEnabled();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("button", { name: "Cancel" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog")).toHaveCount(0);
});

test("a change of the challenge keeps the focus in the field", async ({ page, site }) => {
  await page.clock.install();
  await site.page("/page", FORM);
  site.show("turnstile");
  await page.goto(`${site.base}/page`);
  await expect(page.getByRole("status")).toHaveText("Please complete the verification.");
  site.show("hcaptcha");
  await page.clock.fastForward(6000);
  await page.getByLabel("E-mail").focus();
  await expect(page.frameLocator("[data-human-check] iframe").getByRole("checkbox")).toBeVisible();
  await expect(page.getByLabel("E-mail")).toBeFocused();
});

test("the page is usable at 200 % zoom, and on a narrow screen", async ({ page, site }) => {
  await site.page("/page", `<button id="go">Go</button><output></output>`, FETCH);
  site.show("turnstile");
  // 640 CSS pixels are a window of 1280 at 200 %, and 320 one at 400 %.
  for (const width of [640, 320]) {
    await page.setViewportSize({ width, height: 360 });
    await page.goto(`${site.base}/page`);
    await page.getByRole("button", { name: "Go" }).click();
    const cancel = page.getByRole("button", { name: "Cancel" });
    await cancel.scrollIntoViewIfNeeded();
    await expect(cancel).toBeInViewport();
    await cancel.click();
    await expect(page.getByRole("dialog")).toHaveCount(0);
  }
});

test("states are announced in one live region", async ({ page, app, emulator }) => {
  const site = await app(account(emulator, "main", "turnstile") + routes('use = "main"'));
  await site.page("/page", FORM.replace(STYLE, ""));
  await page.addInitScript(() => {
    window.said = [];
    addEventListener("human-check", ({ target }) => { window.said.push(target.querySelector("[role=status]").textContent); });
  });
  await page.goto(`${site.base}/page`);
  await solve(page, "turnstile", page.locator("#form"));
  await expect.poll(() => page.evaluate(() => window.said)).toEqual(
    ["The verification is loading.", "Please complete the verification.", "The verification is complete."]);
  await expect(page.getByRole("status")).toHaveCount(1);
});
