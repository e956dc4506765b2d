// A fixture that serves pages from memory on a free port, each with its own content security policy.

import { createServer } from "node:http";
import { test as base } from "./fixtures.js";

export { expect } from "./fixtures.js";

/** A script for pages under test. It records the callbacks of the provider's script. */
const LISTENER = `
  window.callbacks = [];
  for (const name of ["solved", "expired", "failed", "timedOut"]) {
    window[name] = (value) => { window.callbacks.push([name, value]); };
  }
`;

export const test = base.extend({
  site: async ({}, use) => {
    const pages = new Map([["/listener.js", { type: "text/javascript", body: LISTENER }]]);
    const posts = [];
    const server = createServer((request, reply) => {
      const { pathname } = new URL(request.url, "http://site");
      let body = "";
      request.on("data", (text) => { body += text; });
      request.on("end", () => {
        if (request.method === "POST") { posts.push(new URLSearchParams(body)); }
        const page = request.method === "POST" ? { body: "<title>thanks</title>" } : pages.get(pathname);
        if (!page) { reply.writeHead(404).end(); return; }
        const policy = page.policy ? { "content-security-policy": page.policy } : {};
        reply.writeHead(200, { "content-type": page.type || "text/html; charset=utf-8", ...policy }).end(page.body);
      });
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    await use({
      base: `http://127.0.0.1:${server.address().port}`,
      /** The forms that were posted to the site. */
      posts,
      add: (path, page) => pages.set(path, page),
    });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  },
});

/** Returns a policy that allows the site's own scripts, images and forms, and also `sources`. */
export function policy(sources) {
  const own = { "default-src": ["'none'"], "script-src": ["'self'"], "form-action": ["'self'"], "img-src": ["'self'"] };
  const directives = new Set([...Object.keys(own), ...Object.keys(sources)]);
  return Array.from(directives, (name) => [name, ...(own[name] || []), ...(sources[name] || [])].join(" ")).join("; ");
}
