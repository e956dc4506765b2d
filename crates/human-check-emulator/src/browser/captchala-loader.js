// CaptchaLa's loader. It defines one function, which loads the widget script. See
// docs/providers/captchala.md#widget.
(function () {
  "use strict";
  const sdk = new URL("captchala.js", document.currentScript.src).href;

  window.loadCaptchala = function (onReady, onError) {
    if (window.Captchala) {
      onReady();
      return;
    }
    const script = document.createElement("script");
    script.src = sdk;
    script.crossOrigin = "anonymous";
    script.onload = () => onReady();
    script.onerror = () => { if (onError) { onError(new Error(`cannot load ${sdk}`)); } };
    document.head.append(script);
  };
})();
