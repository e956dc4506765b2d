import { existsSync } from "node:fs";
import path from "node:path";
import { defineConfig } from "@playwright/test";

const output = path.resolve(import.meta.dirname, "../target/browser");

// Returns the path of the system's browser. Nothing is downloaded.
function chromium() {
  if (process.env.CHROMIUM) { return process.env.CHROMIUM; }
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const folders = ["/usr/bin", ...(process.env.PATH || "").split(path.delimiter)];
  const found = folders.flatMap((folder) => names.map((name) => path.join(folder, name))).find(existsSync);
  if (!found) { throw new Error("no Chromium on the PATH: install one, or set the variable CHROMIUM to its path"); }
  return found;
}

export default defineConfig({
  testDir: ".",
  testMatch: "*.spec.js",
  outputDir: path.join(output, "results"),
  reporter: "list",
  forbidOnly: Boolean(process.env.CI),
  workers: 2,
  timeout: 30_000,
  use: {
    browserName: "chromium",
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: chromium(),
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // Only local names resolve, so no request can leave this machine.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
      ],
    },
  },
});
