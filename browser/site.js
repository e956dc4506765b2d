// A site under test: pages from memory, on a free port, with the policy that each page states.

import { createServer } from "node:http";
import { test as base } from "./fixtures.js";

export { expect } from "./fixtures.js";

/** Our tests' own page script: it writes down what the provider's script calls. */
const LISTENER = `
  window.heard = [];
  for (const name of ["solved", "expired", "failed", "timedOut"]) {
    window[name] = (value) => { window.heard.push([name, value]); };
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
      /** The forms that were sent here. */
      posts,
      add: (path, page) => pages.set(path, page),
    });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  },
});

/** A policy that allows the site its own scripts and forms, and what `sources` says on top. */
export function policy(sources) {
  const own = { "default-src": ["'none'"], "script-src": ["'self'"], "form-action": ["'self'"], "img-src": ["'self'"] };
  const directives = new Set([...Object.keys(own), ...Object.keys(sources)]);
  return Array.from(directives, (name) => [name, ...(own[name] || []), ...(sources[name] || [])].join(" ")).join("; ");
}
