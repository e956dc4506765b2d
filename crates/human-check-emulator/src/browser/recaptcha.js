// The widgets of reCAPTCHA v2, v3 and Enterprise. See docs/providers/recaptcha.md#widget.

const SIZES = { normal: ["304", "78"], compact: ["164", "144"], invisible: ["0", "0"] };
const FIELD = "g-recaptcha-response";
const enterprise = here.pathname.endsWith("/enterprise.js");
const mode = query.get("render") || "onload";
// A page with a checkbox and with scores loads the script twice. Both use the state of the first
// one.
const earlier = enterprise ? window.grecaptcha?.enterprise : window.grecaptcha;
const shared = earlier?.emulated || { clients: [], keys: [] };

function find(id) {
  const client = shared.clients[id === undefined ? 0 : id];
  if (!client) { throw new Error("No reCAPTCHA clients exist."); }
  return client;
}

// Renders a score key without a place: its badge is in the corner of the page.
function renderScore({ sitekey, callback }) {
  badge();
  const client = {
    place: null,
    token: "",
    execute: (action) => score(sitekey, action).then((token) => {
      client.token = token;
      call(callback, token);
      return token;
    }),
    reset() { client.token = ""; },
  };
  return shared.clients.push(client) - 1;
}

function render(container, given, inherit) {
  if (container?.sitekey && !(container instanceof Element)) { return renderScore(container); }
  const place = typeof container === "string" ? document.getElementById(container) : container;
  if (!place) { throw new Error("reCAPTCHA placeholder element must be an element or id"); }
  if (shared.clients.some((client) => client.place === place && client.box?.isConnected)) {
    throw new Error("reCAPTCHA has already been rendered in this element");
  }
  const set = settings(inherit || !given ? place : null, given);
  const count = shared.clients.length;
  const invisible = set.size === "invisible" || place.matches("button, input");
  const task = {
    sitekey: set.sitekey,
    mode: invisible ? "invisible" : "checkbox",
    action: set.action,
    theme: set.theme,
    language: query.get("hl"),
  };
  const look = {
    title: "reCAPTCHA (emulated)",
    size: SIZES[set.size] || SIZES.normal,
    fields: [hiddenField("textarea", FIELD, count ? `${FIELD}-${count}` : FIELD)],
  };
  const client = new Widget(place, task, look, {
    solved: (token) => call(set.callback, token),
    expired: () => call(set["expired-callback"]),
    failed(code, text) {
      console.error(text || "reCAPTCHA couldn't be reached (emulated)");
      call(set["error-callback"]);
    },
    timeout: () => client.reset(),
  });
  shared.clients.push(client);
  return count;
}

// Returns a promise of a token with a score. Its frame is removed when the token is there.
function score(sitekey, action) {
  const look = { title: "reCAPTCHA (emulated)", size: SIZES.invisible, fields: [] };
  const done = () => widget.remove();
  const task = { sitekey, action, mode: "score" };
  const widget = new Widget(badge(), task, look, { solved: done, expired: done, failed: done });
  const token = widget.nextToken();
  widget.execute();
  return token.catch((code) => { throw new Error(code || "reCAPTCHA couldn't be reached (emulated)"); });
}

// Returns the badge in the corner of the page. It has a field with the same name as the checkbox's.
function badge() {
  const shown = document.querySelector(".grecaptcha-badge");
  if (shown) { return shown; }
  const made = document.createElement("div");
  made.className = "grecaptcha-badge";
  made.textContent = "protected by reCAPTCHA (emulated)";
  Object.assign(made.style, { position: "fixed", right: "0", bottom: "14px", font: "12px sans-serif", padding: "4px" });
  made.append(Object.assign(hiddenField("textarea", FIELD, `${FIELD}-100000`), { className: FIELD }));
  const box = document.createElement("div");
  box.append(made);
  document.body.append(box);
  return made;
}

const api = {
  emulated: shared,
  ready: whenParsed,
  render,
  execute(which, options) {
    // Settings without a widget are those of the first one.
    if (which && typeof which === "object") { [which, options] = [undefined, which]; }
    const action = options && options.action;
    if (typeof which === "string") {
      if (!shared.keys.includes(which)) {
        throw new Error(`Invalid site key or not loaded in api.js: ${which}`);
      }
      return score(which, action);
    }
    const client = find(which);
    if (!client.place) { return client.execute(action); }
    if (action) { client.task.action = action; }
    client.execute();
    return client.nextToken();
  },
  reset: (id) => find(id).reset(),
  getResponse: (id) => find(id).token,
};

if (enterprise) {
  window.grecaptcha ||= {};
  window.grecaptcha.enterprise ||= api;
} else if (!earlier?.emulated) {
  window.grecaptcha = Object.assign(window.grecaptcha || {}, api);
}
// Callbacks that the page registered before the script was loaded, as Google's documentation shows.
(window.___grecaptcha_cfg?.fns || []).splice(0).forEach(whenParsed);
if (mode !== "onload" && mode !== "explicit") {
  shared.keys.push(mode);
  whenParsed(badge);
}
if (mode === "explicit") {
  setTimeout(call, 0, query.get("onload"));
} else {
  whenParsed(() => {
    document.querySelectorAll(".g-recaptcha").forEach((place) => {
      if (!shared.clients.some((client) => client.place === place)) { render(place); }
    });
    call(query.get("onload"));
  });
}
