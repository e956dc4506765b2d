// Turnstile's widget. See docs/providers/turnstile.md#widget.

const SIZES = { normal: ["300", "65"], flexible: ["100%", "65"], compact: ["150", "140"] };
const CANNOT_CONNECT = "300010";
const compat = query.get("compat") === "recaptcha" && !window.grecaptcha;
const hasReady = !document.currentScript.async && !document.currentScript.defer;
const widgets = new Map();

function element(container) {
  return typeof container === "string" ? document.querySelector(container) : container;
}

// Returns a widget by its id or its container; without an argument, the first one.
function find(which) {
  if (which === undefined) { return widgets.values().next().value; }
  const known = widgets.get(which);
  if (known) { return known; }
  const place = which instanceof Element || /^[.#]/.test(which) ? element(which) : null;
  return place && Array.from(widgets.values()).find((widget) => widget.place === place);
}

function render(container, given) {
  const place = element(container);
  const set = place && settings(place, given);
  if (!set || typeof set.sitekey !== "string" || set.sitekey === "") {
    console.warn("[emulated Turnstile] nothing to render, or no sitekey");
    return undefined;
  }
  const id = `cf-chl-widget-${letters(5)}`;
  const fields = [];
  if (String(set["response-field"]) !== "false") {
    const name = set["response-field-name"] || "cf-turnstile-response";
    fields.push(hiddenField("input", name, `${id}_response`));
    if (compat) { fields.push(hiddenField("input", "g-recaptcha-response", `${id}_g_response`)); }
  }
  const later = set.execution === "execute";
  const task = {
    sitekey: set.sitekey,
    // A widget that waits for `execute` does not also wait for a click.
    mode: later || set.size === "invisible" ? "invisible" : "checkbox",
    action: set.action,
    cdata: set.cdata,
    theme: set.theme,
    language: set.language,
  };
  const look = {
    title: "Widget containing a Cloudflare security challenge (emulated)",
    size: SIZES[set.size] || SIZES.normal,
    refresh: set["refresh-expired"],
    fields,
  };
  const widget = new Widget(place, task, look, {
    solved: (token) => call(set.callback, token),
    expired: (token) => call(set["expired-callback"], token),
    failed(code) {
      const number = code || CANNOT_CONNECT;
      // The codes after which the widget tries again.
      if (set.retry !== "never" && /^[36]00/.test(number)) {
        widget.timer = setTimeout(() => widget.start(), Number(set["retry-interval"]) || 8000);
      }
      if (!set["error-callback"]) { throw new Error(`[emulated Turnstile] error: ${number}`); }
      if (!call(set["error-callback"], number)) { console.warn(`[emulated Turnstile] error: ${number}`); }
    },
    waiting: () => call(set["before-interactive-callback"]),
    opened: () => task.mode === "checkbox" && call(set["after-interactive-callback"]),
    timeout() {
      if (set["refresh-timeout"] !== "never") { widget.start(); }
      call(set["timeout-callback"]);
    },
  });
  widget.frame.id = id;
  widgets.set(id, widget);
  return id;
}

function remove(which) {
  for (const [id, widget] of widgets) {
    if (widget === find(which)) {
      widgets.delete(id);
      widget.remove();
      return;
    }
  }
}

function implicitRender() {
  const classes = compat ? ".cf-turnstile, .g-recaptcha" : ".cf-turnstile";
  document.querySelectorAll(classes).forEach((place) => {
    if (place.childElementCount === 0) { render(place); }
  });
}

window.turnstile = {
  render,
  remove,
  implicitRender,
  execute(which) {
    const widget = find(which);
    if (!widget) { return; }
    if (widget.token) { widget.on.solved(widget.token); } else { widget.execute(); }
  },
  reset: (which) => find(which)?.reset(),
  getResponse: (which) => find(which)?.token || undefined,
  isExpired: (which) => Boolean(find(which)?.expired),
  ready(then) {
    if (!hasReady) { throw new Error("[emulated Turnstile] no ready() for an async or deferred script"); }
    whenParsed(then);
  },
};
if (compat) { window.grecaptcha = window.turnstile; }

// Calls the `onload` function. If it does not exist yet, tries again after one second.
function announce() {
  const name = query.get("onload");
  if (!name) { return; }
  if (typeof window[name] === "function") { call(name); } else { setTimeout(call, 1000, name); }
}

if (query.get("render") === "explicit") {
  setTimeout(announce, 0);
} else {
  whenParsed(() => { implicitRender(); announce(); });
}
