// How the page script shows a widget: by one function for each kind of interface that providers have.

/** @import { Option, Shown, Widget } from "./human-check.js" */

/**
 * What the page script gives to a widget. After another widget is shown, none of it has an effect.
 *
 * @typedef {{
 *   box(name: string, attributes?: [string, string][]): any, set(token?: string): void, trouble(code?: unknown): true, check(url: string): void,
 *   nonce: string, title: string,
 * }} Tools
 */

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Tells the server of an experiment how long a step took. @param {string} options @param {Option} option @param {any} step */
export const note = (options, { offer, why }, step) => {
  if (why === "arm") { fetch(`${options}?${new URLSearchParams({ offer, ...step })}`, { keepalive: true }).catch(() => {}); }
};

const scripts = new Map();
/** @param {string} src @param {Widget} widget @param {string} nonce */
function load(src, { module, stylesheet }, nonce) {
  if (!scripts.has(src)) {
    scripts.set(src, new Promise((onload, reject) => {
      const script = Object.assign(document.createElement("script"), { src, nonce, type: module ? "module" : "", onload });
      script.onerror = () => { script.remove(); scripts.delete(src); reject(src); };
      document.head.append(script);
      if (stylesheet) { document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: stylesheet, nonce })); }
    }));
  }
  return scripts.get(src);
}

// Objects of providers: well-known ones, and those that are there since their script was loaded.
const providers = new Set(["turnstile", "hcaptcha", "grecaptcha", "captchafox", "frcaptcha"]);

/** Loads a script, and returns the provider's object if it has a function with this name. */
async function apiOf(path, name, src, widget, nonce) {
  const [root] = path.split(".");
  const find = () => {
    const api = path.split(".").reduce((object, key) => object?.[key], /** @type {any} */ (globalThis));
    return api?.[name] && api;
  };
  if (!providers.has(root) && root in globalThis) { throw Error(`${root} is of the page`); }
  providers.add(root);
  // The script of one score key does not serve another one.
  if (name === "execute" || !find()) { await load(src, widget, nonce); }
  for (let left = 200; !find() && left; left -= 1) { await sleep(50); }
  if (root === "grecaptcha") { await new Promise((resolve) => find().ready(resolve)); }
  return find();
}

const optionsOf = ({ attributes }) => Object.entries(attributes)
  .filter(([name]) => name.startsWith("data-") && !/callback|__/.test(name))
  .map(([name, value]) => [name.slice(5), value]);

/** @type {Record<string, (tools: Tools, widget: Widget, src: string, option: Option) => Promise<Shown>>} */
export const SHOW = {
  __proto__: null,

  async render({ box, set, trouble, nonce }, widget, src) {
    const url = new URL(src);
    url.searchParams.set("render", "explicit");
    const api = await apiOf(widget.global, "render", url.href, widget, nonce);
    const end = () => set();
    const id = api.render(box("div"), {
      ...Object.fromEntries(optionsOf(widget).map(([name, value]) => [name.replace("cd", "cD"), value])),
      "response-field": false,
      "callback": set, "expired-callback": end, "error-callback": trouble,
      "onVerify": set, "onExpire": end, "onError": trouble,
    });
    return { reset: () => api.reset(id), remove: () => api.remove?.(id) };
  },

  async execute({ nonce }, widget, src, { sitekey, action }) {
    const api = await apiOf(widget.global, "execute", src, widget, nonce);
    return { reset() {}, execute: () => api.execute(sitekey, action ? { action } : {}) };
  },

  async element({ box, set, trouble, check, nonce }, widget, src, { field }) {
    const isPlain = widget.element === "div";
    const [, path, name] = /^([\w.]+)\.(\w+)$/.exec(widget.attach) ?? [];
    const attributes = Object.entries(widget.attributes).filter(([key]) => (
      !isPlain && key === "name" || /^(class|challenge|display|language|data-[a-z-]*(key|endpoint|field-name))$/.test(key)));
    attributes.forEach(([, value]) => check(value));
    // With its attributes at once, because an element starts when it is in the page.
    const element = box(/^\w+-[\w-]+$/.test(widget.element) ? widget.element : "div", attributes);
    const read = ({ detail }) => set(detail?.payload ?? detail?.token);
    ["statechange", "solve", "reset"].forEach((event) => element.addEventListener(event, read));
    element.addEventListener("error", trouble);
    // Without a function for it, a script finds a new element only if it runs again.
    if (isPlain && !path) { scripts.delete(src); }
    if (path) { (await apiOf(path, name, src, widget, nonce))[name](element); } else { await load(src, widget, nonce); }
    const timer = isPlain && setInterval(() => set(element.querySelector(`[name="${CSS.escape(field)}"]`)?.value.replace(/^\..*/, "")), 200);
    const api = element.frcWidget ?? element;
    return { reset: api.reset && (() => api.reset()), remove: () => { clearInterval(timer); api.destroy?.(); } };
  },

  async captchala({ box, set, trouble, nonce }, widget, src) {
    await load(src, widget, nonce);
    const { loadCaptchala } = /** @type {any} */ (globalThis);
    await new Promise((resolve, reject) => loadCaptchala(resolve, reject));
    const own = optionsOf(widget).map(([name, value]) => [name.replace(/-(.)/, (_, first) => first.toUpperCase()), value]);
    // Its `reset` would keep a used server token.
    const api = /** @type {any} */ (globalThis).Captchala.init({ product: "float", lang: "auto", ...Object.fromEntries(own) })
      .onSuccess(({ token }) => set(token)).onError(trouble).appendTo(box("div"));
    return { remove: () => api.destroy?.() };
  },

  async frame({ box, set, title }, _, src) {
    const frame = Object.assign(box("iframe"), { src, title });
    const listen = ({ source, origin, data }) => {
      if (source === frame.contentWindow && origin === new URL(src).origin) { set(data?.token); }
    };
    addEventListener("message", listen);
    return { remove: () => removeEventListener("message", listen) };
  },
};
