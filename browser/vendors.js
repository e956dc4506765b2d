// The vendors as a page's maker sees them, and as his server asks them.

const GOOGLE = {
  "script-src": ["https://www.google.com/recaptcha/", "https://www.gstatic.com/recaptcha/"],
  "frame-src": ["https://www.google.com/recaptcha/", "https://recaptcha.google.com/recaptcha/"],
  "connect-src": ["https://www.google.com/recaptcha/"],
  "img-src": ["https://www.gstatic.com/recaptcha/"],
};
const HCAPTCHA = ["https://hcaptcha.com", "https://*.hcaptcha.com"];
const CAPTCHALA = ["https://cdn.captcha-cdn.net", "https://cdn.captchala.com"];

/**
 * `script` is the path of the vendor's script, `host` where it really is, `hosts` all that a page may ask,
 * and `sources` what the adapter states for a page's policy.
 */
export const VENDORS = {
  "turnstile": {
    script: "/turnstile/v0/api.js",
    host: "https://challenges.cloudflare.com",
    hosts: ["challenges.cloudflare.com"],
    siteverify: "/turnstile/v0/siteverify",
    className: "cf-turnstile",
    fields: ["cf-turnstile-response"],
    life: 300_000,
    sources: { "script-src": ["https://challenges.cloudflare.com"], "frame-src": ["https://challenges.cloudflare.com"] },
  },
  "hcaptcha": {
    script: "/1/api.js",
    host: "https://js.hcaptcha.com",
    hosts: ["js.hcaptcha.com", "hcaptcha.com"],
    siteverify: "/siteverify",
    className: "h-captcha",
    fields: ["h-captcha-response", "g-recaptcha-response"],
    sources: { "script-src": HCAPTCHA, "frame-src": HCAPTCHA, "style-src": HCAPTCHA, "connect-src": HCAPTCHA },
  },
  "recaptcha-v2": {
    script: "/recaptcha/api.js",
    host: "https://www.google.com",
    hosts: ["www.google.com"],
    siteverify: "/recaptcha/api/siteverify",
    className: "g-recaptcha",
    fields: ["g-recaptcha-response"],
    sources: GOOGLE,
  },
  "recaptcha-v3": {
    script: "/recaptcha/api.js",
    host: "https://www.google.com",
    hosts: ["www.google.com"],
    siteverify: "/recaptcha/api/siteverify",
    sources: GOOGLE,
  },
  "recaptcha-enterprise": {
    script: "/recaptcha/enterprise.js",
    host: "https://www.google.com",
    hosts: ["www.google.com"],
    className: "g-recaptcha",
    fields: ["g-recaptcha-response"],
    sources: GOOGLE,
  },
  "captchala": {
    script: "/captchala-loader.js",
    host: "https://cdn.captcha-cdn.net",
    hosts: ["cdn.captcha-cdn.net", "cdn.captchala.com", "apiv1.captcha.la", "fallbackapiv1.captchala.com"],
    sources: {
      "script-src": CAPTCHALA,
      "style-src": [...CAPTCHALA, "'unsafe-inline'"],
      "connect-src": ["https://apiv1.captcha.la", "https://fallbackapiv1.captchala.com"],
      "img-src": [...CAPTCHALA, "https://apiv1.captcha.la", "data:", "blob:"],
      "worker-src": ["blob:"],
    },
  },
};

/** What a page's policy has to allow when the script comes from `origin`, as the adapters say. */
export function moved(vendor, origin) {
  const { sources, host } = VENDORS[vendor];
  const kept = (source) => !(source === host || source.startsWith(`${host}/`));
  return Object.fromEntries(
    Object.entries(sources).map(([name, list]) => [name, [origin, ...list.filter(kept)]]),
  );
}

/** Puts the emulator in the place of a vendor's hosts, which have no meaning otherwise. */
export async function standIn(context, trouble, emulator, vendor) {
  const { hosts } = VENDORS[vendor];
  trouble.allow(...hosts);
  await context.route((url) => hosts.includes(url.hostname), async (route) => {
    const request = route.request();
    const { pathname, search, origin } = new URL(request.url());
    const headers = request.headers();
    // As it would be if the vendor's host were the emulator's.
    if (headers.origin === origin) { headers.origin = emulator.base; }
    await route.fulfill({ response: await route.fetch({ url: emulator.base + pathname + search, headers }) });
  });
}

/** What the vendor says of a token, asked by a server with our secret. */
export async function verify(emulator, vendor, token) {
  const { secret, site_key } = emulator.site(vendor);
  const ask = async (path, headers, body) => {
    const reply = await fetch(emulator.base + path, { method: "POST", headers, body });
    return reply.json();
  };
  if (vendor === "captchala") {
    const headers = { "x-app-key": site_key, "x-app-secret": secret, "content-type": "application/json" };
    const { data } = await ask("/v1/validate", headers, JSON.stringify({ pass_token: token }));
    return { success: data.valid, action: data.action, hostname: data.valid && new URL(data.captcha_args.referer).hostname };
  }
  if (vendor === "recaptcha-enterprise") {
    const event = { token, siteKey: site_key };
    const path = `/v1/projects/demo-project/assessments?key=${secret}`;
    const answer = await ask(path, { "content-type": "application/json" }, JSON.stringify({ event }));
    const { valid, action, hostname } = answer.tokenProperties;
    return { success: valid, action, hostname, score: answer.riskAnalysis?.score };
  }
  return ask(VENDORS[vendor].siteverify, {}, new URLSearchParams({ secret, response: token }));
}
