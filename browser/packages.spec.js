// React packages of the providers, and common ones for reCAPTCHA, with the emulator in place of the providers'
// hosts. The tests show that the emulator's scripts have everything that these packages use.

import path from "node:path";
import { build } from "esbuild";
import { expect, policy, test as base } from "./site.js";
import { SOURCES, emulateHosts, verify } from "./providers.js";

/** The fixture `bundle(name)` returns the script of a page, which is built once for each worker. */
const test = base.extend({
  bundle: [async ({}, use) => {
    const built = new Map();
    await use(async (name) => {
      if (!built.has(name)) {
        const { outputFiles } = await build({
          entryPoints: [path.join(import.meta.dirname, "pages", `${name}.jsx`)],
          bundle: true,
          write: false,
          format: "iife",
          jsx: "automatic",
          define: { "process.env.NODE_ENV": '"production"' },
        });
        built.set(name, outputFiles[0].text);
      }
      return built.get(name);
    });
  }, { scope: "worker" }],

  /** Opens the page of a package with these data attributes. */
  open: async ({ page, context, violations, site, emulator, bundle }, use) => {
    await use(async (name, provider, data = {}) => {
      await emulateHosts(context, violations, emulator, provider);
      const all = { "site-key": emulator.site(provider).site_key, ...data };
      const attributes = Object.entries(all).map(([key, value]) => `data-${key}="${value}"`).join(" ");
      site.add("/page.js", { type: "text/javascript", body: await bundle(name) });
      site.add("/", {
        policy: policy(SOURCES[provider]),
        body: `<!doctype html><title>${name}</title><div id="root" ${attributes}></div><script src="/page.js"></script>`,
      });
      await page.goto(`${site.base}/`);
    });
  },
});

const box = (page) => page.frameLocator("iframe").getByRole("checkbox");
const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
const values = (page, name) => page.evaluate((what) => window.callbacks.filter(([n]) => n === what).map(([, v]) => v), name);

/** Waits until the callback was called `count` times, and returns its last value. */
async function callback(page, name, count = 1) {
  await expect.poll(async () => (await values(page, name)).length).toBe(count);
  return (await values(page, name))[count - 1];
}

async function expectNothingLeft(page) {
  await expect(page.locator("iframe")).toHaveCount(0);
  await expect(page.locator("textarea, input")).toHaveCount(0);
}

const BOXES = [
  ["turnstile", "turnstile", {}],
  ["hcaptcha", "hcaptcha", {}],
  ["recaptcha-v2", "recaptcha-v2", {}],
  ["recaptcha-v2", "recaptcha-enterprise", { enterprise: true }],
];

for (const [name, provider, data] of BOXES) {
  test.describe(`${name} for ${provider}`, () => {
    test("a ticked box gives a token, and another one after a reset", async ({ page, emulator, open }) => {
      await open(name, provider, data);
      await expect(box(page)).toBeEnabled();
      await box(page).press("Space");
      const first = await callback(page, "solved");
      await press(page, "Reset");
      await expect(box(page)).not.toBeChecked();
      await box(page).check();
      const second = await callback(page, "solved", 2);
      expect(second).not.toBe(first);
      for (const token of [first, second]) {
        const verdict = await verify(emulator, provider, token);
        expect(verdict).toMatchObject({ success: true, hostname: "127.0.0.1" });
        if (provider === "turnstile") { expect(verdict).toMatchObject({ action: "signup", cdata: "session_1" }); }
      }
      expect((await verify(emulator, provider, first)).success, "a token passes once").toBe(false);
    });

    test("it leaves nothing when it is unmounted, and can be mounted again", async ({ page, open }) => {
      await open(name, provider, data);
      await box(page).check();
      await callback(page, "solved");
      await press(page, "Unmount");
      await expectNothingLeft(page);
      await press(page, "Mount");
      await box(page).check();
      await callback(page, "solved", 2);
    });

    test("an expired token is reported", async ({ page, emulator, open }) => {
      await emulator.knobs({ token_ttl_ms: 300 });
      await open(name, provider, data);
      await box(page).check();
      await callback(page, "solved");
      await callback(page, "expired");
      await expect(box(page)).not.toBeChecked();
    });

    test("an unknown site key is reported", async ({ page, open }) => {
      await open(name, provider, { ...data, "site-key": "0xunknown" });
      // hCaptcha reports the error when a challenge is requested.
      if (provider === "hcaptcha") { await box(page).click(); }
      const code = { turnstile: "110100", hcaptcha: "invalid-data" }[provider] ?? null;
      expect(await callback(page, "failed") ?? null).toBe(code);
    });
  });
}

test("turnstile uses the configured language, and reports that it needs a click and that it timed out", async ({ page, emulator, open }) => {
  await emulator.knobs({ challenge_ttl_ms: 200 });
  await open("turnstile", "turnstile");
  await expect(page.frameLocator("iframe").getByLabel("Ich bin ein Mensch")).toBeVisible();
  await expect.poll(async () => (await values(page, "timedOut")).length).toBeGreaterThan(0);
  expect((await values(page, "interactive")).length).toBeGreaterThan(0);
});

test("hcaptcha reports an expired challenge", async ({ page, emulator, open }) => {
  await emulator.knobs({ challenge_ttl_ms: 200 });
  await open("hcaptcha", "hcaptcha");
  await expect.poll(async () => (await values(page, "timedOut")).length).toBeGreaterThan(0);
});

for (const [name, provider, data] of BOXES.filter(([name]) => name !== "turnstile")) {
  test(`an invisible ${provider} is executed by the page`, async ({ page, emulator, open }) => {
    await open(name, provider, { ...data, size: "invisible" });
    await expect(page.locator("iframe")).toBeHidden();
    await press(page, "Execute");
    const token = await callback(page, "executed");
    expect(await callback(page, "solved")).toBe(token);
    expect(await verify(emulator, provider, token)).toMatchObject({ success: true, hostname: "127.0.0.1" });
  });
}

test("an invisible hcaptcha with a wrong key rejects", async ({ page, open }) => {
  await open("hcaptcha", "hcaptcha", { size: "invisible", "site-key": "unknown" });
  await press(page, "Execute");
  expect(await callback(page, "rejected")).toBe("invalid-data");
  expect(await callback(page, "failed")).toBe("invalid-data");
});

for (const [provider, data] of [["recaptcha-v3", {}], ["recaptcha-enterprise", { enterprise: true }]]) {
  test.describe(`scores for ${provider}`, () => {
    test("every execution gives a new token for its action", async ({ page, emulator, open }) => {
      await open("recaptcha-v3", provider, data);
      await press(page, "Execute");
      const first = await callback(page, "executed");
      await press(page, "Execute");
      const second = await callback(page, "executed", 2);
      expect(second).not.toBe(first);
      for (const token of [first, second]) {
        const verdict = await verify(emulator, provider, token);
        expect(verdict).toMatchObject({ success: true, hostname: "127.0.0.1", action: "checkout/pay" });
        expect(verdict.score).toBeGreaterThan(0.5);
      }
      // The frames are removed after the execution.
      await expect(page.locator("iframe")).toHaveCount(0);
    });

    test("it leaves nothing when it is unmounted, and can be mounted again", async ({ page, open }) => {
      await open("recaptcha-v3", provider, data);
      await press(page, "Execute");
      await callback(page, "executed");
      await press(page, "Unmount");
      await expectNothingLeft(page);
      await expect(page.locator(".grecaptcha-badge")).toHaveCount(0);
      await press(page, "Mount");
      await press(page, "Execute");
      await callback(page, "executed", 2);
    });

    test("a bot gets a low score", async ({ page, emulator, open }) => {
      await emulator.knobs({ visitors_are_bots: true });
      await open("recaptcha-v3", provider, data);
      await press(page, "Execute");
      const verdict = await verify(emulator, provider, await callback(page, "executed"));
      expect(verdict.success).toBe(true);
      expect(verdict.score).toBeCloseTo(0.1);
    });

    test("an unknown site key is reported", async ({ page, open }) => {
      await open("recaptcha-v3", provider, { ...data, "site-key": "unknown" });
      await press(page, "Execute");
      expect(String(await callback(page, "rejected"))).toContain("Invalid site key");
    });
  });
}
