// `humanCheck.fetch`: sends a request with a token, and again after a challenge.

/**
 * What the page script has for it.
 *
 * @typedef {{
 *   Place: any, HumanCheckError: any, places: Map<Element, any>, placeOf(where: any): any,
 *   texts: Record<string, string>, settings: any, make(name: string, properties?: object): any,
 *   urlOf(text: string | URL): URL, sleep(ms: number): Promise<unknown>,
 * }} Page
 */

/** Opens a challenge for a page that has no place for it. @param {Page} page @param {string} route */
function open({ Place, places, texts, make }, route) {
  const before = /** @type {HTMLElement} */ (document.activeElement);
  const dialog = make("dialog", { ariaLabel: texts.title });
  const mount = make("div");
  const place = new Place(mount, route);
  place.close = () => {
    place.end();
    dialog.remove();
    before?.focus();
  };
  mount.dataset.humanCheck = route;
  places.set(mount, place);
  dialog.append(mount, make("button", { type: "button", textContent: texts.cancel, onclick: place.close }));
  // Not modal, because providers show puzzles outside of it.
  dialog.style = "position:fixed;inset:0;z-index:999999;max-height:90vh;overflow:auto";
  (document.querySelector("dialog:modal") ?? document.body).append(dialog);
  dialog.show();
  return place;
}

/** Returns the member `captcha` of a refusal. @param {Response} response */
async function captchaOf(response) {
  try {
    const { type, captcha } = await response.clone().json();
    return /refusal-responses\.md#/.test(type) && captcha;
  } catch { /* it is no refusal */ }
}

/** Takes tokens of the page's forms out of a body: they would contradict the one in the header. */
function withoutTokens(body, places) {
  const own = [...places.values()].flatMap(({ option, token }) => [token, option?.offer]).filter((text) => text?.length > 40);
  if (body?.append) {
    const copy = new body.constructor();
    [...body].forEach(([name, value]) => { if (!own.includes(value)) { copy.append(name, value); } });
    return copy;
  }
  return body?.replaceAll ? own.reduce((text, one) => text.replaceAll(one, "").replaceAll(encodeURIComponent(one), ""), body) : body;
}

const pending = new Set();
/** @param {Page} page @param {any} input @param {any} given */
export async function send(page, input, given = {}) {
  const { HumanCheckError, placeOf, places, settings, sleep, texts, urlOf } = page;
  const { humanCheck: where, body, ...init } = given;
  if (body instanceof ReadableStream) { throw new HumanCheckError("stream", "a stream cannot be sent again"); }
  const { origin } = urlOf(input.url ?? input);
  const isOwn = origin === location.origin;
  if (!isOwn && origin !== urlOf(settings.options).origin) {
    throw new HumanCheckError("origin", `${origin} is not that of the page or of the options`);
  }
  // A redirect must not take a token to another origin.
  const template = new Request(input, { ...init, body: withoutTokens(body, places), ...isOwn ? { mode: "same-origin" } : { redirect: "error" } });
  const { signal } = template;
  signal.throwIfAborted();
  const key = template.method + template.url;
  if (pending.has(key)) { throw new HumanCheckError("busy", "the same request is being sent"); }
  pending.add(key);
  const aborted = new Promise((_, reject) => { signal.onabort = () => reject(signal.reason); });
  let place;
  let leave;
  // One request at a time uses a place.
  const enter = async (next) => {
    while (next.user) { await Promise.race([next.user, aborted]); }
    next.user = new Promise((resolve) => { leave = resolve; });
    place = next;
  };
  try {
    const named = placeOf(where);
    if (named) { await enter(named); await Promise.race([place.obtain(), place.gone, aborted]); }
    for (let challenges = 0, repeats = 0; ;) {
      const request = template.clone();
      const { token, option } = place ?? {};
      if (token) {
        request.headers.set(option.header, token);
        request.headers.set("X-Captcha-Provider", option.provider);
        request.headers.set("X-Captcha-Offer", option.offer);
      }
      const response = await fetch(request);
      const captcha = !response.ok && await captchaOf(response);
      const next = captcha?.options?.[0];
      if (captcha?.retry && repeats++ < 2) {
        await sleep(2000);
      } else if (next?.widget && challenges++ < 3) {
        Object.assign(texts, captcha.texts);
        if (!place) { await enter(placeOf(captcha.route) ?? open(page, captcha.route)); }
        if (!await Promise.race([place.use(next).then(() => place.obtain()), place.gone, aborted])) { return response; }
      } else {
        if (token && response.ok) { place.finish(); }
        return response;
      }
    }
  } finally {
    pending.delete(key);
    if (place) { place.user = place.sending = undefined; leave(); place.close?.(); }
  }
}
