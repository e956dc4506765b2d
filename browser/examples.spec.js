// The pages of the three example applications: with a proof of work, whose challenges and widget the
// applications serve themselves, and with a provider.

import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, start, test as base } from "./fixtures.js";
import { emulateHosts } from "./providers.js";

const EXAMPLES = ["example-actix-signup", "example-axum-login", "example-rocket-comments"];
const SECRET = "a-secret-for-the-tests-0123456789";
const WIDGET = path.resolve(import.meta.dirname, "node_modules");

const test = base.extend({
  /** The fixture `run(program, variables)` starts an example and returns its address. */
  run: async ({}, use) => {
    const running = [];
    await use(async (program, variables) => {
      const env = { ADDR: "127.0.0.1:0", ...variables };
      const example = await start([], (line) => line.match(/^http:\S+$/)?.[0], env, program);
      running.push(example);
      return example.started;
    });
    await Promise.all(running.map(({ stop }) => stop()));
  },
});

const altcha = { HUMAN_CHECK_PROVIDER: "altcha", HUMAN_CHECK_SITE: "localhost", HUMAN_CHECK_SECRET: SECRET,
  HUMAN_CHECK_DIFFICULTY: "light", HUMAN_CHECK_WIDGET: WIDGET };

/** Sends the form and returns the status and the body of the response. */
async function send(page, button = "Sign up") {
  const [response] = await Promise.all([
    page.waitForResponse((response) => response.request().method() === "POST"),
    page.getByRole("button", { name: button }).click(),
  ]);
  return { status: response.status(), body: await response.text() };
}

for (const program of EXAMPLES) {
  test(`${program} accepts a proof of work once`, async ({ page, run }) => {
    const base = await run(program, { ...altcha, HUMAN_CHECK_ACTION: "signup" });
    await page.goto(base);
    const form = page.locator("#signup");
    await page.locator("#signup").getByLabel("E-mail").fill("ada@example.com");
    await form.locator("altcha-widget label").click();
    await expect(form.locator("altcha-widget input[type=checkbox]")).toBeChecked();
    await expect(form.locator("input.human-check").first()).not.toHaveValue("");
    const token = await form.locator("input.human-check").first().inputValue();
    const first = await send(page);
    expect(first.status).toBe(200);
    expect(JSON.parse(first.body)).toMatchObject({ ok: true, fields: { email: "ada@example.com" } });

    await page.goto(base);
    await page.locator("#signup").getByLabel("E-mail").fill("ada@example.com");
    const sent = page.waitForResponse((response) => response.request().method() === "POST");
    await form.evaluate((form, value) => {
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "altcha", value }));
      form.submit();
    }, token);
    expect((await sent).status()).toBe(403);
  });

  test(`${program} accepts a provider's token`, async ({ page, context, violations, emulator, run }) => {
    const { site_key, secret } = emulator.site("turnstile");
    const base = await run(program, { HUMAN_CHECK_PROVIDER: "turnstile", HUMAN_CHECK_SITE_KEY: site_key,
      HUMAN_CHECK_SECRET: secret, HUMAN_CHECK_BASE_URL: emulator.base, HUMAN_CHECK_HOSTNAMES: "127.0.0.1" });
    await emulateHosts(context, violations, emulator, "turnstile");
    await page.goto(base);
    await page.locator("#signup").getByLabel("E-mail").fill("ada@example.com");
    const form = page.locator("#signup");
    const box = form.frameLocator("iframe").getByRole("checkbox");
    await expect(box).toBeEnabled();
    await box.check();
    await expect(form.locator("input.human-check").first()).not.toHaveValue("");
    expect((await send(page)).status).toBe(200);
    await page.goBack();
    await expect(form.getByLabel("E-mail")).toHaveValue("ada@example.com");
  });

  test(`${program} shows the fallback in an outage, and sends the form again`, async ({ page, emulator, run }) => {
    const [a, b] = ["turnstile", "hcaptcha"].map((provider) => emulator.site(provider));
    const folder = await mkdtemp(path.join(tmpdir(), "human-check-"));
    const file = path.join(folder, "human-check.toml");
    // Nothing listens on port 1.
    await writeFile(file, `
[providers.main]
kind = "turnstile"
site_key = "${a.site_key}"
base_url = "http://127.0.0.1:1"
script_url = "${emulator.base}/turnstile/v0/api.js"
hostnames = ["127.0.0.1"]

[providers.spare]
kind = "hcaptcha"
site_key = "${b.site_key}"
base_url = "${emulator.base}"
hostnames = ["127.0.0.1"]

[check]
use = "main"
fallback = ["spare"]

[routes."*"]
`);
    const base = await run(program, { HUMAN_CHECK_CONFIG: file, HUMAN_CHECK_SECRET_MAIN: a.secret,
      HUMAN_CHECK_SECRET_SPARE: b.secret });
    await page.goto(base);
    await page.locator("#signup").getByLabel("E-mail").fill("ada@example.com");
    await page.locator("#signup").frameLocator("iframe").getByRole("checkbox").check();
    await expect(page.locator("#signup input.human-check").first()).not.toHaveValue("");
    expect((await send(page)).status).toBe(403);
    await page.locator(".h-captcha").frameLocator("iframe").getByRole("checkbox").check();
    await expect(page.locator("[name='h-captcha-response']").first()).not.toHaveValue("");
    const sent = await send(page, "Continue");
    expect(sent.status).toBe(200);
    expect(JSON.parse(sent.body)).toMatchObject({ ok: true, fields: { email: "ada@example.com" } });
    await page.goto(base);
    await expect(page.locator("#signup iframe[title*=hCaptcha]")).toBeVisible();
  });

  test(`${program} sends a comment by script with a proof of work`, async ({ page, run }) => {
    await page.goto(await run(program, altcha));
    const form = page.locator("#comment");
    await form.getByLabel("Comment").fill("hello");
    await form.locator("altcha-widget label").click();
    await expect(form.locator("altcha-widget input[type=checkbox]")).toBeChecked();
    await form.getByRole("button", { name: "Send" }).click();
    await expect(form.locator("output")).toHaveText("Thank you.");
    // A token counts once: the next comment needs a proof of its own.
    await expect(form.locator("altcha-widget")).toHaveCount(0);
    await form.getByRole("button", { name: "Send" }).click();
    await form.locator("altcha-widget label").click();
    await expect(form.getByRole("group").getByRole("status")).toHaveText("");
    await expect(form.locator("output")).toHaveText("Thank you.");
  });
}
