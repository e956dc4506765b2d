(function () {
  "use strict";
  // The script may be on the page twice: in two forms, or in a part that was inserted again.
  if (window.humanCheckScore) { return; }
  window.humanCheckScore = true;
  var ENTERPRISE = "human-check-recaptcha-enterprise";
  var BOXES = ".human-check-recaptcha-v3, ." + ENTERPRISE;
  var TIMEOUT_MS = 10000;
  // Whether the provider's script could not be loaded.
  var blocked = false;
  window.addEventListener("error", function (event) {
    if (event.target instanceof HTMLScriptElement && /\/recaptcha\/(api|enterprise)\.js/.test(event.target.src)) { blocked = true; }
  }, true);
  // Forms that wait for a token or are being sent. The value is the attempt that holds the form.
  var busy = new WeakMap();
  // The form that is being submitted again with its token, and the event of that submission.
  var resubmitting = null;
  var resubmission = null;

  function requestToken(box) {
    return new Promise(function (resolve, reject) {
      var waiting = true;
      setTimeout(function () {
        waiting = false;
        reject(new Error("reCAPTCHA returned no token within " + TIMEOUT_MS / 1000 + " s"));
      }, TIMEOUT_MS);
      (function poll() {
        var api = window.grecaptcha;
        if (api && box.classList.contains(ENTERPRISE)) { api = api.enterprise; }
        if (!api && blocked) { reject(new Error("the script of reCAPTCHA did not load")); return; }
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
    resubmitting = form;
    resubmission = null;
    // `requestSubmit` accepts only a button of this form, and the button may have been moved
    // meanwhile. The method is taken from the prototype, because a field of the form may be named
    // `requestSubmit`.
    var button = submitter && submitter.form === form ? submitter : null;
    HTMLFormElement.prototype.requestSubmit.call(form, button);
    resubmitting = null;
    // The form was not sent, or the page sends it by its own script: it may be submitted again.
    if (!resubmission || resubmission.defaultPrevented) {
      release();
    } else {
      setTimeout(release, TIMEOUT_MS);
    }
  }

  // In the capture phase of `window`, so that listeners of the page see one submission, with its
  // token.
  window.addEventListener("submit", function (event) {
    var form = event.target;
    var box = form.querySelector(BOXES);
    if (!box) { return; }
    if (form === resubmitting) {
      resubmission = event;
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
    requestToken(box).then(function (token) { input.value = token; }, function (error) {
      // The form is sent without a token, and the server decides.
      console.warn("human check:", error);
    }).then(function () {
      if (busy.get(form) === attempt) { submit(form, submitter, attempt); }
    });
  }, true);

  // The visitor may submit a page again that the browser restores. Each submission gets a new
  // token.
  window.addEventListener("pageshow", function (event) { if (event.persisted) { busy = new WeakMap(); } });
})();
