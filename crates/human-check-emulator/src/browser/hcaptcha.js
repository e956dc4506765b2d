// hCaptcha's widget. See docs/providers/hcaptcha.md#widget.

const SIZES = { normal: ["303", "78"], compact: ["164", "144"], invisible: ["0", "0"] };
const compat = query.get("recaptchacompat") !== "off";
const widgets = new Map();

function find(id) {
  const widget = id === undefined ? widgets.values().next().value : widgets.get(id);
  if (!widget) { throw new Error("invalid-captcha-id"); }
  return widget;
}

function render(container, given) {
  const place = typeof container === "string" ? document.getElementById(container) : container;
  if (!place) { throw new Error("[emulated hCaptcha] nothing to render into"); }
  const set = settings(place, given);
  const id = letters(12);
  const invisible = set.size === "invisible" || place.matches("button, input");
  const names = compat ? ["g-recaptcha-response", "h-captcha-response"] : ["h-captcha-response"];
  const task = {
    sitekey: set.sitekey,
    mode: invisible ? "invisible" : "checkbox",
    theme: set.theme,
    language: set.hl || query.get("hl"),
    // Pages reset the widget after an error. An error at each start would then repeat without end.
    reportsErrorsLate: true,
  };
  const look = {
    title: "Widget containing checkbox for hCaptcha security challenge (emulated)",
    size: SIZES[set.size] || SIZES.normal,
    fields: names.map((name) => hiddenField("textarea", name, `${name}-${id}`)),
  };
  const widget = new Widget(place, task, look, {
    solved(token) {
      widget.responseKey = `E0_${letters(20)}`;
      call(set.callback, token);
    },
    expired: () => call(set["expired-callback"]),
    failed: (code) => call(set["error-callback"], code || "network-error"),
    opened: () => call(set["open-callback"]),
    closed: () => call(set["close-callback"]),
    timeout() {
      widget.reset("challenge-expired");
      call(set["chalexpired-callback"]);
    },
  });
  widget.frame.dataset.hcaptchaWidgetId = id;
  widgets.set(id, widget);
  return id;
}

window.hcaptcha = {
  render,
  execute(id, options) {
    const widget = find(id);
    widget.execute();
    if (!options || !options.async) { return undefined; }
    return widget.nextToken().then(
      (response) => ({ response, key: widget.responseKey }),
      (code) => { throw code || "network-error"; },
    );
  },
  getResponse: (id) => find(id).token,
  getRespKey: (id) => (find(id).token ? find(id).responseKey : ""),
  // For Enterprise challenges, which the emulator does not have.
  setData: (id) => { find(id); },
  reset: (id) => find(id).reset("challenge-closed"),
  close(id) {
    find(id).reset("challenge-closed");
    find(id).on.closed();
  },
  remove(id) {
    const [key, widget] = Array.from(widgets).find(([, widget]) => widget === find(id));
    widgets.delete(key);
    widget.remove("challenge-closed");
  },
};
if (compat && !window.grecaptcha) { window.grecaptcha = window.hcaptcha; }

if (query.get("render") === "explicit") {
  setTimeout(call, 0, query.get("onload"));
} else {
  whenParsed(() => {
    document.querySelectorAll(".h-captcha").forEach((place) => {
      if (place.childElementCount === 0) { render(place); }
    });
    call(query.get("onload"));
  });
}
