// An experiment as a visitor's browser takes part in it, and the page of its report.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { AxeBuilder } from "@axe-core/playwright";
import { account, expect, routes, solve, test } from "./app.js";
import { PROGRAMS } from "./binary.js";
import { SCREENSHOTS } from "./demo.js";

const FORM = `<form id="form" method="post" action="/signup"><label>E-mail <input name="email" value="a@example.com"></label>
  <div data-human-check="signup"></div><button>Send</button></form>`;

/**
 * Starts an application with an experiment, in which nearly every visitor is in the arm `new`. The site of the tests has fetched
 * a page with `shown` challenges before.
 */
async function experiment({ app, emulator, page }, shown, more = "", options = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), "human-check-experiment-"));
  const file = path.join(folder, "events.jsonl");
  const table = `[experiment]\nname = "e"\narms = { old = 0.001, new = 1000 }\nfile = ${JSON.stringify(file)}\n${more}\n`;
  const accounts = account(emulator, "old", "hcaptcha") + account(emulator, "new", "turnstile");
  const site = await app(accounts + table + routes('use = "old"\noffer_keys = [{ env = "OFFER_KEY" }]'));
  await site.page("/page", FORM, options);
  const all = async () => (await readFile(file, "utf8")).trim().split("\n").filter(Boolean).map((line) => JSON.parse(line)).filter(({ event }) => event);
  await expect.poll(async () => (await all()).length).toBe(shown);
  const lines = async () => (await all()).slice(shown);
  await page.goto(`${site.base}/page`);
  const words = async () => (await lines()).map(({ event }) => event);
  return { ...site, lines, words };
}

test("a visitor is shown one challenge, solves it, and is judged under one receipt", async ({ page, app, emulator, context }) => {
  const site = await experiment({ page, app, emulator }, 2);
  await solve(page, "turnstile", page.locator("[data-human-check]"));
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.locator("body")).toContainText("a@example.com");
  await expect.poll(site.words).toEqual(["shown", "loaded", "solved", "judged"]);
  const lines = await site.lines();
  expect(new Set(lines.map(({ receipt }) => receipt)).size).toBe(1);
  expect(lines.every(({ arm, first }) => arm === "new" && first)).toBe(true);
  expect(lines.find(({ event }) => event === "solved").ms).toBeGreaterThan(0);
  const cookies = (await context.cookies()).filter(({ name }) => name === "__Host-human-check-arm");
  expect(cookies).toMatchObject([{ httpOnly: true, secure: true, sameSite: "Lax" }]);
  // The second visit is in the same arm, and no first one.
  await page.goto(`${site.base}/page`);
  await expect.poll(async () => (await site.lines()).filter(({ event }) => event === "shown").map(({ first }) => first)).toEqual([true, false]);
});

test("with consent, a visitor takes part once cookies are allowed", async ({ page, app, emulator, context }) => {
  const site = await experiment({ page, app, emulator }, 0, "consent = true", { script: `data-consent="wait"` });
  const status = page.getByRole("status");
  await expect(status).toHaveText("The verification loads once you allow it on this page.");
  expect(await context.cookies()).toEqual([]);
  await page.evaluate(() => humanCheck.allow());
  await solve(page, "turnstile", page.locator("[data-human-check]"));
  await page.getByRole("button", { name: "Send" }).click();
  await expect(page.locator("body")).toContainText("a@example.com");
  await expect.poll(site.words).toEqual(["shown", "loaded", "solved", "judged"]);
});

/** Writes the events of an experiment of 17 days with a known truth, and returns the page of its report. */
async function report() {
  const folder = await mkdtemp(path.join(tmpdir(), "human-check-report-"));
  const [events, html] = ["events.jsonl", "report.html"].map((name) => path.join(folder, name));
  let seed = 7;
  const random = () => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed / 2147483648; };
  const arms = [{ name: "hcaptcha", weights: [0.5] }, { name: "turnstile", weights: [0.5] }];
  const lines = [{ version: 2, at: "2026-11-02T00:00:00Z", writer: "a", file: 1, experiment: { name: "signup-2026", arms, planned: 41694, margin: 0.01 } }];
  for (let visitor = 0; visitor < 17_000; visitor += 1) {
    const nth = Math.floor(random() * 2);
    const [arm, receipt] = [arms[nth].name, visitor.toString(16).padStart(32, "0")];
    const at = `2026-11-${String(2 + Math.floor(visitor / 1000)).padStart(2, "0")}T12:00:00Z`;
    const own = { at, receipt, route: "signup", arm, first: true, bucket: visitor % 256 };
    lines.push({ ...own, event: "shown", provider: arm, why: "arm" });
    lines.push({ ...own, event: "loaded", ms: 300 + 600 * random() });
    if (random() < [0.95, 0.97][nth]) {
      lines.push({ ...own, event: "solved", ms: [6000, 1300][nth] * (0.5 + random()) });
      lines.push({ ...own, event: "judged", provider: arm, outcome: "human", ms: 40 + 60 * random() });
      if (random() < 0.95) { lines.push({ ...own, event: "completed" }); }
    }
  }
  await writeFile(events, lines.map((line) => JSON.stringify(line)).join("\n"));
  await promisify(execFile)(path.join(PROGRAMS, "human-check"), ["report", events, "--html", html]);
  return html;
}

test("the report says first what was found, and reads well on every screen and on paper", async ({ browser }) => {
  await mkdir(SCREENSHOTS, { recursive: true });
  const html = await report();
  for (const [name, width, colorScheme, media] of [["wide", 1280, "light"], ["dark", 1280, "dark"], ["phone", 390, "light"], ["print", 794, "light", "print"]]) {
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, javaScriptEnabled: true });
    const page = await context.newPage();
    const requests = [];
    page.on("request", (request) => requests.push(request.url()));
    await page.emulateMedia({ media: media ?? "screen", colorScheme });
    await page.goto(`file://${html}`);
    await expect(page.getByRole("heading", { level: 2 }).first()).toHaveText("turnstile completes more than hcaptcha");
    const sizes = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth,
      text: Math.min(...[...document.querySelectorAll("body *")].filter((element) => element.innerText?.trim()).map((element) => parseFloat(getComputedStyle(element).fontSize))),
      scripts: document.scripts.length,
    }));
    expect(sizes.wide, name).toBeLessThanOrEqual(width);
    expect(sizes.text, name).toBeGreaterThanOrEqual(12);
    expect(sizes.scripts).toBe(0);
    expect(requests).toEqual([`file://${html}`]);
    await page.screenshot({ path: path.join(SCREENSHOTS, `report-${name}.png`), fullPage: true });
    if (!media) {
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html: part }) => part)}`), name).toEqual([]);
    }
    await context.close();
  }
});
