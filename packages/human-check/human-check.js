// The page script of human-check. README.md describes its use, and human-check.d.ts its types.

/** @import { HumanCheck, Option, Shown, Widget } from "./human-check.js" */

// Milliseconds: when a selection is made again, and when a provider has failed.
const MAX_AGE = 60_000;
const PATIENCE = 10_000;
// Scripts, with their queries, that need no `data-origins`.
const KNOWN = /^https:\/\/(challenges\.cloudflare\.com\/turnstile|js\.hcaptcha\.com\/1|www\.(google\.com|recaptcha\.net)\/recaptcha|cdn\.(captcha-cdn\.net|captchala\.com|captchafox\.com))\/[\w./-]*(\?((render|hl|recaptchacompat)=[\w-]*&?)*)?$/;
const OFFER = "human-check-offer";
const texts = {
  title: "Verification",
  loading: "The verification is loading.",
  solve: "Please complete the verification.",
  done: "The verification is complete.",
  failed: "The verification could not be loaded. Check your connection and content blockers.",
  retry: "Try again",
  cancel: "Cancel",
};

const page = globalThis.document;
// A bundle has no tag, and calls `configure`.
const tag = page && [...page.scripts].find(({ src }) => src === import.meta.url);
const settings = {
  options: tag ? new URL("options", tag.src).pathname : "/human-check/options",
  nonce: tag?.nonce,
  ...tag?.dataset,
};
let allow;
const allowed = new Promise((resolve) => { allow = () => resolve(settings.consent = ""); });

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const inTime = (promise) => Promise.race([promise, sleep(PATIENCE).then(() => { throw Error("no reaction"); })]);
const make = (name, properties) => Object.assign(page.createElement(name), properties);
const json = JSON.stringify;
/** Returns what a path such as `grecaptcha.enterprise` names. */
const globalAt = (path = "") => path.split(".").reduce((object, name) => object?.[name], /** @type {any} */ (globalThis));

const scripts = new Map();
function load(src, { module, stylesheet }) {
  const { nonce = "" } = settings;
  if (!scripts.has(src)) {
    scripts.set(src, new Promise((onload, reject) => {
      const onerror = () => { scripts.delete(src); reject(Error(`${src} does not load`)); };
      page.head.append(make("script", { src, nonce, type: module ? "module" : "", onload, onerror }));
      if (stylesheet) { page.head.append(make("link", { rel: "stylesheet", href: stylesheet, nonce })); }
    }));
  }
  return scripts.get(src);
}

/** Returns the provider's object with the function `name`. */
async function apiOf(widget, src, name) {
  const find = () => globalAt(widget.global)?.[name] && globalAt(widget.global);
  // The script of one score key does not serve another one.
  if (name === "execute" || !find()) { await load(src, widget); }
  while (!find()) { await sleep(50); }
  if (/^grec/.test(widget.global)) { await new Promise((resolve) => find().ready(resolve)); }
  return find();
}

/** How each kind of widget is shown. @type {Record<string, (tools, widget: Widget, src: string, option: Option) => Promise<Shown>>} */
const SHOW = {
  async render({ box, set }, widget, src) {
    const url = new URL(src);
    url.searchParams.set("render", "explicit");
    const api = await apiOf(widget, url.href, "render");
    const element = box("div");
    const end = () => { set(); return true; };
    const id = api.render(element, {
      ...Object.fromEntries([...element.attributes].map(({ name, value }) => [name.slice(5).replace("cd", "cD"), value])),
      "response-field": false,
      "callback": set, "expired-callback": end, "error-callback": end,
      "onVerify": set, "onExpire": end, "onError": end,
    });
    return { reset: () => api.reset(id), remove: () => api.remove?.(id) };
  },

  async execute(_, widget, src, { sitekey, action }) {
    const api = await apiOf(widget, src, "execute");
    return { reset() {}, execute: () => api.execute(sitekey, action ? { action } : {}) };
  },

  async element({ box, set }, widget, src, { field }) {
    const isPlain = widget.element === "div";
    const element = box(/^\w+-[\w-]+$/.test(widget.element) ? widget.element : "div");
    const read = ({ detail }) => set(detail?.payload ?? detail?.token);
    ["statechange", "solve", "reset", "error"].forEach((name) => element.addEventListener(name, read));
    // Without a function for it, a script finds a new element only if it runs again.
    if (isPlain && !widget.attach) { scripts.delete(src); }
    await load(src, widget);
    globalAt(widget.attach)?.(element);
    const timer = isPlain && setInterval(() => set(element.querySelector(`[name="${CSS.escape(field)}"]`)?.value.replace(/^\..*/, "")), 200);
    const api = element.frcWidget ?? element;
    return { reset: api.reset && (() => api.reset()), remove: () => { clearInterval(timer); api.destroy?.(); } };
  },

  async captchala({ box, set }, widget, src) {
    await load(src, widget);
    await new Promise((resolve, reject) => globalAt("loadCaptchala")(resolve, reject));
    const element = box("div");
    // Its `reset` would keep a used server token.
    const api = globalAt("Captchala").init({ product: "float", lang: "auto", ...element.dataset })
      .onSuccess(({ token }) => set(token)).onError(() => set()).appendTo(element);
    return { remove: () => api.destroy?.() };
  },

  async frame({ box, set }, _, src) {
    const frame = box("iframe");
    const listen = ({ source, origin, data }) => {
      if (source === frame.contentWindow && origin === new URL(src).origin) { set(data?.token); }
    };
    addEventListener("message", listen);
    await new Promise((onload) => { Object.assign(frame, { src, title: texts.title, onload }); });
    return { remove: () => removeEventListener("message", listen) };
  },
};

/** A challenge in the page. */
class Place {
  /** @type {Option | undefined} */ option;
  /** @type {Shown | undefined} */ shown;
  // The event with which the form is being sent.
  sending;
  ready;
  close;
  isPassing = false;
  waiting = [];
  token = "";
  // Counts the widgets, so that a late event of an earlier one has no effect.
  round = 0;
  selectedAt = 0;
  attempts = 0;

  constructor(mount, route, form) {
    Object.assign(this, { mount, route, form, origins: mount.dataset.origins ?? form?.dataset.origins });
    Object.assign(mount, { tabIndex: -1, role: "group", ariaLabel: texts.title });
    this.status = make("p", { role: "status" });
    this.slot = make("div");
    mount.append(this.status, this.slot);
    // First, so that the server reads them before files.
    this.fields = ["", OFFER].map((name) => make("input", { type: "hidden", name, autocomplete: "off" }));
    form?.prepend(...this.fields);
  }

  /** Returns the URL if the page trusts its origin. */
  trusted(url) {
    const { href, origin } = new URL(url, location.href);
    const isOwn = /^http/.test(href) && `${location.origin} ${this.origins} ${settings.origins}`.split(" ").includes(origin);
    if (!isOwn && !KNOWN.test(href)) { throw Error(`data-origins does not name ${origin}`); }
    return href;
  }

  /** Adds the element of a widget, without attributes that could run code. */
  box(name, { attributes }) {
    const element = make(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (/^(\w+:|\/|{)/.test(value)) { this.trusted(value); }
      if (/^(class|challenge|data-[a-z-]+|display|language|name)$/.test(key) && !key.includes("callback")) { element.setAttribute(key, value); }
    }
    this.slot.append(element);
    return element;
  }

  tell(state, text) {
    const { account, provider, why } = this.option ?? {};
    this.status.textContent = text;
    this.mount.dispatchEvent(new CustomEvent("human-check", { bubbles: true, detail: { state, route: this.route, account, provider, why } }));
  }

  write(token) {
    this.token = token;
    Object.assign(this.fields[0], { name: this.option?.field, value: token });
    this.fields[1].value = this.option?.offer;
  }

  set(token = "") {
    if (token !== this.token) {
      this.write(token);
      this.tell(token ? "solved" : "shown", token ? texts.done : texts.solve);
      if (token) { this.settle(); }
    }
  }

  settle() {
    this.waiting.splice(0).forEach((done) => done(this.token));
  }

  clear() {
    this.round += 1;
    try { this.shown?.remove?.(); } catch { /* it is gone */ }
    this.shown = undefined;
    this.slot.replaceChildren();
    this.write("");
  }

  /** Shows the challenge of an account. */
  show(option) {
    this.clear();
    this.option = option;
    this.selectedAt = Date.now();
    this.write("");
    this.ready = this.start(option, option.widget);
    return this.ready;
  }

  async start(option, widget) {
    const { round } = this;
    const live = (call) => (...args) => (round === this.round ? call(...args) : undefined);
    const tools = { set: live((token) => this.set(token)), box: live((name) => this.box(name, widget)) };
    this.tell("loading", texts.loading);
    try {
      if (settings.consent) { await allowed; }
      if (widget.stylesheet) { this.trusted(widget.stylesheet); }
      const shown = await inTime(SHOW[widget.api](tools, widget, this.trusted(widget.script), option));
      live(() => {
        this.shown = shown;
        if (!this.token) { this.tell("shown", shown.execute ? "" : texts.solve); }
      })();
    } catch (error) {
      await live(() => this.fail(error))();
    }
  }

  /** Tells the visitor and the server that the widget cannot be shown. */
  async fail(error) {
    const { option } = this;
    console.warn("human check:", error);
    this.clear();
    const { round } = this;
    this.tell("failed", texts.failed);
    const next = option && await this.ask(option.account);
    if (round !== this.round) { return; }
    if (next && next.account !== option.account) { await this.show(next); return; }
    this.slot.append(make("button", { type: "button", textContent: texts.retry, onclick: () => this.select() }));
    this.settle();
  }

  /** Fetches the account that the visitor meets. @returns {Promise<Option | undefined>} */
  async ask(failed = "") {
    try {
      const query = new URLSearchParams({ route: this.route, ...failed && { failed } });
      const { captcha } = await (await fetch(`${settings.options}?${query}`, { signal: AbortSignal.timeout(PATIENCE / 2) })).json();
      Object.assign(texts, captcha.texts);
      return captcha.options[0];
    } catch { /* the page goes on with what it has */ }
  }

  /** Selects the account again. */
  async select() {
    this.selectedAt = Date.now();
    const option = await this.ask();
    if (option) { await this.use(option, true); } else if (!this.shown) { await this.fail("no options"); }
  }

  /** Goes on with an account, and with the token if it was not sent and still counts. */
  async use(option, isUnsent) {
    const { shown, token } = this;
    if (shown && (isUnsent || shown.reset) && json(option.widget) === json(this.option.widget)) {
      this.option = option;
      this.selectedAt = Date.now();
      this.write(isUnsent ? token : "");
      if (!isUnsent) { shown.reset(); }
    } else if (!isUnsent || !token || this.option.why === "primary") {
      await this.show(option);
    }
  }

  /** Ends a token that was accepted. */
  finish() {
    this.clear();
    this.sending = undefined;
    this.selectedAt = 0;
    this.tell("idle", "");
  }

  /** Returns a token once the challenge is solved, or an empty text if none can be had. */
  async obtain() {
    await this.ready;
    if (!this.shown || Date.now() - this.selectedAt > MAX_AGE) { await this.select(); await this.ready; }
    if (this.shown?.execute) {
      try { this.set(await inTime(this.shown.execute())); } catch (error) { await this.fail(error); }
    }
    if (this.token || !this.shown) { return this.token; }
    this.tell("shown", texts.solve);
    this.mount.focus();
    return new Promise((done) => { this.waiting.push(done); });
  }

  /** Sends the form when there is a token. */
  async submit(event) {
    const { form } = this;
    const { submitter } = event;
    this.sending = event;
    // A form cannot be sent again while its event is dispatched.
    await sleep(0);
    await this.obtain();
    this.isPassing = true;
    HTMLFormElement.prototype.requestSubmit.call(form, submitter?.form === form ? submitter : null);
    this.isPassing = false;
    // A double click is one submit. A page that stays may send its form again.
    const { sending } = this;
    await sleep(sending === event ? 0 : sending?.defaultPrevented ? 1000 : PATIENCE);
    if (this.sending === sending) { this.sending = undefined; }
  }

  /** Goes on after the refusal of a form that a script sent. */
  async refused({ captcha, detail }) {
    const { sending } = this;
    const option = captcha?.options?.[0];
    if (this.attempts++ < 3 && (captcha?.retry || option?.widget)) {
      await (option ? this.use(option) : sleep(2000));
      await this.submit(sending);
    } else {
      this.tell("refused", detail);
    }
  }
}

/** @type {Map<Element, Place>} */
const places = new Map();
const placeOf = (where) => where && (places.get(where) ?? [...places.values()].find(({ form, route }) => form === where || route === where));

function scan() {
  for (const [element, place] of places) {
    if (!place.mount.isConnected || element.dataset.humanCheck !== place.route) {
      place.clear();
      place.settle();
      place.fields.forEach((field) => field.remove());
      places.delete(element);
    }
  }
  for (const element of page.querySelectorAll("[data-human-check]")) {
    if (places.has(element)) { continue; }
    const { humanCheck, option, texts: own = "{}" } = element.dataset;
    const form = element.closest("form");
    let mount = element;
    Object.assign(texts, JSON.parse(own));
    if (mount === form) {
      mount = make("div");
      form.insertBefore(mount, [...form.children].findLast((child) => child.matches("button, [type=submit]")));
    }
    const place = new Place(mount, humanCheck, form);
    places.set(element, place);
    if (option) { place.show(JSON.parse(option)); } else { place.select(); }
  }
}

/** Opens a challenge for a page that has no place for it. */
function open(route) {
  const before = page.activeElement;
  const dialog = make("dialog", { ariaLabel: texts.title });
  const place = new Place(make("div"), route);
  place.close = () => {
    place.clear();
    place.settle();
    dialog.remove();
    before?.focus();
  };
  dialog.onkeydown = ({ key }) => { if (key === "Escape") { place.close(); } };
  dialog.append(place.mount, make("button", { type: "button", textContent: texts.cancel, onclick: place.close }));
  // Not modal, because providers show puzzles outside of it.
  Object.assign(dialog.style, { position: "fixed", inset: 0, zIndex: 1e6, maxHeight: "90vh", overflow: "auto" });
  (page.querySelector("dialog:modal") ?? page.body).append(dialog);
  dialog.show();
  return place;
}

export class HumanCheckError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** Returns the member `captcha` of a refusal. */
async function captchaOf(response) {
  if (/^application\/problem/.test(response.headers.get("Content-Type"))) {
    const { type, captcha } = await response.clone().json();
    return /refusal-responses\.md#/.test(type) && captcha;
  }
}

/** Takes the tokens of the page's forms out of a body, because they would contradict the header. */
function withoutTokens(body) {
  for (const { option, token } of places.values()) {
    body?.delete?.(option?.field);
    body?.delete?.(OFFER);
    for (const text of [token, option?.offer]) {
      if (text && body?.replaceAll) { body = body.replaceAll(text, "").replaceAll(encodeURIComponent(text), ""); }
    }
  }
  return body;
}

const pending = new Set();

async function send(input, { humanCheck: where, ...init } = {}) {
  if (init.body instanceof ReadableStream) { throw new HumanCheckError("stream", "a stream cannot be sent again"); }
  const { origin } = new URL(input.url ?? input, location.href);
  const isOwn = origin === location.origin;
  if (!isOwn && origin !== new URL(settings.options, location.href).origin) {
    throw new HumanCheckError("origin", `${origin} is not the origin of the page or of the options`);
  }
  // A redirect must not take a token to another origin.
  const template = new Request(input, { ...init, body: withoutTokens(init.body), ...isOwn ? { mode: "same-origin" } : { redirect: "error" } });
  const key = template.method + template.url;
  if (pending.has(key)) { throw new HumanCheckError("busy", "the same request is being sent"); }
  pending.add(key);
  let place = placeOf(where);
  try {
    await place?.obtain();
    for (let attempts = 0; ;) {
      const request = template.clone();
      const { token, option } = place ?? {};
      if (token) {
        request.headers.set(option.header, token);
        request.headers.set("X-Captcha-Provider", option.provider);
        request.headers.set("X-Captcha-Offer", option.offer);
      }
      const response = await fetch(request);
      const captcha = await captchaOf(response);
      const next = captcha?.options?.[0];
      if (attempts++ < 3 && captcha?.retry) {
        await sleep(2000);
      } else if (attempts < 4 && next?.widget) {
        Object.assign(texts, captcha.texts);
        place ??= placeOf(captcha.route) ?? open(captcha.route);
        await place.use(next);
        const aborted = new Promise((_, reject) => { template.signal.onabort = () => reject(template.signal.reason); });
        if (!await Promise.race([place.obtain(), aborted])) { return response; }
      } else {
        if (token && response.ok) { place.finish(); }
        return response;
      }
    }
  } finally {
    pending.delete(key);
    place?.close?.();
  }
}

/** @type {HumanCheck} */
export const humanCheck = {
  HumanCheckError,
  fetch: send,
  allow: () => allow(),
  configure: (given) => { Object.assign(texts, given.texts); Object.assign(settings, given); },
  reset: (where) => placeOf(where)?.finish(),
};

const refused = ({ target, detail }) => placeOf(target.closest("form"))?.refused({ captcha: detail, ...detail });
const ended = ({ target, detail }) => {
  if (detail.successful ?? detail.success ?? detail.ctx?.response.status < 400) { placeOf(target)?.finish(); }
};
const LISTENERS = {
  submit(event) {
    const place = placeOf(event.target);
    if (place?.isPassing) {
      place.sending = event;
    } else if (place) {
      event.preventDefault();
      event.stopImmediatePropagation();
      place.attempts = 0;
      // Some providers' buttons have no type.
      if (!place.sending && !place.slot.contains(event.submitter)) { place.submit(event); }
    }
  },
  pageshow({ persisted }) {
    if (persisted) { places.forEach((place) => { place.finish(); place.select(); }); }
  },
  focusin({ target }) {
    const place = placeOf(target.form);
    if (place && !place.token && Date.now() - place.selectedAt > 5000) { place.select(); }
  },
  // htmx 2 and 4, and Turbo.
  "human:challenge": refused,
  "human:refused": refused,
  "htmx:afterRequest": ended,
  "htmx:after:request": ended,
  "turbo:submit-end": ended,
  "turbo:before-fetch-request"({ target, detail: { fetchOptions: { headers } } }) {
    if (placeOf(target)) { headers.Accept = `application/problem+json, ${headers.Accept}`; }
  },
  async "turbo:before-fetch-response"(event) {
    const { response } = event.detail.fetchResponse;
    const place = placeOf(event.target);
    if (place && /problem/.test(response.headers.get("Content-Type"))) {
      event.preventDefault();
      place.refused(await response.clone().json());
    }
  },
};

if (page && !globalThis.humanCheck) {
  Object.assign(globalThis, { humanCheck });
  Object.entries(LISTENERS).forEach(([name, listen]) => addEventListener(name, listen, true));
  new MutationObserver(scan).observe(page, { attributeFilter: ["data-human-check"], childList: true, subtree: true });
  scan();
}
