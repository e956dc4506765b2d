// The provider's half of an emulated widget: a box to tick, in a frame of the provider's origin.
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
  // The page around, once it has introduced itself, and what it asked for last.
  let page = null;
  let task = null;
  let round = 0;
  let patience;

  function tell(kind, more) {
    window.parent.postMessage({ kind, round, ...more }, page);
  }

  // Whose page it is, the browser says, not the page.
  function ask(solve) {
    const question = { ...task, hostname: new URL(page).hostname, solve };
    return fetch("answer", { method: "POST", body: JSON.stringify(question) })
      .then((reply) => reply.json())
      .catch(() => ({ error: "", text: "cannot connect" }));
  }

  function show(checked, disabled, text) {
    Object.assign(box, { checked, disabled });
    news.textContent = text;
  }

  // Who may try again finds the box open.
  function fail(answer, again) {
    show(false, !again, answer.text);
    tell("error", { code: answer.error, text: answer.text });
  }

  async function solve() {
    const asked = round;
    clearTimeout(patience);
    show(true, true, "");
    const answer = await ask(true);
    if (asked !== round) { return; }
    if (answer.token === undefined) {
      fail(answer, true);
    } else {
      show(true, true, "verified");
      tell("token", { token: answer.token, life: answer.life });
    }
  }

  async function start(now) {
    const asked = round;
    clearTimeout(patience);
    show(false, true, "");
    const language = String(task.language || "en").slice(0, 2).toLowerCase();
    document.getElementById("label").textContent = LABELS[language] || LABELS.en;
    document.documentElement.dataset.theme = task.theme || "light";
    const answer = await ask(false);
    if (asked !== round) { return; }
    if (answer.error !== undefined && !task.complainsLate) {
      fail(answer, false);
    } else if (now) {
      tell("opened");
      solve();
    } else if (task.mode !== "checkbox") {
      return;
    } else if (answer.at_once) {
      solve();
    } else {
      show(false, false, "");
      tell("waiting");
      if (answer.patience) { patience = setTimeout(tell, answer.patience, "timeout"); }
    }
  }

  window.addEventListener("message", (event) => {
    // Only the page around this frame may ask, always the same one, and it must be somewhere.
    if (event.source !== window.parent || event.origin === "null") { return; }
    if (page !== null && event.origin !== page || event.data.kind !== "start") { return; }
    page = event.origin;
    ({ task, round } = event.data);
    start(event.data.solve);
  });
  box.addEventListener("change", () => {
    tell("opened");
    solve();
  });
  document.getElementById("challenge").addEventListener("submit", (event) => event.preventDefault());
  // Whoever is around may learn that a frame is there. Everything else goes to who answers.
  window.parent.postMessage({ kind: "ready" }, "*");
})();
