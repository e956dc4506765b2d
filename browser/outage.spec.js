// The outage page of the demo in a real browser: a visitor breaks the first provider, and signs up by
// the next one.

import { complete, startDemo } from "./demo.js";
import { expect, test } from "./fixtures.js";

/** Breaks the first provider: names of boxes to tick, and the score of visitors. */
async function breakProvider(page, boxes, score = /^good/) {
  for (const name of boxes) { await page.getByRole("checkbox", { name }).check(); }
  await page.getByRole("radio", { name: score }).check();
  await page.getByRole("button", { name: "Apply" }).click();
  await page.waitForURL(/\/outage$/);
}

/** Leaves the page before its servers end, so that no widget on it loses its connection. */
async function leave(page, demo) {
  await page.goto("about:blank");
  await demo.stop();
}

const shows = (page, account, why) => expect(page.locator("#why")).toHaveText(`The page shows the account ${account}: ${why}.`);

async function signUp(page) {
  await page.getByLabel("Name").fill("Ada");
  await page.getByRole("button", { name: "Sign up" }).click();
}

async function finishes(page, provider, field) {
  await complete(page, provider, field);
  await page.getByRole("button", { name: "Sign up" }).click();
  await expect(page.getByRole("alert")).toContainText("You are signed up");
}

const CASES = [
  ["the service", [/^the service/], /^good/, ["spare", "fallback", "turnstile", "cf-turnstile-response"]],
  ["the quota", [/^the quota/], /^good/, ["spare", "fallback", "turnstile", "cf-turnstile-response"]],
  ["the score", [], /^slightly/, ["stronger", "step-up", "hcaptcha", "h-captcha-response"]],
];
for (const [name, boxes, score, [account, why, provider, field]] of CASES) {
  test(`the form goes on after ${name} fails`, async ({ page }) => {
    const demo = await startDemo();
    try {
      await page.goto(`${demo.base}/outage`);
      await shows(page, "main", "primary");
      await breakProvider(page, boxes, score);
      await complete(page, "captchala", "captchala_token");
      await signUp(page);
      await shows(page, account, why);
      await expect(page.getByLabel("Name")).toHaveValue("Ada");
      await finishes(page, provider, field);
      const row = page.getByRole("row").filter({ hasText: "human" }).first();
      await expect(row).toContainText(`${account}${why}${provider}`);
    } finally {
      await leave(page, demo);
    }
  });
}

test("a script that cannot be loaded is replaced at once", async ({ page }) => {
  const demo = await startDemo();
  try {
    await page.goto(`${demo.base}/outage`);
    await breakProvider(page, [/^the script/]);
    await shows(page, "spare", "widget-failure");
    await page.getByLabel("Name").fill("Ada");
    await finishes(page, "turnstile", "cf-turnstile-response");
  } finally {
    await leave(page, demo);
  }
});
