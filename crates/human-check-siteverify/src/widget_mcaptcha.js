(function () {
  "use strict";
  if (window.humanCheckMcaptcha) { return; }
  window.humanCheckMcaptcha = true;
  var BOXES = ".human-check-mcaptcha";

  function show(box) {
    if (box.querySelector("iframe")) { return; }
    var frame = document.createElement("iframe");
    frame.src = box.dataset.frame;
    frame.title = "mCaptcha";
    box.appendChild(frame);
  }

  function showAll() { document.querySelectorAll(BOXES).forEach(show); }

  // The frame sends its token as a message.
  window.addEventListener("message", function (event) {
    document.querySelectorAll(BOXES).forEach(function (box) {
      var frame = box.querySelector("iframe");
      if (frame && frame.contentWindow === event.source && new URL(frame.src).origin === event.origin && event.data) {
        box.querySelector("input").value = String(event.data.token || "");
      }
    });
  });
  new MutationObserver(showAll).observe(document.documentElement, { childList: true, subtree: true });
  showAll();
})();
