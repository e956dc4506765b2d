// CaptchaLa's widget, as captchala.md describes it in section 15.2: in the page itself and not in a frame.
(function () {
  "use strict";
  const here = new URL(document.currentScript.src);
  const PROVIDER = ["https://cdn.captcha-cdn.net", "https://cdn.captchala.com"];
  const api = PROVIDER.includes(here.origin) ? "https://apiv1.captcha.la" : here.origin;
  const LABEL = "I am human (emulated)";

  // An answer of the service, or an error as the provider words it.
  async function ask(question) {
    // As text, which needs no leave from the service's side.
    const reply = await fetch(`${api}/captchala/answer`, { method: "POST", body: JSON.stringify(question) });
    const answer = await reply.json();
    if (answer.error) { throw `${answer.text} (${answer.error})`; }
    return answer;
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

    on(what, listener) {
      this.listeners[what].push(listener);
      return this;
    }

    onReady(listener) { return this.on("ready", listener); }
    onSuccess(listener) { return this.on("success", listener); }
    onError(listener) { return this.on("error", listener); }
    onClose(listener) { return this.on("close", listener); }

    tell(what, value) {
      this.listeners[what].forEach((listener) => listener(value));
    }

    question(solve) {
      const { appKey, action, serverToken } = this.options;
      return { sitekey: appKey, action, server_token: serverToken, hostname: location.hostname, mode: "checkbox", solve };
    }

    // Asks whether the key will do, as the provider's preloading would find out.
    async prepare() {
      const round = this.round;
      try {
        await ask(this.question(false));
        if (round === this.round) { this.tell("ready"); }
      } catch (error) {
        if (round === this.round) { this.tell("error", error); }
      }
    }

    appendTo(place) {
      // Without a type, like the provider's: in a form it submits unless the page takes care.
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
        const answer = await this.renewing(() => ask(this.question(true)));
        if (round !== this.round) { return; }
        if (this.button) { this.button.setAttribute("aria-checked", "true"); }
        this.tell("success", { token: answer.token, type: this.options.product, action: this.options.action });
      } catch (error) {
        if (round === this.round) { this.tell("error", error); }
      }
    }

    // Once more with a fresh server token, where that is the trouble and the page has one.
    async renewing(attempt) {
      try {
        return await attempt();
      } catch (error) {
        const fresh = /\(server_token_\w+\)$/.test(error) && this.options.onServerTokenExpired;
        const token = fresh && await fresh();
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
