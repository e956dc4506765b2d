(function () {
  "use strict";
  var ENTERPRISE = "human-check-recaptcha-enterprise";
  var BOXES = ".human-check-recaptcha-v3, ." + ENTERPRISE;
  var PATIENCE = 10000;
  // Forms whose answer is being asked for, or that are on their way, and the attempt that made them so.
  var busy = new WeakMap();
  // The form that is submitted again with its answer, and what became of that.
  var answered = null;
  var outcome = null;

  function ask(box) {
    return new Promise(function (resolve, reject) {
      var waiting = true;
      setTimeout(function () {
        waiting = false;
        reject(new Error("reCAPTCHA did not answer"));
      }, PATIENCE);
      (function poll() {
        var api = window.grecaptcha;
        if (api && box.classList.contains(ENTERPRISE)) { api = api.enterprise; }
        if (!api || !api.ready) {
          if (waiting) { setTimeout(poll, 50); }
          return;
        }
        api.ready(function () {
          try {
            var options = box.dataset.action ? { action: box.dataset.action } : {};
            resolve(api.execute(box.dataset.sitekey, options));
          } catch (error) {
            reject(error);
          }
        });
      })();
    });
  }

  function submit(form, submitter, attempt) {
    function release() { if (busy.get(form) === attempt) { busy.delete(form); } }
    answered = form;
    outcome = null;
    // The button may have left the form meanwhile, and `requestSubmit` takes no other. From the
    // prototype, because a button may be called like that.
    var button = submitter && submitter.form === form ? submitter : null;
    HTMLFormElement.prototype.requestSubmit.call(form, button);
    answered = null;
    // Not sent at all, or taken over by the page: it may be tried again at once.
    if (!outcome || outcome.defaultPrevented) {
      release();
    } else {
      setTimeout(release, PATIENCE);
    }
  }

  // Before everybody else, so that their listeners see the form once and with its answer.
  window.addEventListener("submit", function (event) {
    var form = event.target;
    var box = form.querySelector(BOXES);
    if (!box) { return; }
    if (form === answered) {
      outcome = event;
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    if (busy.has(form)) { return; }
    var attempt = {};
    busy.set(form, attempt);
    var submitter = event.submitter;
    var input = box.querySelector("input");
    input.value = "";
    ask(box).then(function (token) { input.value = token; }, function (error) {
      // Sent without an answer, so that the server decides what becomes of it.
      console.warn("human check:", error);
    }).then(function () {
      if (busy.get(form) === attempt) { submit(form, submitter, attempt); }
    });
  }, true);

  // A page that the browser brings back may be submitted again, and every submission asks anew.
  window.addEventListener("pageshow", function (event) { if (event.persisted) { busy = new WeakMap(); } });
})();
