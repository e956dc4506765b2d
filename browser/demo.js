// The demo as a child process, and what a person does on its pages.

import path from "node:path";
import { expect, start } from "./fixtures.js";

/** Where the demo keeps the widget that it fetches, and where pictures of its pages go. */
const OUTPUT = path.resolve(import.meta.dirname, "../target/browser");
export const PICTURES = path.join(OUTPUT, "screenshots");

/** A demo on a free port: its address without the slash at the end, and `stop`. */
export async function startDemo(...options) {
  const { started, stop } = await start(
    ["demo", "--addr", "127.0.0.1:0", ...options],
    (line) => line.match(/^(http:\S+)\/$/)?.[1],
    { XDG_CACHE_HOME: path.join(OUTPUT, "cache") },
  );
  return { base: started, stop };
}

/** Types a name and an address, as a person would. */
export async function typeIn(page, name = "Ada") {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("E-mail").fill("ada@example.com");
}

/** Sends the form as it is, although the browser would rather have a box ticked first. */
export async function sendAnyway(page) {
  await page.locator("main form").first().evaluate((form) => { form.noValidate = true; });
  await page.getByRole("button", { name: "Sign up" }).click();
}

/** Ticks whatever box a provider shows, and waits until its answer is there. */
export async function complete(page, provider, field) {
  // Nothing to do: the answer is asked for when the form is sent.
  if (/-v3$|-enterprise$/.test(provider)) { return; }
  if (provider === "altcha") {
    await page.locator("altcha-widget label").click();
    await expect(page.locator("altcha-widget input[type=checkbox]")).toBeChecked();
  } else {
    // CaptchaLa's is a button in the page itself, and the others' are frames.
    const box = provider === "captchala"
      ? page.getByRole("checkbox", { name: "I am human (emulated)" })
      : page.locator(`.${CLASSES[provider]}`).frameLocator("iframe").getByRole("checkbox");
    await expect(box).toBeEnabled();
    await box.click();
  }
  await expect.poll(() => page.locator(`[name="${field}"]`).first().inputValue()).not.toBe("");
}

/** By which each provider's script finds its element. */
const CLASSES = { "turnstile": "cf-turnstile", "hcaptcha": "h-captcha", "recaptcha-v2": "g-recaptcha" };

/** The name of the field that each provider's answer is posted in. */
export const FIELDS = {
  "altcha": "altcha",
  "turnstile": "cf-turnstile-response",
  "hcaptcha": "h-captcha-response",
  "recaptcha-v2": "g-recaptcha-response",
  "recaptcha-v3": "g-recaptcha-response",
  "recaptcha-enterprise": "g-recaptcha-response",
  "captchala": "captchala_token",
};
