// CaptchaLa's widget, which is part of the page and has no frame. See
// docs/providers/captchala.md#widget.
(function () {
  "use strict";
  const here = new URL(document.currentScript.src);
  const PROVIDER = ["https://cdn.captcha-cdn.net", "https://cdn.captchala.com"];
  const api = PROVIDER.includes(here.origin) ? "https://apiv1.captcha.la" : here.origin;
  const LABEL = "I am human (emulated)";

  // Sends a request to the service and returns its reply. Throws an error in the provider's form.
  async function send(request) {
    // A body of plain text needs no CORS preflight.
    const response = await fetch(`${api}/captchala/token`, { method: "POST", body: JSON.stringify(request) });
    const reply = await response.json();
    if (reply.error) { throw `${reply.text} (${reply.error})`; }
    return reply;
  }

  function element(which) {
    return typeof which === "string" ? document.querySelector(which) : which;
  }

  class Captchala {
    constructor(options) {
      this.options = Object.assign({ product: "popup", action: "default" }, options);
      this.listeners = { ready: [], success: [], error: [], close: [] };
      this.round = 0;
      this.press = (event) => { event.preventDefault(); this.verify(); };
    }

    on(event, listener) {
      this.listeners[event].push(listener);
      return this;
    }

    onReady(listener) { return this.on("ready", listener); }
    onSuccess(listener) { return this.on("success", listener); }
    onError(listener) { return this.on("error", listener); }
    onClose(listener) { return this.on("close", listener); }

    emit(event, value) {
      this.listeners[event].forEach((listener) => listener(value));
    }

    request(solve) {
      const { appKey, action, serverToken } = this.options;
      return { sitekey: appKey, action, server_token: serverToken, hostname: location.hostname, mode: "checkbox", solve };
    }

    // Checks the site key before the visitor clicks, as the provider's script does.
    async prepare() {
      const round = this.round;
      try {
        await send(this.request(false));
        if (round === this.round) { this.emit("ready"); }
      } catch (error) {
        if (round === this.round) { this.emit("error", error); }
      }
    }

    appendTo(place) {
      // The provider's button has no type either, so in a form it submits unless the page prevents
      // it.
      this.button = document.createElement("button");
      this.button.setAttribute("role", "checkbox");
      this.button.setAttribute("aria-checked", "false");
      this.button.textContent = LABEL;
      this.button.addEventListener("click", () => this.verify());
      element(place).append(this.button);
      this.prepare();
      return this;
    }

    bindTo(button) {
      this.bound = element(button);
      this.bound.addEventListener("click", this.press);
      this.prepare();
      return this;
    }

    async verify() {
      this.round += 1;
      const round = this.round;
      try {
        const reply = await this.withFreshServerToken(() => send(this.request(true)));
        if (round !== this.round) { return; }
        if (this.button) { this.button.setAttribute("aria-checked", "true"); }
        this.emit("success", { token: reply.token, type: this.options.product, action: this.options.action });
      } catch (error) {
        if (round === this.round) { this.emit("error", error); }
      }
    }

    // Tries again with a new server token when the old one was refused and the page provides one.
    async withFreshServerToken(attempt) {
      try {
        return await attempt();
      } catch (error) {
        const provide = /\(server_token_\w+\)$/.test(error) && this.options.onServerTokenExpired;
        const token = provide && await provide();
        if (!token) { throw error; }
        this.options.serverToken = token;
        return attempt();
      }
    }

    showCaptcha() {
      this.verify();
      return this;
    }

    reset() {
      this.round += 1;
      if (this.button) { this.button.setAttribute("aria-checked", "false"); }
      return this;
    }

    setLang(lang) {
      this.options.lang = lang;
      return this;
    }

    destroy() {
      this.round += 1;
      if (this.button) { this.button.remove(); }
      if (this.bound) { this.bound.removeEventListener("click", this.press); }
    }
  }

  window.Captchala = { init: (options) => new Captchala(options) };
})();
