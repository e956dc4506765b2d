// Draws the panels of ops/grafana/human-check.json from a real Prometheus that has watched the demo while
// visitors came, a provider failed and a quota ended. It stands in for a picture of Grafana: the queries are
// those of the dashboard, the drawing is not. A run is short, so rates are those of 40 seconds, not of 5 minutes.
//
// Usage: node dashboard-picture.js [seconds]. Writes ../docs/images/dashboard.png.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "@playwright/test";
import { startDemo } from "./demo.js";
import config from "./playwright.config.js";

const seconds = Number(process.argv[2] || 240);
const dashboard = JSON.parse(readFileSync(path.resolve(import.meta.dirname, "../ops/grafana/human-check.json"), "utf8"));
const folder = mkdtempSync(path.join(tmpdir(), "dashboard-"));

/** Returns a port that is free now. */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

const demo = await startDemo();
const port = await freePort();
writeFileSync(path.join(folder, "prometheus.yml"), `global: { scrape_interval: 2s }
scrape_configs: [{ job_name: demo, static_configs: [{ targets: ["${new URL(demo.base).host}"] }] }]
`);
const prometheus = spawn("prometheus", [
  `--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`,
], { stdio: "ignore" });

const post = (where, form) => fetch(demo.base + where, { method: "POST", body: new URLSearchParams(form), redirect: "manual" });
const PROVIDERS = ["turnstile", "hcaptcha", "recaptcha-v3", "captchala"];
const start = Date.now();
const share = () => (Date.now() - start) / 1_000 / seconds;

/** One visitor after the other, until the time is over. What goes wrong depends on how far it is. */
async function visitors(number) {
  for (let n = number; share() < 1; n += 1) {
    const now = share();
    const provider = PROVIDERS[n % PROVIDERS.length];
    const chance = Math.random();
    let scene = chance < 0.12 ? "bot" : chance < 0.15 ? "replay" : "human";
    if (now > 0.35 && now < 0.55 && provider === "turnstile") { scene = "provider-down"; }
    if (now > 0.7 && now < 0.85 && provider === "hcaptcha") { scene = "quota-used-up"; }
    if (chance > 0.97) { scene = "slow-provider"; }
    await post("/simulate", { provider, scene });
    await sleep(100);
  }
}

/** The form with a fallback: its primary account fails for a while. */
async function outage() {
  await sleep(0.35 * seconds * 1_000);
  await post("/outage/break", { service: "true", score: "good" });
  await sleep(0.2 * seconds * 1_000);
  await post("/outage/break", { score: "good" });
}

/** One visitor of that form after the other: the challenge of the page, solved, is sent with its offer. */
async function pages() {
  while (share() < 1) {
    const page = await (await fetch(`${demo.base}/outage`)).text();
    const option = JSON.parse(page.match(/data-option="([^"]*)"/)[1].replaceAll("&quot;", '"').replaceAll("&amp;", "&"));
    const { origin } = new URL(option.widget.script);
    const minting = { provider: option.provider, site_key: option.sitekey, action: option.action, hostname: "localhost" };
    const minted = await fetch(`${origin}/emulator/mint`, { method: "POST", body: JSON.stringify(minting) });
    const { token } = await minted.json();
    await post("/outage", { name: "Ada", [option.field]: token, "human-check-offer": option.offer });
    await sleep(150);
  }
}

/** Comparisons of two providers. */
async function comparisons() {
  while (share() < 1) {
    await post("/side-by-side/simulate?first=turnstile&second=recaptcha-v3", {});
    await sleep(5_000);
  }
}

await Promise.all([visitors(0), visitors(1), outage(), pages(), comparisons()]);

const end = Date.now() / 1_000;
const steps = 160;
async function series(expression) {
  const query = expression.replaceAll("[5m]", "[40s]").replaceAll("$route", ".*");
  const range = new URLSearchParams({ query, start: end - seconds, end, step: Math.max(1, seconds / steps) });
  const reply = await (await fetch(`http://127.0.0.1:${port}/api/v1/query_range?${range}`)).json();
  if (reply.status !== "success") { throw new Error(`${query}: ${reply.error}`); }
  return reply.data.result;
}

const COLOURS = ["#2f6fb7", "#c8501e", "#2b8a57", "#8a4fb0", "#b58900", "#3f8f9f", "#b03060", "#667788"];
const escaped = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
function shown(value, unit) {
  if (unit === "percentunit") { return `${(100 * value).toFixed(1)} %`; }
  if (unit === "s") { return value < 1 ? `${(1_000 * value).toFixed(0)} ms` : `${value.toFixed(1)} s`; }
  const number = value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(2)));
  return unit === "reqps" ? `${number}/s` : number;
}

/** The legend of a series: the text of the dashboard with the labels in it. */
function legend(target, labels) {
  const text = (target.legendFormat || "").replace(/{{\s*(\w+)\s*}}/g, (_, name) => labels[name] || "");
  return text.trim() || Object.values(labels).join(" ") || "value";
}

function drawing(panel, lines, width, height) {
  const unit = panel.fieldConfig?.defaults?.unit;
  const values = lines.flatMap((line) => line.values.map(([, value]) => value)).filter(Number.isFinite);
  if (panel.type === "stat") {
    const last = lines.map((line) => line.values.at(-1)[1]).filter(Number.isFinite);
    return `<p class="stat">${shown(last.reduce((sum, value) => sum + value, 0), unit)}</p>`;
  }
  const most = Math.max(...values, 1e-9);
  const x = (time) => 48 + (width - 56) * (time - (end - seconds)) / seconds;
  const y = (value) => height - 8 - (height - 20) * value / most;
  const paths = lines.map((line, at) => {
    const points = line.values.filter(([, value]) => Number.isFinite(value)).map(([time, value]) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`);
    return `<polyline points="${points.join(" ")}" fill="none" stroke="${COLOURS[at % COLOURS.length]}" stroke-width="1.5"/>`;
  });
  const labels = lines.slice(0, 8).map((line, at) => `<li style="--colour:${COLOURS[at % COLOURS.length]}">${escaped(line.name)}</li>`);
  return `<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><line x1="48" x2="${width - 8}" y1="${y(0)}" y2="${y(0)}" stroke="#999"/>
    <text x="44" y="${y(most) + 4}">${shown(most, unit)}</text><text x="44" y="${y(0)}">0</text>${paths.join("")}</svg><ul>${labels.join("")}</ul>`;
}

const COLUMN = 58;
const parts = [];
const empty = [];
for (const panel of dashboard.panels) {
  if (panel.type === "row") { parts.push(`<h2>${escaped(panel.title)}</h2>`); continue; }
  const lines = [];
  for (const target of panel.targets) {
    for (const { metric, values } of await series(target.expr)) {
      lines.push({ name: legend(target, metric), values: values.map(([time, value]) => [time, Number(value)]) });
    }
  }
  if (lines.length === 0) { empty.push(panel.title); continue; }
  const width = panel.gridPos.w * COLUMN - 40;
  const height = panel.type === "stat" ? 40 : 120;
  parts.push(`<section style="grid-column: span ${panel.gridPos.w}"><h3>${escaped(panel.title)}</h3>${drawing(panel, lines, width, height)}</section>`);
}
if (empty.length > 0) { parts.push(`<p>Without data in this run: ${escaped(empty.join(", "))}.</p>`); }
const page = `<!doctype html><meta charset="utf-8"><style>
  body { margin: 0; padding: 16px; width: ${24 * COLUMN}px; font: 13px sans-serif; color: #222; background: #f4f5f5;
    display: grid; grid-template-columns: repeat(24, 1fr); gap: 8px }
  h2 { grid-column: span 24; margin: 8px 0 0; font-size: 16px } h3 { margin: 0 0 4px; font-size: 13px }
  section { background: #fff; border: 1px solid #ddd; border-radius: 3px; padding: 8px; overflow: hidden }
  .stat { margin: 4px 0; font-size: 26px; text-align: center } p { grid-column: span 24; margin: 4px 0 }
  ul { margin: 4px 0 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 2px 12px; font-size: 11px }
  li::before { content: ""; display: inline-block; width: 12px; height: 3px; margin: 0 4px 3px 0; background: var(--colour) }
  text { font-size: 10px; fill: #666; text-anchor: end }
</style>${parts.join("\n")}`;
const browser = await chromium.launch(config.use.launchOptions);
const view = await browser.newPage({ viewport: { width: 24 * COLUMN + 32, height: 800 } });
await view.setContent(page);
await view.screenshot({ path: path.resolve(import.meta.dirname, "../docs/images/dashboard.png"), fullPage: true });
await browser.close();
prometheus.kill();
await demo.stop();
rmSync(folder, { recursive: true, force: true });
