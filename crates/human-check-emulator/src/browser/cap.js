// Cap's widget, a custom element.

customElements.define("cap-widget", class extends HTMLElement {
  connectedCallback() {
    const endpoint = this.getAttribute("data-cap-api-endpoint");
    const tell = (name, detail) => this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, detail }));
    const field = hiddenField(this.getAttribute("data-cap-hidden-field-name") ?? "cap-token");
    const sitekey = new URL(endpoint, location.href).pathname.split("/").at(-2);
    this.box = new Box(this, "cap", sitekey, field, {
      solved: (token) => tell("solve", { token }),
      expired: () => tell("reset", {}),
      failed: (error) => tell("error", { isCap: true, code: "network_error", message: error.message }),
    });
  }

  reset() {
    this.box.reset();
    this.dispatchEvent(new CustomEvent("reset", { bubbles: true, composed: true, detail: {} }));
  }
});
