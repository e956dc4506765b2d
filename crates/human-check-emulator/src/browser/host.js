// The part of an emulated widget that runs in the page. A provider's API follows in the same
// script.

const here = new URL(document.currentScript.src);
const query = here.searchParams;

// Calls a callback, which a page gives as a function or as the name of a global function.
function call(callback, ...values) {
  const found = typeof callback === "string" ? window[callback] : callback;
  return typeof found === "function" ? found(...values) : undefined;
}

// Returns the data attributes of an element, if there is one, and the options of the page's script,
// which take precedence. Names are in lower case.
function settings(place, given) {
  const found = {};
  for (const { name, value } of place ? place.attributes : []) {
    if (name.startsWith("data-")) { found[name.slice(5)] = value; }
  }
  for (const [name, value] of Object.entries(given || {})) {
    if (value !== undefined) { found[name.toLowerCase()] = value; }
  }
  return found;
}

// Returns random letters and digits.
function letters(count) {
  const random = crypto.getRandomValues(new Uint8Array(count));
  return Array.from(random, (byte) => (byte % 36).toString(36)).join("");
}

// Calls `then` when the page is parsed, and never at once.
function whenParsed(then) {
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", then, { once: true });
  } else {
    setTimeout(then, 0);
  }
}

// A widget: the provider's frame, the form fields that it fills, and the token in them.
//
// `task` is sent to the frame; its mode is `checkbox`, `invisible` or `score`. `look` has the title
// and the size of the frame, and the fields. `on` has the listeners: solved, expired and failed,
// and optionally waiting, opened, closed and timeout.
class Widget {
  constructor(place, task, look, on) {
    Object.assign(this, { place, task, look, on, token: "", expired: false });
    this.pending = [];
    this.round = 0;
    this.loaded = false;
    this.solving = false;
    this.onMessage = this.onMessage.bind(this);
    this.press = (event) => { event.preventDefault(); this.execute(); };
    this.frame = document.createElement("iframe");
    this.frame.title = look.title;
    this.frame.src = new URL("frame.html", here).href;
    this.frame.hidden = task.mode !== "checkbox";
    this.frame.style.border = "0";
    this.frame.setAttribute("width", look.size[0]);
    this.frame.setAttribute("height", look.size[1]);
    this.box = document.createElement("div");
    this.box.append(this.frame, ...look.fields);
    window.addEventListener("message", this.onMessage);
    // A button cannot hold a frame: the frame follows it, and a click on the button starts the
    // widget.
    if (place.matches("button, input")) {
      place.addEventListener("click", this.press);
      place.after(this.box);
    } else {
      place.append(this.box);
    }
  }

  // Accepts messages of this widget's frame only, and ignores those of a challenge that was reset.
  onMessage({ origin, source, data }) {
    if (origin !== here.origin || source !== this.frame.contentWindow) { return; }
    if (data.kind === "ready") {
      this.loaded = true;
      this.start();
    } else if (data.round !== this.round) {
      return;
    } else if (data.kind === "token") {
      this.solve(data.token, data.ttl);
    } else if (data.kind === "error") {
      this.solving = false;
      this.settle("reject", data.code);
      this.on.failed(data.code, data.text);
    } else if (this.on[data.kind]) {
      this.on[data.kind]();
    }
  }

  start() {
    this.round += 1;
    if (!this.loaded) { return; }
    const { task, round, solving } = this;
    this.frame.contentWindow.postMessage({ kind: "start", task, round, solve: solving }, here.origin);
  }

  // Starts the challenge without a click.
  execute() {
    this.solving = true;
    this.start();
  }

  // Returns a promise of the next token.
  nextToken() {
    const next = new Promise((resolve, reject) => this.pending.push({ resolve, reject }));
    // A page that ignores the promise must not see an unhandled rejection.
    next.catch(() => {});
    return next;
  }

  settle(how, value) {
    this.pending.splice(0).forEach((promise) => promise[how](value));
  }

  // Puts a token into the fields, for `ttl` milliseconds.
  solve(token, ttl) {
    this.forget();
    this.solving = false;
    this.fill(token);
    this.timer = setTimeout(() => {
      this.forget();
      this.expired = true;
      if (this.look.refresh !== "never") { this.start(); }
      this.on.expired(token);
    }, ttl);
    this.settle("resolve", token);
    this.on.solved(token);
  }

  fill(token) {
    this.token = token;
    this.look.fields.forEach((field) => { field.value = token; });
  }

  forget() {
    clearTimeout(this.timer);
    this.expired = false;
    this.fill("");
  }

  reset(reason) {
    this.forget();
    this.solving = false;
    this.settle("reject", reason);
    this.start();
  }

  remove(reason) {
    this.forget();
    this.settle("reject", reason);
    window.removeEventListener("message", this.onMessage);
    this.place.removeEventListener("click", this.press);
    this.box.remove();
  }
}

// Creates a form field that is not visible.
function hiddenField(tag, name, id) {
  const field = document.createElement(tag);
  if (tag === "input") { field.type = "hidden"; } else { field.style.display = "none"; }
  return Object.assign(field, { name, id });
}
