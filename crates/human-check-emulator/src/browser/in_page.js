// The part that the emulated widgets without a frame share: a box in the page that requests a token
// when it is ticked.

// A module has no `currentScript`.
const own = document.currentScript ?? [...document.scripts].findLast(({ src }) => /\/(friendly-captcha|mcaptcha)\//.test(src));
const here = new URL(own.src);

async function requestToken(provider, sitekey, solve) {
  // A body of plain text needs no CORS preflight.
  const response = await fetch(`${here.origin}/${provider}/token`, {
    method: "POST",
    body: JSON.stringify({ sitekey, hostname: location.hostname, mode: "checkbox", solve }),
  });
  const reply = await response.json();
  if (reply.error) { throw new Error(reply.text); }
  return reply;
}

// `field` is the input that carries the token, `on` has the listeners solved, expired and failed.
class Box {
  constructor(place, provider, sitekey, field, on) {
    Object.assign(this, { provider, sitekey, field, on, token: "", round: 0 });
    this.tick = Object.assign(document.createElement("input"), { type: "checkbox" });
    const label = document.createElement("label");
    label.append(this.tick, " I am human (emulated)");
    this.element = document.createElement("div");
    this.element.append(label, ...field ? [field] : []);
    place.append(this.element);
    this.tick.addEventListener("change", () => this.execute());
    requestToken(provider, sitekey, false).catch((error) => on.failed(error));
  }

  async execute() {
    this.round += 1;
    const { round } = this;
    try {
      const { token, ttl } = await requestToken(this.provider, this.sitekey, true);
      if (round !== this.round) { return; }
      this.write(token);
      this.timer = setTimeout(() => { this.reset(); this.on.expired(); }, ttl);
      this.on.solved(token);
    } catch (error) {
      this.reset();
      this.on.failed(error);
    }
  }

  write(token) {
    this.token = token;
    this.tick.checked = Boolean(token);
    if (this.field) { this.field.value = token; }
  }

  reset() {
    this.round += 1;
    clearTimeout(this.timer);
    this.write("");
  }

  remove() {
    this.reset();
    this.element.remove();
  }
}

function hiddenField(name) {
  return Object.assign(document.createElement("input"), { type: "hidden", name });
}
