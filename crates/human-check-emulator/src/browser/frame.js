// The part of an emulated widget that runs in a frame of the provider's origin: a checkbox.
(function () {
  "use strict";
  const LABELS = {
    de: "Ich bin ein Mensch (emuliert)",
    en: "I am human (emulated)",
    es: "Soy humano (emulado)",
    fr: "Je suis humain (émulé)",
  };
  const box = document.getElementById("human");
  const news = document.getElementById("news");
  // The origin of the page around the frame, known after its first message; and its latest task.
  let page = null;
  let task = null;
  let round = 0;
  let timeout;

  function send(kind, more) {
    window.parent.postMessage({ kind, round, ...more }, page);
  }

  // Sends a request to the service. The host of the page comes from the browser, not from the page.
  function call(solve) {
    const request = { ...task, hostname: new URL(page).hostname, solve };
    return fetch("token", { method: "POST", body: JSON.stringify(request) })
      .then((response) => response.json())
      .catch(() => ({ error: "", text: "cannot connect" }));
  }

  function show(checked, disabled, text) {
    Object.assign(box, { checked, disabled });
    news.textContent = text;
  }

  // Shows and reports an error. The checkbox stays enabled when the visitor may try again.
  function fail(reply, again) {
    show(false, !again, reply.text);
    send("error", { code: reply.error, text: reply.text });
  }

  async function solve() {
    const started = round;
    clearTimeout(timeout);
    show(true, true, "");
    const reply = await call(true);
    if (started !== round) { return; }
    if (reply.token === undefined) {
      fail(reply, true);
    } else {
      show(true, true, "verified");
      send("token", { token: reply.token, ttl: reply.ttl });
    }
  }

  async function start(now) {
    const started = round;
    clearTimeout(timeout);
    show(false, true, "");
    const language = String(task.language || "en").slice(0, 2).toLowerCase();
    document.getElementById("label").textContent = LABELS[language] || LABELS.en;
    document.documentElement.dataset.theme = task.theme || "light";
    const reply = await call(false);
    if (started !== round) { return; }
    if (reply.error !== undefined && !task.reportsErrorsLate) {
      fail(reply, false);
    } else if (now) {
      send("opened");
      solve();
    } else if (task.mode !== "checkbox") {
      return;
    } else if (reply.at_once) {
      solve();
    } else {
      show(false, false, "");
      send("waiting");
      if (reply.patience) { timeout = setTimeout(send, reply.patience, "timeout"); }
    }
  }

  window.addEventListener("message", (event) => {
    // Only the page around this frame may start a challenge, and it needs an origin that stays the
    // same.
    if (event.source !== window.parent || event.origin === "null") { return; }
    if (page !== null && event.origin !== page || event.data.kind !== "start") { return; }
    page = event.origin;
    ({ task, round } = event.data);
    start(event.data.solve);
  });
  box.addEventListener("change", () => {
    send("opened");
    solve();
  });
  document.getElementById("challenge").addEventListener("submit", (event) => event.preventDefault());
  // Every page may learn that the frame is ready. All other messages go to the page that started
  // it.
  window.parent.postMessage({ kind: "ready" }, "*");
})();
