// A fixture for tests of the page script: an example application with a configuration of its own, behind
// a server that adds the pages of the test on the same origin.

import { createServer, request as forward } from "node:http";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, start, test as base } from "./fixtures.js";

export { expect };

const MODULES = path.resolve(import.meta.dirname, "node_modules");
const NONCE = "bm9uY2U";

/** The keys of an account of each kind, besides those that all have. */
const KEYS = {
  "altcha": { site: "127.0.0.1", difficulty: "light" },
  "cap": (emulator) => ({ instance: `${emulator}/cap`, script_url: `${emulator}/cap/cap.min.js` }),
  "captchafox": {},
  "captchala": {},
  "friendly-captcha": (emulator) => ({ script_url: `${emulator}/friendly-captcha/site.min.js` }),
  "hcaptcha": {},
  "mcaptcha": (emulator) => ({ instance: emulator }),
  "recaptcha-enterprise": { project: "demo-project", min_score: 0.5 },
  "recaptcha-v2": {},
  "recaptcha-v3": { min_score: 0.5 },
  "turnstile": {},
};
/** All kinds that pages can show. */
export const KINDS = Object.keys(KEYS);
/** The kinds whose widget gets a token without a step of the visitor. */
export const SCORES = ["recaptcha-v3", "recaptcha-enterprise"];
const WITHOUT_HOST = ["altcha", "cap", "mcaptcha"];

/** Returns the table of an account. `own` adds keys, or replaces those of the kind. */
export function account(emulator, name, kind, own = {}) {
  const keys = KEYS[kind];
  const site = emulator.site(kind);
  const table = {
    kind,
    ...kind !== "altcha" && { site_key: site.site_key, base_url: emulator.base },
    ...!WITHOUT_HOST.includes(kind) && { hostnames: ["127.0.0.1"] },
    ...typeof keys === "function" ? keys(emulator.base) : keys,
    secret: { env: envOf(kind) },
    ...own,
  };
  if (table.base_url === undefined || ["cap", "mcaptcha"].includes(kind)) { delete table.base_url; }
  const value = (given) => (given?.env ? `{ env = "${given.env}" }` : JSON.stringify(given));
  const lines = Object.entries(table).map(([key, given]) => `${key} = ${value(given)}`);
  return `[providers.${name}]\n${lines.join("\n")}\n`;
}

/** Ends a configuration: which accounts the route `name` uses, and further lines of its table. */
export function routes(check, lines = "") {
  return `[check]\n${check}\n[replay_store]\nkind = "memory"\n[routes."*"]\n${lines}\n`;
}

const envOf = (kind) => `SECRET_${kind.replaceAll("-", "_")}`;

/** Starts an example application with a configuration. Returns its address, the file, and `stop`. */
export async function startExample(emulator, configuration, program = "example-axum-login") {
  const folder = await mkdtemp(path.join(tmpdir(), "human-check-"));
  const file = path.join(folder, "human-check.toml");
  await writeFile(file, configuration);
  const secrets = KINDS.map((kind) => [envOf(kind), emulator.site(kind)?.secret ?? "a-secret-for-the-tests-0123456789"]);
  const env = {
    ADDR: "127.0.0.1:0", HUMAN_CHECK_CONFIG: file, HUMAN_CHECK_WIDGET: MODULES,
    OFFER_KEY: "an-offer-key-for-the-tests-of-32-bytes", ...Object.fromEntries(secrets),
  };
  const { started, stop } = await start([], (line) => line.match(/^http:\S+$/)?.[0], env, program);
  return { address: started, file, stop };
}

export const test = base.extend({
  /**
   * `app(configuration)` starts an example application. Returns its address, `configure` to change the
   * configuration while it runs, and `page(path, html)` to add a page.
   */
  app: async ({ emulator }, use) => {
    const stops = [];
    await use(async (configuration, program) => {
      const example = await startExample(emulator, configuration, program);
      const site = await startSite(() => example.address);
      stops.push(site.stop, example.stop);
      const shows = async () => (await (await fetch(`${example.address}/human-check/options?route=signup`)).json()).captcha.options?.[0]?.account;
      return {
        ...site,
        /** Replaces the configuration, and waits until the program shows the account. */
        async configure(next, name) {
          await writeFile(example.file, next);
          await expect.poll(shows, { timeout: 15_000 }).toBe(name);
        },
      };
    });
    await Promise.all(stops.map((stop) => stop()));
  },

  /**
   * One application for each kind, behind one site. `site.show(kind)` changes the application, as a new
   * configuration does. The pages of the site allow the widgets of all kinds.
   */
  site: async ({ emulator }, use) => {
    const keys = 'offer_keys = [{ env = "OFFER_KEY" }]';
    const all = KINDS.map((kind) => account(emulator, kind, kind)).join("\n");
    const [first, ...rest] = KINDS;
    const one = (kind) => startExample(emulator, account(emulator, kind, kind) + routes(`use = "${kind}"\n${keys}`));
    const every = await startExample(emulator, all + routes(`use = "${first}"\nfallback = ${JSON.stringify(rest)}\n${keys}`));
    const examples = new Map(await Promise.all(KINDS.map(async (kind) => [kind, await one(kind)])));
    let shown = first;
    const site = await startSite((pathname) => (
      pathname === "/" ? every : examples.get(pathname.startsWith("/human-check-altcha/") ? "altcha" : shown)).address);
    await use({ ...site, show: (kind) => { shown = kind; } });
    await Promise.all([site, every, ...examples.values()].map(({ stop }) => stop()));
  },
});

/** Serves pages from memory, files of npm packages, and what the application serves. */
export async function startSite(applicationOf) {
  const pages = new Map();
  const posts = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://site");
    const page = pages.get(pathname);
    if (page && request.method === "GET") {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8", ...page.headers }).end(page.body);
    } else if (pathname.startsWith("/node_modules/")) {
      const content = await readFile(path.join(MODULES, pathname.slice(14))).catch(() => null);
      response.writeHead(content ? 200 : 404, { "content-type": "text/javascript" }).end(content);
    } else {
      if (request.method === "POST") { posts.push(pathname); }
      const { hostname, port } = new URL(applicationOf(pathname));
      const ask = forward({ hostname, port, method: request.method, path: request.url, headers: request.headers }, (reply) => {
        response.writeHead(reply.statusCode, reply.headers);
        reply.pipe(response);
      });
      ask.on("error", () => response.destroy());
      request.pipe(ask);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}`;
  return {
    base,
    /** Adds a page as it is, without a policy. */
    raw: (at, body) => pages.set(at, { headers: {}, body }),
    /** The paths that were posted to. */
    posts,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    /**
     * Adds a page with the page script, under the policy of the application's own page. `scripts` are the
     * page's own scripts, inline with the nonce.
     */
    async page(at, body, { scripts = "", modules = [], origins = true, script = "", policy = (text) => text } = {}) {
      const own = await fetch(`${applicationOf("/")}/`);
      const csp = own.headers.get("content-security-policy").replace(/'nonce-[^']+'/g, `'nonce-${NONCE}'`);
      const listed = (await own.text()).match(/data-origins="([^"]*)"/)?.[1] ?? "";
      const tags = modules.map((src) => `<script src="/node_modules/${src}" nonce="${NONCE}"></script>`).join("");
      pages.set(at, {
        // The emulated widget of Friendly Captcha calls its host from the page, the provider's own from a frame.
        headers: { "content-security-policy": policy(csp.includes("connect-src") || !csp.includes("frcapi") ? csp : `${csp}; connect-src 'self' ${listed}`) },
        body: `<!doctype html><html lang="en"><meta charset="utf-8"><title>page</title>${tags}
          <script type="module" src="/human-check/human-check.js" nonce="${NONCE}" ${origins ? `data-origins="${listed}"` : ""} ${script}></script>
          <main><h1>Page</h1>${body}</main>
          ${scripts && `<script nonce="${NONCE}">${scripts}</script>`}</html>`,
      });
    },
  };
}

/** Solves the challenge of a kind in `place`, by the means of a visitor. */
export async function solve(page, kind, place = page.locator("[data-human-check], dialog").first()) {
  if (SCORES.includes(kind)) { return; }
  if (kind === "altcha") {
    await place.locator("altcha-widget label").click();
    return;
  }
  const inPage = ["cap", "captchafox", "captchala", "friendly-captcha"].includes(kind);
  const box = (inPage ? place : place.frameLocator("iframe")).getByRole("checkbox", { name: "I am human (emulated)" });
  await expect(box).toBeEnabled();
  await box.click();
}

/** The place's own field with the token. It has its name while the form is sent. */
export const field = (page) => page.locator("input.human-check").first();
