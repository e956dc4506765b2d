// The Playwright fixtures of all tests. A test fails if one of its pages violates its content security
// policy, sends a request to an unknown host, or throws an error that is not caught.

import { test as base, expect } from "@playwright/test";
import { startEmulator } from "./binary.js";

export { expect };
export { start, startEmulator } from "./binary.js";

const OWN_HOSTS = new Set(["127.0.0.1", "localhost"]);

export const test = base.extend({
  /** One emulator for all tests of a worker. */
  sharedEmulator: [async ({}, use) => {
    const emulator = await startEmulator();
    await use(emulator);
    await emulator.stop();
  }, { scope: "worker" }],

  /** The emulator, with default settings and without faults at the start of each test. */
  emulator: async ({ sharedEmulator }, use) => {
    await sharedEmulator.knobs({});
    await sharedEmulator.heal();
    await use(sharedEmulator);
  },

  /**
   * The violations on the pages of the test's own context. `seen` has one line of text for each.
   *
   * A test that causes a violation on purpose calls `violations.expect(pattern)`, and fails if the
   * violation does not happen. After `violations.allow(host)` a request to that host is no violation.
   */
  violations: [async ({ context }, use) => {
    const seen = [];
    const expected = [];
    const hosts = new Set(OWN_HOSTS);
    await context.exposeBinding("humanCheckTestViolation", (_, text) => { seen.push(text); });
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        window.humanCheckTestViolation(`policy: ${event.effectiveDirective} stops ${event.blockedURI}`);
      });
    });
    context.on("console", (message) => {
      if (/Content Security Policy/i.test(message.text())) { seen.push(`policy: ${message.text()}`); }
    });
    context.on("weberror", (error) => { seen.push(`error: ${error.error().message}`); });
    const checkHost = (address) => {
      const url = new URL(address);
      if (/^(https?|wss?):$/.test(url.protocol) && !hosts.has(url.hostname)) {
        seen.push(`unknown host: ${url.hostname}`);
      }
    };
    context.on("request", (request) => checkHost(request.url()));
    context.on("page", (page) => page.on("websocket", (socket) => checkHost(socket.url())));
    await use({
      seen,
      expect: (pattern) => expected.push(pattern),
      allow: (...names) => names.forEach((name) => hosts.add(name)),
    });
    // Requests that are still open to a host that a test routes are ignored.
    await context.unrouteAll({ behavior: "ignoreErrors" });
    // A round trip to each page, so that all reported violations have arrived.
    await Promise.all(context.pages().map((page) => page.evaluate(() => 0).catch(() => {})));
    const unexpected = seen.filter((text) => !expected.some((pattern) => pattern.test(text)));
    expect(unexpected, "violations that the test does not expect").toEqual([]);
    const missing = expected.filter((pattern) => !seen.some((text) => pattern.test(text)));
    expect(missing, "violations that the test expects").toEqual([]);
  }, { auto: true }],
});
