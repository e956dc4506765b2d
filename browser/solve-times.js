// Measures the time in milliseconds from the click to the tick of the widget, for each preset of the proof
// of work, and prints a table for docs/benchmarks.md. Usage: `node solve-times.js [runs]`.

import { chromium } from "@playwright/test";
import { startDemo } from "./demo.js";
import config from "./playwright.config.js";

const runs = Number(process.argv[2] || 10);
const browser = await chromium.launch(config.use.launchOptions);
console.log("| preset | median | fastest | slowest |\n|---|--:|--:|--:|");
for (const preset of ["light", "standard", "sha", "scrypt", "argon2id"]) {
  const demo = await startDemo("--difficulty", preset);
  const times = [];
  for (let run = 0; run < runs; run += 1) {
    const page = await browser.newPage();
    await page.goto(demo.base);
    await page.locator("altcha-widget input[type=checkbox]").waitFor();
    times.push(await page.locator("altcha-widget").evaluate((widget) => new Promise((resolve, reject) => {
      // By default the widget takes at least half a second.
      widget.configure({ minDuration: 0 });
      let start = 0;
      widget.addEventListener("statechange", ({ detail }) => {
        if (detail.state === "verified") { resolve(performance.now() - start); }
        if (detail.state === "error") { reject(new Error("not solved")); }
      });
      start = performance.now();
      widget.verify();
    })));
    await page.close();
  }
  times.sort((one, other) => one - other);
  const middle = (times[Math.floor((runs - 1) / 2)] + times[Math.ceil((runs - 1) / 2)]) / 2;
  console.log(`| \`${preset}\` | ${[middle, times[0], times[runs - 1]].map(Math.round).join(" | ")} |`);
  await demo.stop();
}
await browser.close();
