// Starts the demo as a child process, and has the steps of a visitor on its pages.

import path from "node:path";
import { expect, start } from "./fixtures.js";

/** The folder for the widget that the demo downloads, and for screenshots of its pages. */
const OUTPUT = path.resolve(import.meta.dirname, "../target/browser");
export const SCREENSHOTS = path.join(OUTPUT, "screenshots");

/** Starts a demo on a free port. Returns its address without the trailing slash, and `stop`. */
export async function startDemo(...options) {
  const { started, stop } = await start(
    ["demo", "--addr", "127.0.0.1:0", ...options],
    (line) => line.match(/^(http:\S+)\/$/)?.[1],
    { XDG_CACHE_HOME: path.join(OUTPUT, "cache") },
  );
  return { base: started, stop };
}

/** Types a name and an e-mail address. */
export async function typeIn(page, name = "Ada") {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("E-mail").fill("ada@example.com");
}

/** Sends the form without the browser's validation, which requires a ticked box. */
export async function sendAnyway(page) {
  await page.locator("main form").first().evaluate((form) => { form.noValidate = true; });
  await page.getByRole("button", { name: "Sign up" }).click();
}

/** Ticks the provider's box, if it has one, and waits until the field contains a token. */
export async function complete(page, provider, field) {
  // These providers have no box. The page gets a token when the form is sent.
  if (/-v3$|-enterprise$/.test(provider)) { return; }
  if (provider === "altcha") {
    await page.locator("altcha-widget label").click();
    await expect(page.locator("altcha-widget input[type=checkbox]")).toBeChecked();
  } else {
    // CaptchaLa's box is a button in the page itself. Those of the other providers are in frames.
    const box = provider === "captchala"
      ? page.getByRole("checkbox", { name: "I am human (emulated)" })
      : page.locator(`.${CLASSES[provider]}, [data-human-check]`).first().frameLocator("iframe").getByRole("checkbox");
    await expect(box).toBeEnabled();
    await box.click();
  }
  await expect.poll(() => page.locator(`[name="${field}"], input.human-check`).first().inputValue()).not.toBe("");
}

/** The class by which each provider's script finds its element. */
const CLASSES = { "turnstile": "cf-turnstile", "hcaptcha": "h-captcha", "recaptcha-v2": "g-recaptcha" };

/** The name of the form field with each provider's token. */
export const FIELDS = {
  "altcha": "altcha",
  "turnstile": "cf-turnstile-response",
  "hcaptcha": "h-captcha-response",
  "recaptcha-v2": "g-recaptcha-response",
  "recaptcha-v3": "g-recaptcha-response",
  "recaptcha-enterprise": "g-recaptcha-response",
  "captchala": "captchala_token",
};
