// Shows the next provider at once when the script of the widget cannot be loaded. The page loads this
// file before the widget, so that no failure is missed.

addEventListener("error", async ({ target }) => {
  const place = target instanceof HTMLScriptElement && target.closest("[data-account]");
  if (!place) { return; }
  const { account, fallbackScript } = place.dataset;
  // The visitor may leave the page meanwhile, which ends the request.
  const response = await fetch(`/human-check/options?route=outage&failed=${account}`).catch(() => undefined);
  const { why, captcha } = response?.ok ? await response.json() : {};
  const option = captcha?.options.find(({ provider }) => provider === "turnstile");
  if (!option) {
    document.getElementById("why").textContent = "The script cannot be loaded. Reload the page later.";
    return;
  }
  const widget = document.createElement("div");
  widget.className = "cf-turnstile";
  widget.dataset.sitekey = option.sitekey;
  widget.dataset.action = option.action;
  const offer = document.createElement("input");
  Object.assign(offer, { type: "hidden", name: "human-check-offer", value: option.offer });
  place.replaceChildren(widget, offer);
  place.dataset.account = "spare";
  document.getElementById("why").textContent = `The page shows the account spare: ${why}.`;
  const script = document.createElement("script");
  script.src = fallbackScript;
  document.head.append(script);
}, true);
