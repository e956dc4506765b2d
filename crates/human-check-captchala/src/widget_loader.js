(function () {
  "use strict";
  var PATIENCE = 10000;
  // What runs in each element: the provider's widget and the place made for it.
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
    // The provider's buttons state no type, and would submit the form they are in.
    new MutationObserver(function () {
      place.querySelectorAll("button:not([type])").forEach(function (button) { button.type = "button"; });
    }).observe(place, { childList: true, subtree: true });
    // An answer that arrives after a new one was asked for belongs to nobody.
    function fill(token) { if (box.contains(place)) { input.value = token; } }
    var widget = window.Captchala.init(options)
      .onSuccess(function (result) { fill((result && result.token) || ""); })
      .onError(function (error) { fill(""); warn(error); })
      .appendTo(place);
    running.set(box, { widget: widget, place: place });
  }

  // A new widget rather than a reset, which would keep a spent server token.
  function again() {
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
    document.querySelectorAll(".human-check-captchala").forEach(function (box) {
      if (!running.has(box)) { start(box); }
    });
  }

  function load(left) {
    if (window.loadCaptchala) {
      window.loadCaptchala(startAll, warn);
    } else if (left > 0) {
      setTimeout(load, 50, left - 50);
    } else {
      warn("CaptchaLa did not load");
    }
  }

  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", function () { load(PATIENCE); });
  } else {
    load(PATIENCE);
  }
  document.addEventListener("human-check:again", again);
  window.addEventListener("pageshow", function (event) { if (event.persisted) { again(); } });
})();
