// The npm package: types, lints, size, and its tarball in an application that is bundled.

import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { ESLint } from "eslint";
import { account, expect, routes, solve, test } from "./app.js";

const PACKAGE = path.resolve(import.meta.dirname, "../packages/human-check");
const run = (command, args, options) => execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options });
const tsc = (...args) => run("npx", ["--no-install", "tsc", ...args], { cwd: import.meta.dirname });

test("the page script has no errors of types", () => {
  expect(tsc("-p", "tsconfig.json")).toBe("");
});

test("the page script has no lints", async () => {
  const eslint = new ESLint({ cwd: path.dirname(PACKAGE), overrideConfigFile: path.join(import.meta.dirname, "eslint.config.js") });
  const results = await eslint.lintFiles([`${PACKAGE}/*.js`]);
  expect(results).toHaveLength(3);
  expect(results.flatMap(({ filePath, messages }) => messages.map(({ line, message }) => `${filePath}:${line} ${message}`))).toEqual([]);
});

test("the page script is at most 6 KiB with gzip", async () => {
  const size = gzipSync(await readFile(path.join(PACKAGE, "human-check.js")), { level: 9 }).length;
  expect(size).toBeLessThanOrEqual(6 * 1024);
});

/** Packs the package, and installs the tarball in a new folder. */
async function install() {
  const folder = await mkdtemp(path.join(tmpdir(), "human-check-npm-"));
  const [{ filename, files }] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: PACKAGE }));
  await writeFile(path.join(folder, "package.json"), '{ "private": true, "type": "module" }');
  run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--silent", path.join(folder, filename)], { cwd: folder });
  return { folder, files: files.map(({ path: name }) => name).sort() };
}

test("an application bundles the tarball, with its types, and the server can load it", async ({ page, app, emulator }) => {
  const { folder, files } = await install();
  expect(files).toEqual(["LICENSE-APACHE", "LICENSE-MIT", "README.md", "human-check.d.ts", "human-check.js", "package.json", "requests.js", "widgets.js"]);
  // A server that renders pages has no document.
  const loaded = run("node", ["--input-type=module", "-e", 'import { humanCheck } from "human-check"; console.log(typeof humanCheck.fetch);'], { cwd: folder });
  expect(loaded.trim()).toBe("function");

  await writeFile(path.join(folder, "page.ts"), `
    import { humanCheck, HumanCheckError, type StateDetail } from "human-check";
    humanCheck.configure({ options: "/human-check/options", origins: document.body.dataset.origins });
    const seen: StateDetail["state"][] = [];
    addEventListener("human-check", (event) => { seen.push((event as CustomEvent<StateDetail>).detail.state); });
    document.querySelector("button")!.addEventListener("click", async () => {
      try {
        const response: Response = await humanCheck.fetch("/comments", { method: "POST", headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ text: "hello" }) });
        document.querySelector("output")!.textContent = await response.text() + seen.join();
      } catch (error) {
        if (error instanceof HumanCheckError && error.code === "busy") { return; }
        throw error;
      }
    });`);
  expect(tsc("--ignoreConfig", "--strict", "--noEmit", "--target", "es2024", "--module", "esnext", "--moduleResolution", "bundler", path.join(folder, "page.ts"))).toBe("");
  const { outputFiles } = await build({ entryPoints: [path.join(folder, "page.ts")], bundle: true, write: false, format: "iife", minify: true, logLevel: "error" });

  const site = await app(account(emulator, "main", "turnstile") + routes('use = "main"'));
  site.raw("/page", `<!doctype html><title>page</title><body data-origins="${emulator.base}"><button>Go</button><output></output><script>${outputFiles[0].text}</script>`);
  await page.goto(`${site.base}/page`);
  await page.getByRole("button", { name: "Go" }).click();
  await solve(page, "turnstile", page.getByRole("dialog"));
  await expect(page.locator("output")).toContainText("hello");
  await expect(page.locator("output")).toContainText("loading,shown,shown,solved");
});
