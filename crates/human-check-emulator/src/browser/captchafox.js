// CaptchaFox's widget. Its functions are those of the provider's published types.

const FIELD = "cf-captcha-response";
const boxes = new Map();

function render(container, options = {}) {
  const place = typeof container === "string" ? document.querySelector(container) : container;
  const id = `fox-${boxes.size}`;
  boxes.set(id, new Box(place, "captchafox", options.sitekey ?? place.dataset.sitekey, hiddenField(FIELD), {
    solved: (token) => options.onVerify?.(token),
    expired: () => options.onExpire?.(),
    failed: (error) => options.onError?.(error),
  }));
  return id;
}

const find = (id) => (id === undefined ? boxes.values().next().value : boxes.get(id));
window.captchafox = {
  render,
  getResponse: (id) => find(id)?.token ?? "",
  reset: (id) => find(id)?.reset(),
  execute: (id) => find(id)?.execute(),
  remove(id) {
    find(id)?.remove();
    boxes.delete(id);
  },
};
if (here.searchParams.get("render") === "explicit") {
  const name = here.searchParams.get("onload");
  setTimeout(() => window[name]?.(), 0);
} else {
  document.querySelectorAll(".captchafox").forEach((place) => render(place));
}
