(function () {
  "use strict";
  // The script may be on the page twice: in two forms, or in a part that was inserted again.
  if (window.humanCheckCaptchala) { return; }
  window.humanCheckCaptchala = true;
  var TIMEOUT_MS = 10000;
  // For each element: the provider's widget that runs in it, and the child that contains it.
  var running = new Map();

  function warn(error) { console.warn("human check:", error); }

  function start(box) {
    var input = box.querySelector("input");
    var place = document.createElement("div");
    var data = box.dataset;
    var options = { appKey: data.appKey, product: data.product || "float", lang: data.lang || "auto" };
    if (data.action) { options.action = data.action; }
    if (data.theme) { options.theme = data.theme; }
    if (data.serverToken) { options.serverToken = data.serverToken; }
    input.value = "";
    box.appendChild(place);
    // The provider's buttons have no type, so a click on one would submit the form.
    new MutationObserver(function () {
      place.querySelectorAll("button:not([type])").forEach(function (button) { button.type = "button"; });
    }).observe(place, { childList: true, subtree: true });
    // A token of a removed widget is dropped, because another challenge was started since.
    function fill(token) { if (box.contains(place)) { input.value = token; } }
    var widget = window.Captchala.init(options)
      .onSuccess(function (result) { fill((result && result.token) || ""); })
      .onError(function (error) { fill(""); warn(error); })
      .appendTo(place);
    running.set(box, { widget: widget, place: place });
  }

  // Starts a new widget. The provider's `reset()` would keep the used server token.
  function restart() {
    running.forEach(function (run, box) {
      try {
        if (run.widget && run.widget.destroy) { run.widget.destroy(); }
      } catch (error) {
        warn(error);
      }
      run.place.remove();
      running.delete(box);
    });
    if (window.Captchala) { startAll(); }
  }

  function startAll() {
    // Boxes of parts that the page has removed.
    running.forEach(function (_, box) { if (!box.isConnected) { running.delete(box); } });
    document.querySelectorAll(".human-check-captchala").forEach(function (box) {
      if (!running.has(box)) { start(box); }
    });
  }

  function load(left) {
    if (window.loadCaptchala) {
      window.loadCaptchala(function () {
        startAll();
        // Boxes that are inserted later.
        new MutationObserver(startAll).observe(document.documentElement, { childList: true, subtree: true });
      }, warn);
    } else if (left > 0) {
      setTimeout(load, 50, left - 50);
    } else {
      warn("the script of CaptchaLa did not load within " + TIMEOUT_MS / 1000 + " s");
    }
  }

  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", function () { load(TIMEOUT_MS); });
  } else {
    load(TIMEOUT_MS);
  }
  document.addEventListener("human-check:again", restart);
  window.addEventListener("pageshow", function (event) { if (event.persisted) { restart(); } });
})();
