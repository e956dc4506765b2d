// Tests with a browser that notices what nobody may get wrong, on every page of every test: a breach of the
// page's policy, a word to a stranger, and an error that nobody caught.

import { test as base, expect } from "@playwright/test";
import { startEmulator } from "./binary.js";

export { expect };
export { start, startEmulator } from "./binary.js";

const OWN_HOSTS = new Set(["127.0.0.1", "localhost"]);

export const test = base.extend({
  /** One emulator for a worker's tests. Every test finds its knobs as they are by themselves. */
  sharedEmulator: [async ({}, use) => {
    const emulator = await startEmulator();
    await use(emulator);
    await emulator.stop();
  }, { scope: "worker" }],

  emulator: async ({ sharedEmulator }, use) => {
    await sharedEmulator.knobs({});
    await sharedEmulator.heal();
    await use(sharedEmulator);
  },

  /**
   * What went wrong so far on the pages of the test's own context, each a text of one line.
   *
   * A test that means something to go wrong says so with `trouble.expect(pattern)`, and fails when it
   * does not happen. A host that a test maps somewhere is no stranger after `trouble.allow(host)`.
   */
  trouble: [async ({ context }, use) => {
    const seen = [];
    const expected = [];
    const hosts = new Set(OWN_HOSTS);
    await context.exposeBinding("humanCheckTestBreach", (_, text) => { seen.push(text); });
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        window.humanCheckTestBreach(`policy: ${event.effectiveDirective} stops ${event.blockedURI}`);
      });
    });
    context.on("console", (message) => {
      if (/Content Security Policy/i.test(message.text())) { seen.push(`policy: ${message.text()}`); }
    });
    context.on("weberror", (error) => { seen.push(`error: ${error.error().message}`); });
    const ask = (address) => {
      const url = new URL(address);
      if (/^(https?|wss?):$/.test(url.protocol) && !hosts.has(url.hostname)) {
        seen.push(`stranger: ${url.hostname} is asked`);
      }
    };
    context.on("request", (request) => ask(request.url()));
    context.on("page", (page) => page.on("websocket", (socket) => ask(socket.url())));
    await use({
      seen,
      expect: (pattern) => expected.push(pattern),
      allow: (...names) => names.forEach((name) => hosts.add(name)),
    });
    // Whatever is still asked of a host that a test mapped is of no interest.
    await context.unrouteAll({ behavior: "ignoreErrors" });
    // Reports of the last moment are on their way from the pages.
    await Promise.all(context.pages().map((page) => page.evaluate(() => 0).catch(() => {})));
    const unexpected = seen.filter((text) => !expected.some((pattern) => pattern.test(text)));
    expect(unexpected, "trouble that the test does not expect").toEqual([]);
    const missing = expected.filter((pattern) => !seen.some((text) => pattern.test(text)));
    expect(missing, "trouble that the test expects").toEqual([]);
  }, { auto: true }],
});
