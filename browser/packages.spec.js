// The providers' own packages for React, and those that people use for reCAPTCHA, against the emulator in the
// place of the providers' hosts. They ask for what they need of a provider's script, so they hold ours to it.

import path from "node:path";
import { build } from "esbuild";
import { expect, policy, test as base } from "./site.js";
import { SOURCES, standIn, verify } from "./providers.js";

/** `bundle(name)` is the script of a page, made once a worker. */
const test = base.extend({
  bundle: [async ({}, use) => {
    const made = new Map();
    await use(async (name) => {
      if (!made.has(name)) {
        const { outputFiles } = await build({
          entryPoints: [path.join(import.meta.dirname, "pages", `${name}.jsx`)],
          bundle: true,
          write: false,
          format: "iife",
          jsx: "automatic",
          define: { "process.env.NODE_ENV": '"production"' },
        });
        made.set(name, outputFiles[0].text);
      }
      return made.get(name);
    });
  }, { scope: "worker" }],

  /** Opens the page of a package, with these data for it. */
  open: async ({ page, context, trouble, site, emulator, bundle }, use) => {
    await use(async (name, provider, data = {}) => {
      await standIn(context, trouble, emulator, provider);
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
const all = (page, name) => page.evaluate((what) => window.heard.filter(([n]) => n === what).map(([, v]) => v), name);

/** The `count`th value of this name, once it is there. */
async function heard(page, name, count = 1) {
  await expect.poll(async () => (await all(page, name)).length).toBe(count);
  return (await all(page, name))[count - 1];
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
    test("a box that is ticked is a token, and another after a reset", async ({ page, emulator, open }) => {
      await open(name, provider, data);
      await expect(box(page)).toBeEnabled();
      await box(page).press("Space");
      const first = await heard(page, "solved");
      await press(page, "Reset");
      await expect(box(page)).not.toBeChecked();
      await box(page).check();
      const second = await heard(page, "solved", 2);
      expect(second).not.toBe(first);
      for (const token of [first, second]) {
        const verdict = await verify(emulator, provider, token);
        expect(verdict).toMatchObject({ success: true, hostname: "127.0.0.1" });
        if (provider === "turnstile") { expect(verdict).toMatchObject({ action: "signup", cdata: "session_1" }); }
      }
      expect((await verify(emulator, provider, first)).success, "a token is good once").toBe(false);
    });

    test("nothing is left when it is gone, and it can come back", async ({ page, open }) => {
      await open(name, provider, data);
      await box(page).check();
      await heard(page, "solved");
      await press(page, "Unmount");
      await expectNothingLeft(page);
      await press(page, "Mount");
      await box(page).check();
      await heard(page, "solved", 2);
    });

    test("an expired token is told", async ({ page, emulator, open }) => {
      await emulator.knobs({ token_ttl_ms: 300 });
      await open(name, provider, data);
      await box(page).check();
      await heard(page, "solved");
      await heard(page, "expired");
      await expect(box(page)).not.toBeChecked();
    });

    test("a key that nobody knows is told", async ({ page, open }) => {
      await open(name, provider, { ...data, "site-key": "0xnobody" });
      // Which hCaptcha finds out when it is asked for a challenge.
      if (provider === "hcaptcha") { await box(page).click(); }
      const code = { turnstile: "110100", hcaptcha: "invalid-data" }[provider] ?? null;
      expect(await heard(page, "failed") ?? null).toBe(code);
    });
  });
}

test("turnstile speaks the language it is told, and says that it asks and gives up", async ({ page, emulator, open }) => {
  await emulator.knobs({ challenge_ttl_ms: 200 });
  await open("turnstile", "turnstile");
  await expect(page.frameLocator("iframe").getByLabel("Ich bin ein Mensch")).toBeVisible();
  await expect.poll(async () => (await all(page, "timedOut")).length).toBeGreaterThan(0);
  expect((await all(page, "asked")).length).toBeGreaterThan(0);
});

test("hcaptcha says that a challenge was not taken", async ({ page, emulator, open }) => {
  await emulator.knobs({ challenge_ttl_ms: 200 });
  await open("hcaptcha", "hcaptcha");
  await expect.poll(async () => (await all(page, "timedOut")).length).toBeGreaterThan(0);
});

for (const [name, provider, data] of BOXES.filter(([name]) => name !== "turnstile")) {
  test(`an invisible ${provider} is asked by the page`, async ({ page, emulator, open }) => {
    await open(name, provider, { ...data, size: "invisible" });
    await expect(page.locator("iframe")).toBeHidden();
    await press(page, "Execute");
    const token = await heard(page, "executed");
    expect(await heard(page, "solved")).toBe(token);
    expect(await verify(emulator, provider, token)).toMatchObject({ success: true, hostname: "127.0.0.1" });
  });
}

test("an invisible hcaptcha with a wrong key rejects", async ({ page, open }) => {
  await open("hcaptcha", "hcaptcha", { size: "invisible", "site-key": "nobody" });
  await press(page, "Execute");
  expect(await heard(page, "rejected")).toBe("invalid-data");
  expect(await heard(page, "failed")).toBe("invalid-data");
});

for (const [provider, data] of [["recaptcha-v3", {}], ["recaptcha-enterprise", { enterprise: true }]]) {
  test.describe(`scores for ${provider}`, () => {
    test("every question is a token for its action", async ({ page, emulator, open }) => {
      await open("recaptcha-v3", provider, data);
      await press(page, "Execute");
      const first = await heard(page, "executed");
      await press(page, "Execute");
      const second = await heard(page, "executed", 2);
      expect(second).not.toBe(first);
      for (const token of [first, second]) {
        const verdict = await verify(emulator, provider, token);
        expect(verdict).toMatchObject({ success: true, hostname: "127.0.0.1", action: "checkout/pay" });
        expect(verdict.score).toBeGreaterThan(0.5);
      }
      // The frames are gone with their answers.
      await expect(page.locator("iframe")).toHaveCount(0);
    });

    test("nothing is left when it is gone, and it can come back", async ({ page, open }) => {
      await open("recaptcha-v3", provider, data);
      await press(page, "Execute");
      await heard(page, "executed");
      await press(page, "Unmount");
      await expectNothingLeft(page);
      await expect(page.locator(".grecaptcha-badge")).toHaveCount(0);
      await press(page, "Mount");
      await press(page, "Execute");
      await heard(page, "executed", 2);
    });

    test("a bot gets a low score", async ({ page, emulator, open }) => {
      await emulator.knobs({ visitors_are_bots: true });
      await open("recaptcha-v3", provider, data);
      await press(page, "Execute");
      const verdict = await verify(emulator, provider, await heard(page, "executed"));
      expect(verdict.success).toBe(true);
      expect(verdict.score).toBeCloseTo(0.1);
    });

    test("a key that nobody knows is told", async ({ page, open }) => {
      await open("recaptcha-v3", provider, { ...data, "site-key": "nobody" });
      await press(page, "Execute");
      expect(String(await heard(page, "rejected"))).toContain("Invalid site key");
    });
  });
}
