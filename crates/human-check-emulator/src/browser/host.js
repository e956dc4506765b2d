// The page's half of an emulated widget. A provider's names for it follow in the same script.

const here = new URL(document.currentScript.src);
const query = here.searchParams;

// What a page may give as a function or as the name of a global one.
function call(callback, ...values) {
  const wanted = typeof callback === "string" ? window[callback] : callback;
  return typeof wanted === "function" ? wanted(...values) : undefined;
}

// The data attributes of an element if there is one, and over them what the page's script says. Names in
// lower case.
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

function letters(count) {
  const random = crypto.getRandomValues(new Uint8Array(count));
  return Array.from(random, (byte) => (byte % 36).toString(36)).join("");
}

function whenParsed(then) {
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", then, { once: true });
  } else {
    setTimeout(then, 0);
  }
}

// A frame of the provider's, the fields it fills, and the token in them.
//
// `task` is what the frame needs to know; its mode is `checkbox`, `invisible` or `score`. `look` has the
// frame's title and size and the fields. `on` is told: solved, expired, failed, and what else it listens for.
class Widget {
  constructor(place, task, look, on) {
    Object.assign(this, { place, task, look, on, token: "", expired: false });
    this.waiting = [];
    this.round = 0;
    this.loaded = false;
    this.solving = false;
    this.hear = this.hear.bind(this);
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
    window.addEventListener("message", this.hear);
    // A button is no place for a frame: the widget stands behind it, and starts when it is pressed.
    if (place.matches("button, input")) {
      place.addEventListener("click", this.press);
      place.after(this.box);
    } else {
      place.append(this.box);
    }
  }

  // Only what our own frame says, and of that nothing about a challenge that was given up.
  hear({ origin, source, data }) {
    if (origin !== here.origin || source !== this.frame.contentWindow) { return; }
    if (data.kind === "ready") {
      this.loaded = true;
      this.start();
    } else if (data.round !== this.round) {
      return;
    } else if (data.kind === "token") {
      this.solve(data.token, data.life);
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

  // Without waiting for a click.
  execute() {
    this.solving = true;
    this.start();
  }

  // The next token. Nobody has to wait for it, so nobody has to hear that it does not come.
  answer() {
    const next = new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
    next.catch(() => {});
    return next;
  }

  settle(how, value) {
    this.waiting.splice(0).forEach((one) => one[how](value));
  }

  solve(token, life) {
    this.forget();
    this.solving = false;
    this.fill(token);
    this.timer = setTimeout(() => {
      this.forget();
      this.expired = true;
      if (this.look.refresh !== "never") { this.start(); }
      this.on.expired(token);
    }, life);
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
    window.removeEventListener("message", this.hear);
    this.place.removeEventListener("click", this.press);
    this.box.remove();
  }
}

// A field of a form that nobody sees.
function hiddenField(tag, name, id) {
  const field = document.createElement(tag);
  if (tag === "input") { field.type = "hidden"; } else { field.style.display = "none"; }
  return Object.assign(field, { name, id });
}
