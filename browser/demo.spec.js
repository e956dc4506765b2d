// The demo in a real browser, with the real widget of the proof of work.

import path from "node:path";
import AxeBuilder from "@axe-core/playwright";
import { FIELDS, SCREENSHOTS, complete, sendAnyway, startDemo, typeIn } from "./demo.js";
import { expect, test as base } from "./fixtures.js";

const test = base.extend({
  demo: [async ({}, use) => {
    const demo = await startDemo();
    await use(demo);
    await demo.stop();
  }, { scope: "worker" }],
});

const PAGES = ["/", "/side-by-side", "/simulate", "/outage", "/experiment", "/log", "/metrics"];
const expectSignedUp = (page) => expect(page.getByRole("heading", { name: "You are signed up" })).toBeVisible();
const expectReason = (page, text) => expect(page.locator(".operator").getByText(text, { exact: true })).toBeVisible();

/** Returns the status of the page to which `act` leads. */
async function status(page, act) {
  const [response] = await Promise.all([
    page.waitForResponse((response) => response.request().isNavigationRequest() && response.request().method() === "POST"),
    act(),
  ]);
  return response.status();
}

test.describe("the proof of work", () => {
  test("a visitor solves it and signs up, and a replay is refused", async ({ page, demo }) => {
    await page.goto(demo.base);
    await typeIn(page);
    await complete(page, "altcha", "altcha");
    expect(await status(page, () => page.getByRole("button", { name: "Sign up" }).click())).toBe(200);
    await expectSignedUp(page);
    expect(await status(page, () => page.getByRole("button", { name: "Submit the same again" }).click())).toBe(403);
    await expect(page.getByRole("alert")).toContainText("Verification failed");
    await expectReason(page, "replayed");
  });

  test("it is solved without a mouse", async ({ page, demo }) => {
    await page.goto(demo.base);
    await page.getByLabel("Name").focus();
    await page.keyboard.type("Ada");
    await page.keyboard.press("Tab");
    await page.keyboard.type("ada@example.com");
    await expect(page.locator("altcha-widget input[type=checkbox]")).toBeVisible();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Space");
    await expect(page.locator("altcha-widget input[type=checkbox]")).toBeChecked();
    await page.getByRole("button", { name: "Sign up" }).focus();
    await page.keyboard.press("Enter");
    await expectSignedUp(page);
  });

  test("without a solution the browser does not send the form, and the server refuses it", async ({ page, demo }) => {
    await page.goto(demo.base);
    await typeIn(page, 'Ada "<b>" Lovelace');
    await expect(page.locator("altcha-widget input[type=checkbox]")).toBeVisible();
    await page.getByRole("button", { name: "Sign up" }).click();
    await expect(page).toHaveURL(`${demo.base}/`);
    expect(await status(page, () => sendAnyway(page))).toBe(403);
    await expect(page.getByRole("alert")).toContainText("One step is missing");
    await expect(page.getByLabel("Name")).toHaveValue('Ada "<b>" Lovelace');
  });

  test("an expired challenge is refused, and the next one passes", async ({ page }) => {
    const demo = await startDemo("--challenge-ttl", "10");
    try {
      await page.goto(demo.base);
      await typeIn(page);
      await page.locator("altcha-widget").evaluate((widget) => {
        widget.addEventListener("statechange", (event) => { window.expired ||= event.detail.state === "expired"; });
      });
      await complete(page, "altcha", "altcha");
      const token = await page.locator("[name=altcha]").inputValue();
      await page.waitForFunction(() => window.expired);
      await expect(page.locator("altcha-widget input[type=checkbox]")).not.toBeChecked();
      // A challenge is valid until the end of its last second, and the browser's clock may be fast.
      await page.waitForFunction((end) => Date.now() > end, Date.now() + 1_100);
      const sent = () => page.locator("[name=altcha]").evaluate((input, value) => {
        input.value = value;
        input.form.submit();
      }, token);
      expect(await status(page, sent)).toBe(403);
      await expectReason(page, "expired");
      await complete(page, "altcha", "altcha");
      await page.getByRole("button", { name: "Sign up" }).click();
      await expectSignedUp(page);
    } finally {
      await demo.stop();
    }
  });

  test("a tampered token is refused", async ({ page, demo }) => {
    await page.goto(demo.base);
    await typeIn(page);
    await complete(page, "altcha", "altcha");
    await page.locator("[name=altcha]").evaluate((input) => {
      const payload = JSON.parse(atob(input.value));
      payload.challenge.parameters.expiresAt += 3600;
      input.value = btoa(JSON.stringify(payload));
    });
    expect(await status(page, () => sendAnyway(page))).toBe(403);
    await expectReason(page, "invalid");
  });

  test("without JavaScript the page states what is needed, and the form is refused", async ({ browser, demo }) => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(demo.base);
    const message = page.locator("noscript p");
    await expect(message).toBeVisible();
    // Playwright does not read the text of a `noscript` element itself.
    expect(await message.evaluate((p) => p.textContent)).toContain("This check runs in JavaScript");
    await typeIn(page);
    expect(await status(page, () => page.getByRole("button", { name: "Sign up" }).click())).toBe(403);
    await expect(page.getByRole("alert")).toContainText("One step is missing");
    await context.close();
  });

  for (const preset of ["standard", "sha", "scrypt", "argon2id"]) {
    test(`the preset ${preset} is solved and verified`, async ({ page }) => {
      const demo = await startDemo("--difficulty", preset);
      await page.goto(demo.base);
      await typeIn(page);
      await page.locator("altcha-widget label").click();
      // A busy machine may need this long.
      await expect(page.locator("altcha-widget input[type=checkbox]")).toBeChecked({ timeout: 20_000 });
      expect(await status(page, () => page.getByRole("button", { name: "Sign up" }).click())).toBe(200);
      await demo.stop();
    });
  }

  test("challenges are not cached, and their rate is limited", async ({ page }) => {
    // A demo of its own, because all browsers of these tests share one client address.
    const demo = await startDemo();
    await page.goto(demo.base);
    const responses = await page.evaluate(async () => {
      const request = () => fetch("/human-check-altcha/challenge").then((r) => [r.status, r.headers.get("cache-control")]);
      return Promise.all(Array.from({ length: 40 }, request));
    });
    expect(responses.every(([, cache]) => cache === "no-store")).toBe(true);
    expect(responses.some(([status]) => status === 429), "thirty a minute").toBe(true);
    await page.locator("altcha-widget label").click();
    await expect(page.locator("altcha-widget")).toContainText("Try again later");
    await demo.stop();
  });
});

for (const [provider, field] of Object.entries(FIELDS).filter(([provider]) => provider !== "altcha")) {
  test(`${provider} accepts a token once`, async ({ page, demo }) => {
    await page.goto(`${demo.base}/?provider=${provider}`);
    await typeIn(page);
    await complete(page, provider, field);
    expect(await status(page, () => page.getByRole("button", { name: "Sign up" }).click())).toBe(200);
    await expectSignedUp(page);
    expect(await status(page, () => page.getByRole("button", { name: "Submit the same again" }).click())).toBe(403);
  });
}

for (const [first, second] of [["turnstile", "hcaptcha"], ["captchala", "recaptcha-v2"], ["altcha", "turnstile"]]) {
  test(`${first} and ${second} are on one form and are compared`, async ({ page, demo }) => {
    await page.goto(`${demo.base}/side-by-side?first=${first}&second=${second}`);
    for (const provider of [first, second]) {
      await complete(page, provider, FIELDS[provider]);
    }
    await page.getByRole("button", { name: "Send" }).click();
    await expect(page.locator("#agreement [data-cell=both]")).toHaveText("1");
    await page.getByRole("button", { name: /Simulate 50/ }).click();
    await expect(page.getByRole("heading", { name: "51 compared visitors" })).toBeVisible();
  });
}

test("a simulation shows the status of the response", async ({ page, demo }) => {
  await page.goto(`${demo.base}/simulate`);
  for (const [scene, status] of [["A human", "200"], ["A bot", "403"], ["A replay", "403"]]) {
    await page.getByRole("radio", { name: "ALTCHA" }).check();
    await page.getByRole("button", { name: scene }).click();
    await expect(page.locator("#result")).toHaveAttribute("data-status", status);
  }
  for (const [scene, status] of [["A slow provider", "200"], ["A provider that is down", "503"], ["A used-up quota", "503"]]) {
    await page.getByRole("radio", { name: "reCAPTCHA v3" }).check();
    await page.getByRole("button", { name: scene }).click();
    await expect(page.locator("#result")).toHaveAttribute("data-status", status);
  }
});

test("the log shows new decisions without a reload", async ({ context, page, demo }) => {
  await page.goto(`${demo.base}/log`);
  await expect(page.locator("#live")).toBeVisible();
  const before = await page.locator("#decisions tbody tr").count();
  const other = await context.newPage();
  await other.goto(`${demo.base}/simulate`);
  await other.getByRole("radio", { name: "Turnstile" }).check();
  await other.getByRole("button", { name: "A bot" }).click();
  await expect.poll(() => page.locator("#decisions tbody tr").count()).toBeGreaterThan(before);
});

test("every page has a strict policy with a nonce of its own", async ({ page, demo }) => {
  const nonces = new Set();
  for (const address of [...PAGES, ...Object.keys(FIELDS).map((provider) => `/?provider=${provider}`), "/nothing"]) {
    const response = await page.goto(demo.base + address, { waitUntil: "load" });
    const policy = response.headers()["content-security-policy"];
    expect(policy, address).toMatch(/default-src 'self'/);
    expect(policy, address).not.toMatch(/unsafe-/);
    nonces.add(policy.match(/'nonce-([^']+)'/)[1]);
  }
  expect(nonces.size).toBe(PAGES.length + Object.keys(FIELDS).length + 1);
});

for (const [device, viewport] of [["desktop", { width: 1280, height: 900 }], ["phone", { width: 390, height: 844 }]]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`every page fits the screen and is accessible: ${device}, ${colorScheme}`, async ({ browser, demo }) => {
      const context = await browser.newContext({ viewport, colorScheme, isMobile: device === "phone" });
      const page = await context.newPage();
      for (const address of PAGES) {
        await page.goto(demo.base + address);
        // A page that is still being replaced has no styles to judge.
        if (address === "/side-by-side") {
          await page.getByRole("button", { name: /Simulate 50/ }).click();
          await expect(page.getByRole("heading", { name: /compared visitors/ })).toBeVisible();
        }
        if (address === "/simulate") {
          await page.getByRole("button", { name: "A bot" }).click();
          await expect(page.locator("#result")).toHaveAttribute("data-status", /\d/);
        }
        if (address === "/experiment") {
          await page.getByRole("button", { name: "A day more" }).click();
          await expect(page.getByRole("heading", { name: /day \d+ of 28/ })).not.toContainText("day 0");
        }
        if (address === "/") { await expect(page.locator("altcha-widget input[type=checkbox]")).toBeVisible(); }
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(wide, `${address} scrolls sideways`).toBeLessThanOrEqual(0);
        const { violations } = await new AxeBuilder({ page })
          // The content of the widgets is not part of this project.
          .exclude("altcha-widget").exclude("iframe").analyze();
        expect(violations.map(({ id, nodes }) => `${address} ${id}: ${nodes[0].html}`)).toEqual([]);
        const name = address === "/" ? "signup" : address.slice(1);
        await page.screenshot({ path: path.join(SCREENSHOTS, `${device}-${colorScheme}-${name}.png`), fullPage: address !== "/log" });
      }
      await context.close();
    });
  }
}

test("the screenshot for the README", async ({ browser, demo }) => {
  const context = await browser.newContext({ viewport: { width: 1100, height: 800 }, deviceScaleFactor: 1 });
  const page = await context.newPage();
  await page.goto(demo.base);
  await typeIn(page, "Ada Lovelace");
  await complete(page, "altcha", "altcha");
  await page.screenshot({ path: path.join(SCREENSHOTS, "readme.png") });
  await context.close();
});
