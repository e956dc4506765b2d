// The providers' scripts, hosts and fields, and their verification by a server.

import { readFileSync } from "node:fs";

/** The sources that each adapter states for a content security policy. */
export const SOURCES = JSON.parse(readFileSync(new URL("sources.json", import.meta.url), "utf8"));

/**
 * `script` is the path of the provider's script, `host` its real host, and `hosts` all hosts that a page
 * may send requests to.
 */
export const PROVIDERS = {
  "turnstile": {
    script: "/turnstile/v0/api.js",
    host: "https://challenges.cloudflare.com",
    hosts: ["challenges.cloudflare.com"],
    siteverify: "/turnstile/v0/siteverify",
    className: "cf-turnstile",
    fields: ["cf-turnstile-response"],
  },
  "hcaptcha": {
    script: "/1/api.js",
    host: "https://js.hcaptcha.com",
    hosts: ["js.hcaptcha.com", "hcaptcha.com"],
    siteverify: "/siteverify",
    className: "h-captcha",
    fields: ["h-captcha-response", "g-recaptcha-response"],
  },
  "recaptcha-v2": {
    script: "/recaptcha/api.js",
    host: "https://www.google.com",
    hosts: ["www.google.com"],
    siteverify: "/recaptcha/api/siteverify",
    className: "g-recaptcha",
    fields: ["g-recaptcha-response"],
  },
  "recaptcha-v3": {
    script: "/recaptcha/api.js",
    host: "https://www.google.com",
    hosts: ["www.google.com"],
    siteverify: "/recaptcha/api/siteverify",
  },
  "recaptcha-enterprise": {
    script: "/recaptcha/enterprise.js",
    host: "https://www.google.com",
    hosts: ["www.google.com"],
    className: "g-recaptcha",
    fields: ["g-recaptcha-response"],
  },
  "captchala": {
    script: "/captchala-loader.js",
    host: "https://cdn.captcha-cdn.net",
    hosts: ["cdn.captcha-cdn.net", "cdn.captchala.com", "apiv1.captcha.la", "fallbackapiv1.captchala.com"],
  },
};

/** The sources for a policy if the provider's script is loaded from `origin` instead of its real host. */
export function sourcesFrom(provider, origin) {
  const { host } = PROVIDERS[provider];
  const kept = (source) => !(source === host || source.startsWith(`${host}/`));
  return Object.fromEntries(
    Object.entries(SOURCES[provider]).map(([name, list]) => [name, [origin, ...list.filter(kept)]]),
  );
}

/** Routes requests to a provider's hosts to the emulator. */
export async function emulateHosts(context, violations, emulator, provider) {
  const { hosts } = PROVIDERS[provider];
  violations.allow(...hosts);
  await context.route((url) => hosts.includes(url.hostname), async (route) => {
    const request = route.request();
    const { pathname, search, origin } = new URL(request.url());
    const headers = request.headers();
    // The emulator expects its own origin in requests of the provider's pages.
    if (headers.origin === origin) { headers.origin = emulator.base; }
    await route.fulfill({ response: await route.fetch({ url: emulator.base + pathname + search, headers }) });
  });
}

/** Verifies a token with the account's secret, as a server does, and returns the provider's verdict. */
export async function verify(emulator, provider, token) {
  const { secret, site_key } = emulator.site(provider);
  const post = async (path, headers, body) => {
    const reply = await fetch(emulator.base + path, { method: "POST", headers, body });
    return reply.json();
  };
  if (provider === "captchala") {
    const headers = { "x-app-key": site_key, "x-app-secret": secret, "content-type": "application/json" };
    const { data } = await post("/v1/validate", headers, JSON.stringify({ pass_token: token }));
    return { success: data.valid, action: data.action, hostname: data.valid && new URL(data.captcha_args.referer).hostname };
  }
  if (provider === "recaptcha-enterprise") {
    const event = { token, siteKey: site_key };
    const path = `/v1/projects/demo-project/assessments?key=${secret}`;
    const reply = await post(path, { "content-type": "application/json" }, JSON.stringify({ event }));
    const { valid, action, hostname } = reply.tokenProperties;
    return { success: valid, action, hostname, score: reply.riskAnalysis?.score };
  }
  return post(PROVIDERS[provider].siteverify, {}, new URLSearchParams({ secret, response: token }));
}
