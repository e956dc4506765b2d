// The page script of human-check. See README.md for its use, and human-check.d.ts for its types.

/** @import { HumanCheck, Option, Shown, Widget } from "./human-check.js" */

// Milliseconds: when a selection is made again, and when a provider has failed.
const MAX_AGE = 60_000;
const PATIENCE = 10_000;
// The scripts, with their queries, that need no `data-origins`.
const KNOWN = /^https:\/\/(challenges\.cloudflare\.com\/turnstile\/v0\/api|js\.hcaptcha\.com\/1\/api|www\.(google\.com|recaptcha\.net)\/recaptcha\/(api|enterprise)|cdn\.captcha(-cdn\.net|la\.com)\/captchala-loader|cdn\.captchafox\.com\/api)\.js(\?((render|hl|recaptchacompat)=[\w-]*&?)*)?$/;
const texts = {
  title: "Verification",
  loading: "The verification is loading.",
  consent: "The verification loads once you allow it on this page.",
  solve: "Please complete the verification.",
  done: "The verification is complete.",
  failed: "The verification could not be loaded. Check your connection and content blockers.",
  retry: "Try again",
  cancel: "Cancel",
};

const page = globalThis.document;
// A bundle has no tag, and calls `configure`.
const tag = page && [...page.scripts].find(({ src }) => src === import.meta.url);
/** @type {any} */
const settings = {
  options: tag ? new URL("options", tag.src).pathname : "/human-check/options",
  nonce: tag?.nonce,
  ...tag?.dataset,
};
let allow;
const allowed = new Promise((resolve) => { allow = () => resolve(Object.assign(settings, { consent: "", has: 1 })); });

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const inTime = (promise) => Promise.race([promise, sleep(PATIENCE).then(() => { throw Error("no reaction"); })]);
const make = (name, properties) => Object.assign(page.createElement(name), properties);
const urlOf = (text) => new URL(text, page.baseURI);
const json = (value) => JSON.stringify(value);
// A field of a form may have the name of a method.
const attribute = (element, name) => Element.prototype.getAttribute.call(element, name);
const NAME = "data-human-check";

/** A challenge in the page. */
class Place {
  /** @type {Option} */ option;
  /** @type {Shown} */ shown;
  // The event with which the form is being sent, and the latest one.
  sending;
  last;
  mount;
  form;
  route;
  ready;
  // What closes the dialog, if the place is in one of its own.
  close;
  isPassing;
  isHeld;
  isGone;
  leave;
  gone = new Promise((resolve) => { this.leave = resolve; });
  // The request that uses the place.
  user;
  waiting = [];
  token = "";
  // Counts the widgets, so that a late event of an earlier one has no effect.
  round = 0;
  selectedAt = 0;
  attempts = 0;
  failures = 0;

  constructor(mount, route, form) {
    // A copy of the page has old fields.
    Element.prototype.querySelectorAll.call(form ?? mount, ".human-check").forEach((old) => { if (old !== mount) { old.remove(); } });
    Object.assign(this, { mount, route, form });
    Object.assign(mount, { tabIndex: -1, role: "group", ariaLabel: texts.title });
    this.status = make("p", { role: "status" });
    this.slot = make("div");
    mount.replaceChildren(this.status, this.slot);
    // First, so that the server reads them before files.
    this.fields = ["", "human-check-offer"].map((name) => make("input", { type: "hidden", name, autocomplete: "off", className: "human-check" }));
    if (form) { Element.prototype.prepend.call(form, ...this.fields); }
  }

  /** Returns the URL if the page trusts its origin. */
  trusted(url) {
    const { href, origin } = urlOf(url);
    const listed = [this.mount, this.form].map((element) => element && attribute(element, "data-origins"));
    const origins = [location.origin, settings.origins, ...listed].join(" ");
    if (!(/^http/.test(href) && origins.split(" ").includes(origin)) && !KNOWN.test(href)) { throw Error(`data-origins does not name ${origin}`); }
    return href;
  }

  tell(state, text) {
    const { account, provider, why } = this.option ?? {};
    this.status.textContent = text;
    this.mount.dispatchEvent(new CustomEvent("human-check", { bubbles: true, detail: { state, route: this.route, account, provider, why } }));
  }

  // Whether the visitor fills in a field with this name.
  isTaken(field) {
    /** @type {any[]} */
    const own = this.form ? [...Reflect.get(HTMLFormElement.prototype, "elements", this.form)] : [];
    return own.some(({ name, type }) => name === field && !/hidden|textarea/.test(type));
  }

  write(token) {
    this.token = token;
    this.fields[0].value = token;
    this.fields[1].value = this.option?.offer ?? "";
  }

  set(token = "") {
    if (token !== this.token) {
      this.write(token);
      this.tell(token ? "solved" : "shown", token ? texts.done : texts.solve);
      if (token) { this.note("solved"); this.settle(); }
    }
  }

  // For an experiment.
  note(event) {
    const { route, option, since } = this;
    this.since = Date.now();
    import("./widgets.js").then(({ note }) => note(settings.options, option, { route, event, ms: this.since - since }));
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

  end() {
    this.isGone = true;
    this.clear();
    this.settle();
    this.leave("");
    this.fields.forEach((field) => field.remove());
  }

  show(option) {
    this.clear();
    this.option = option;
    this.since = this.selectedAt = Date.now();
    this.write("");
    this.ready = this.isGone ? undefined : this.start(option, option.widget);
    return this.ready;
  }

  async start(option, widget) {
    const { round } = this;
    const live = (call) => (...args) => (round === this.round ? call(...args) : undefined);
    const tools = {
      nonce: settings.nonce,
      title: texts.title,
      set: live((token) => this.set(token)),
      // A visitor may close a puzzle.
      trouble: live((code) => { if (/closed|expired/.test(code)) { this.set(); } else { this.fail(code); } return true; }),
      box: (name, attributes = []) => {
        // A provider would take no element for another widget of the page.
        if (round !== this.round) { throw Error("another challenge is shown"); }
        const element = make(name);
        attributes.forEach(([key, value]) => element.setAttribute(key, value));
        return this.slot.appendChild(element);
      },
      check: (value) => { if (/^[\s\\{]/.test(value) || urlOf(value).origin !== location.origin) { this.trusted(value); } },
    };
    this.tell("loading", texts.loading);
    try {
      if (settings.consent) {
        this.tell("consent", texts.consent);
        await allowed;
        this.since = Date.now();
        const next = await this.ask();
        if (next && round === this.round) { await this.show(next); return; }
      }
      if (this.isTaken(option.field)) { throw Error(`the form has a field ${option.field}`); }
      if (widget.stylesheet) { this.trusted(widget.stylesheet); }
      const src = this.trusted(widget.script);
      const showing = import("./widgets.js").then(({ SHOW }) => SHOW[widget.api](tools, widget, src, option));
      showing.then((shown) => { if (round !== this.round) { shown.remove?.(); } }, () => {});
      const shown = await inTime(showing);
      live(() => {
        this.shown = shown;
        this.failures = 0;
        this.note("loaded");
        if (!this.token) { this.tell("shown", shown.execute ? "" : texts.solve); }
      })();
    } catch (error) {
      await live(() => this.fail(error, option.account))();
    }
  }

  // Tells the visitor, and the server if an account cannot be shown, that something is wrong.
  async fail(error, account) {
    console.warn("human check:", error);
    this.clear();
    const { round } = this;
    this.tell("failed", texts.failed);
    this.failures += 1;
    const next = account && this.failures < 4 && await this.ask(account);
    if (round !== this.round) { return; }
    if (next && next.account !== account) { await this.show(next); return; }
    this.slot.append(make("button", { type: "button", textContent: texts.retry, onclick: () => this.select() }));
    // A dialog waits for the visitor.
    if (!this.close) { this.settle(); }
  }

  /** Fetches the account that the visitor meets. @returns {Promise<Option>} */
  async ask(failed = "") {
    try {
      const offer = this.option?.offer;
      const query = new URLSearchParams({ route: this.route, ...failed && { failed }, ...offer && { offer }, ...settings.has && { consent: "1" } });
      const { captcha } = await (await fetch(`${settings.options}?${query}`, { signal: AbortSignal.timeout(PATIENCE / 2) })).json();
      Object.assign(texts, captcha.texts);
      return captcha.options[0];
    } catch { /* the page goes on with what it has */ }
  }

  async select() {
    this.selectedAt = Date.now();
    const option = await this.ask();
    if (option) { await this.use(option, true); } else if (!this.shown) { await this.fail("no options"); }
  }

  // Goes on with an account, and with the token if it was not sent and still counts.
  async use(option, isUnsent) {
    const { shown, token } = this;
    if (shown && (isUnsent || shown.reset) && json(option.widget) === json(this.option.widget)) {
      this.option = option;
      this.selectedAt = Date.now();
      this.write(isUnsent ? token : "");
      try { if (!isUnsent) { shown.reset(); } } catch { await this.show(option); }
    } else if (!isUnsent || !token || this.option.why === "primary") {
      await this.show(option);
    }
  }

  finish() {
    const hasFocus = this.slot.contains(page.activeElement);
    this.clear();
    if (hasFocus) { this.mount.focus(); }
    this.settle();
    this.sending = undefined;
    this.selectedAt = 0;
    this.tell("idle", "");
  }

  // Returns a token once the challenge is solved, or an empty text if none can be had.
  async obtain() {
    await this.ready;
    if (!this.isGone && (!this.shown || Date.now() - this.selectedAt > MAX_AGE)) { await this.select(); await this.ready; }
    const { shown } = this;
    if (shown?.execute && !this.token) {
      try {
        const token = await inTime(shown.execute());
        if (!token) { throw Error("no token"); }
        if (shown === this.shown) { this.set(token); }
      } catch (error) {
        await this.fail(error);
      }
    }
    if (this.isGone || this.token || !this.shown && !this.close) { return this.token; }
    if (this.shown) { this.tell("shown", texts.solve); }
    this.mount.focus();
    return new Promise((done) => { this.waiting.push(done); });
  }

  // Sends the form when there is a token.
  async submit(event) {
    const { form } = this;
    const { submitter } = event;
    this.sending = this.last = event;
    // One token for one submit.
    if (this.shown?.execute) { this.write(""); }
    // A form cannot be sent again while its event is dispatched.
    await sleep(0);
    await this.obtain();
    if (this.sending !== event) { return; }
    // Browsers restore a form by the names of its fields, so this one has none before and after.
    if (this.token) { this.fields[0].name = this.option.field; }
    this.isPassing = true;
    try { HTMLFormElement.prototype.requestSubmit.call(form, submitter?.form === form ? submitter : null); } catch { this.sending = undefined; }
    this.isPassing = false;
    // A double click is one submit. A page that stays may send its form again.
    const { sending } = this;
    if (sending !== event) { await sleep(sending?.defaultPrevented ? 1000 : PATIENCE); }
    if (sending !== this.sending || this.isHeld) { return; }
    if (sending === event || sending.defaultPrevented) { this.sending = undefined; } else { this.finish(); }
  }

  // Goes on after the refusal of a form that a script sent.
  async refused({ captcha, detail }) {
    const option = captcha?.options?.[0];
    this.isHeld = false;
    if (this.attempts++ < 3 && (captcha?.retry || option?.widget)) {
      await (option ? this.use(option) : sleep(2000));
      await this.submit(this.last ?? {});
    } else {
      this.sending = undefined;
      this.tell("refused", detail);
    }
  }
}

/** @type {Map<HTMLElement, Place>} */
const places = new Map();
const placeOf = (where) => where && (places.get(where) ?? [...places.values()].find(({ form, route }) => form === where || route === where));

function scan() {
  for (const [element, place] of places) {
    if (!place.mount.isConnected || attribute(element, NAME) !== place.route) {
      place.end();
      places.delete(element);
    }
  }
  /** @type {NodeListOf<HTMLElement>} */
  const found = page.querySelectorAll(`[${NAME}]`);
  for (const element of found) {
    if (places.has(element)) { continue; }
    const [route, option, own] = [NAME, "data-option", "data-texts"].map((name) => attribute(element, name));
    /** @type {any} */
    const form = Element.prototype.closest.call(element, "form");
    let mount = element;
    Object.assign(texts, JSON.parse(own));
    if (mount === form) {
      mount = make("div", { className: "human-check" });
      const button = [...page.querySelectorAll("button, [type=submit]")].findLast((last) => Element.prototype.closest.call(last, "form") === form);
      if (button) { button.before(mount); } else { Element.prototype.append.call(form, mount); }
    }
    const place = new Place(mount, route, form);
    places.set(element, place);
    if (option) { place.show(JSON.parse(option)); } else { place.select(); }
  }
}

export class HumanCheckError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "HumanCheckError";
    this.code = code;
  }
}

const isStarted = globalThis.humanCheck?.fetch;
/** @type {HumanCheck} */
export const humanCheck = isStarted ? globalThis.humanCheck : {
  HumanCheckError,
  fetch: async (...given) => (await import("./requests.js")).send({ Place, HumanCheckError, places, placeOf, texts, settings, make, urlOf, sleep }, ...given),
  allow: () => allow(),
  configure: (given) => { Object.assign(texts, given.texts); Object.assign(settings, given); },
  reset: (where) => placeOf(where)?.finish(),
};

// An attribute of the button that sends a form, or of the form.
const sentBy = (form, submitter, name) => submitter?.getAttribute(`form${name}`) ?? attribute(form, name) ?? "";

const held = ({ target }) => { const place = placeOf(target); if (place) { place.isHeld = true; } };
const ended = ({ target, detail }) => {
  const place = placeOf(target);
  if (place?.isHeld) {
    place.isHeld = false;
    place.sending = undefined;
    if (detail.successful ?? detail.success ?? detail.ctx?.response?.status < 400) { place.finish(); }
  }
};
const refused = ({ target, detail }) => placeOf(target.closest?.("form"))?.refused({ captcha: detail, ...detail });
const forget = () => places.forEach((place) => place.finish());
const LISTENERS = {
  submit(event) {
    const place = placeOf(event.target);
    if (place?.isPassing) {
      place.sending = event;
    } else if (place && sentBy(event.target, event.submitter, "method") !== "dialog") {
      event.preventDefault();
      event.stopImmediatePropagation();
      // Some providers' buttons have no type.
      if ((!place.sending || place.waiting[0]) && !place.slot.contains(event.submitter)) { place.attempts = 0; place.submit(event); }
    }
  },
  // Neither an address nor another origin gets a token.
  formdata({ target, formData }) {
    const place = placeOf(target);
    const { submitter, defaultPrevented } = place?.sending ?? {};
    if (place?.isPassing && !defaultPrevented) {
      const isSafe = urlOf(sentBy(target, submitter, "action")).origin === location.origin && /post/i.test(sentBy(target, submitter, "method"));
      if (!isSafe) { for (const [name, value] of [...formData]) { if (value && [place.token, place.option?.offer].includes(value)) { formData.delete(name); } } }
    }
  },
  pagehide: () => places.forEach(({ fields }) => { fields[0].name = ""; }),
  pageshow({ persisted }) { if (persisted) { forget(); places.forEach((place) => place.select()); } },
  focusin({ target }) {
    const place = placeOf(target.form);
    if (place && !place.token && !place.slot.contains(target) && Date.now() - place.selectedAt > 5000) { place.select(); }
  },
  keydown({ key }) { if (key === "Escape") { places.forEach((place) => place.close?.()); } },
  // htmx 2 and 4, and Turbo.
  "human:challenge": refused,
  "human:refused": refused,
  "htmx:beforeRequest": held,
  "htmx:before:request": held,
  "turbo:submit-start": held,
  "htmx:afterRequest": ended,
  "htmx:after:request": ended,
  "htmx:error": ended,
  "turbo:submit-end": ended,
  "htmx:beforeHistorySave": forget,
  "turbo:before-cache": forget,
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

if (page && !isStarted) {
  Object.assign(globalThis, { humanCheck });
  Object.entries(LISTENERS).forEach(([name, listen]) => addEventListener(name, /** @type {any} */ (listen), true));
  new MutationObserver(scan).observe(page, { attributeFilter: [NAME], childList: true, subtree: true });
  scan();
}
