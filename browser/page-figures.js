// Measures pages with the page script against the page of each provider's own documentation, in one run, and
// memory after 1,000 shows. Prints tables for docs/benchmarks.md. Usage: `node page-figures.js [runs]`.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { chromium } from "@playwright/test";
import { account, KINDS, routes, SCORES, startExample, startSite } from "./app.js";
import { startEmulator } from "./binary.js";
import config from "./playwright.config.js";

const runs = Number(process.argv[2] || 15);
const emulator = await startEmulator();
const browser = await chromium.launch(config.use.launchOptions);
const key = (kind) => emulator.site(kind).site_key;
const tag = (src, more = "async defer") => `<script src="${emulator.base}${src}" ${more}></script>`;

/** The page of each provider's documentation: its script and its element, in a form. */
const WRITTEN = {
  "altcha": () => `<script type="module" src="/human-check-altcha/widget.js"></script><link rel="stylesheet" href="/human-check-altcha/altcha.css">
    <altcha-widget challenge="/human-check-altcha/challenge"></altcha-widget>`,
  "cap": () => `${tag("/cap/cap.min.js", "")}<cap-widget data-cap-api-endpoint="${emulator.base}/cap/${key("cap")}/"></cap-widget>`,
  "captchafox": () => `${tag("/api.js")}<div class="captchafox" data-sitekey="${key("captchafox")}"></div>`,
  "captchala": () => `<div id="box"></div><input type="hidden" name="captchala_token">${tag("/captchala-loader.js", "defer")}<script>
    document.addEventListener("DOMContentLoaded", () => loadCaptchala(() => {
      Captchala.init({ appKey: "${key("captchala")}", product: "float", lang: "auto" })
        .onSuccess((result) => { document.querySelector("[name=captchala_token]").value = result.token; }).appendTo("#box");
    }));</script>`,
  "friendly-captcha": () => `${tag("/friendly-captcha/site.min.js", 'type="module"')}<div class="frc-captcha" data-sitekey="${key("friendly-captcha")}"></div>`,
  "hcaptcha": () => `${tag("/1/api.js")}<div class="h-captcha" data-sitekey="${key("hcaptcha")}"></div>`,
  "mcaptcha": () => `<iframe src="${emulator.base}/widget/?sitekey=${key("mcaptcha")}" title="mCaptcha"></iframe>`,
  "recaptcha-v2": () => `${tag("/recaptcha/api.js")}<div class="g-recaptcha" data-sitekey="${key("recaptcha-v2")}"></div>`,
  "turnstile": () => `${tag("/turnstile/v0/api.js")}<div class="cf-turnstile" data-sitekey="${key("turnstile")}"></div>`,
};
const IN_PAGE = ["cap", "captchafox", "captchala", "friendly-captcha"];

/** Opens a page, waits until the visitor can act, and returns what it took. */
async function visit(url, kind) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Performance.enable");
  let requests = 0;
  page.on("request", ({ url: at }) => { if (!/favicon/.test(at)) { requests += 1; } });
  await page.goto(url);
  const box = kind === "altcha" ? page.locator("altcha-widget input[type=checkbox]")
    : (IN_PAGE.includes(kind) ? page : page.frameLocator("iframe")).getByRole("checkbox", { name: "I am human (emulated)" });
  await box.waitFor({ state: "attached" });
  while (!await box.isEnabled()) { /* again */ }
  const ready = await page.evaluate(() => performance.now());
  const { metrics } = await session.send("Performance.getMetrics");
  const blocking = metrics.find(({ name }) => name === "ScriptDuration").value * 1000;
  await context.close();
  return { ready, blocking, requests };
}

function median(values) {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)];
}

const source = readFileSync(new URL("../packages/human-check/human-check.js", import.meta.url));
console.log(`human-check.js: ${source.length} bytes, ${gzipSync(source, { level: 9 }).length} with gzip -9\n`);
console.log("| kind | requests | script time, ms | ready, ms | ratio |\n|---|--:|--:|--:|--:|");
for (const kind of KINDS.filter((name) => !SCORES.includes(name))) {
  const example = await startExample(emulator, account(emulator, "main", kind) + routes('use = "main"'));
  const place = (await (await fetch(`${example.address}/`)).text()).match(/<div data-human-check="signup".*?<\/div>/)[0];
  const site = await startSite(() => example.address);
  const form = (inside) => `<!doctype html><title>page</title><form method="post" action="/signup"><input name="email">${inside}<button>Send</button></form>`;
  site.raw("/written", form(WRITTEN[kind]()));
  site.raw("/scripted", `${form(place)}<script type="module" src="/human-check/human-check.js"></script>`);
  const taken = { written: [], scripted: [] };
  for (let run = 0; run < runs; run += 1) {
    for (const name of run % 2 ? ["written", "scripted"] : ["scripted", "written"]) { taken[name].push(await visit(`${site.base}/${name}`, kind)); }
  }
  const of = (name, what) => median(taken[name].map((visited) => visited[what]));
  const cell = (what, digits = 0) => `${of("scripted", what).toFixed(digits)} (${of("written", what).toFixed(digits)})`;
  const ratio = (of("scripted", "ready") / of("written", "ready")).toFixed(2);
  console.log(`| \`${kind}\` | ${cell("requests")} | ${cell("blocking", 1)} | ${cell("ready")} | ${ratio} |`);
  await Promise.all([site.stop(), example.stop()]);
}

console.log("\n| after | heap, KB | DOM nodes | listeners |\n|---|--:|--:|--:|");
const example = await startExample(emulator, account(emulator, "main", "turnstile") + routes('use = "main"'));
const site = await startSite(() => example.address);
await site.page("/page", `<div id="host"></div>`);
const page = await browser.newPage();
await page.goto(`${site.base}/page`);
const session = await page.context().newCDPSession(page);
await session.send("Performance.enable");
for (let shows = 0; shows <= 1000; shows += 100) {
  if (shows > 0) {
    await page.evaluate(async () => {
      const host = document.getElementById("host");
      const reached = (state, act) => new Promise((resolve) => {
        host.addEventListener("human-check", function listen({ detail }) {
          if (detail.state === state) { host.removeEventListener("human-check", listen); resolve(); }
        });
        act();
      });
      // Half of them are places that are inserted and removed, half are resets of one place.
      for (let count = 0; count < 50; count += 1) {
        await reached("shown", () => { host.innerHTML = '<form><div data-human-check="signup"></div><input name="x"></form>'; });
        humanCheck.reset("signup");
        await reached("shown", () => { host.querySelector("[name=x]").blur(); host.querySelector("[name=x]").focus(); });
      }
      host.replaceChildren();
    });
  }
  // The time limits of the last widgets end.
  if (shows === 1000) { await page.waitForTimeout(11_000); }
  for (let times = 0; times < 3; times += 1) { await session.send("HeapProfiler.collectGarbage"); }
  const { metrics } = await session.send("Performance.getMetrics");
  const value = (name) => metrics.find((metric) => metric.name === name).value;
  if ([0, 100, 500, 1000].includes(shows)) {
    console.log(`| ${shows} shows | ${Math.round(value("JSHeapUsedSize") / 1024)} | ${value("Nodes")} | ${value("JSEventListeners")} |`);
  }
}
await Promise.all([site.stop(), example.stop(), browser.close(), emulator.stop()]);
