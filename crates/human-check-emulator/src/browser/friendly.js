// Friendly Captcha's widget, as the provider's npm package has it. The field has a word that begins with
// a dot until the challenge is solved.

function attach(elements = document.querySelectorAll(".frc-captcha")) {
  const list = elements instanceof Element ? [elements] : [...elements];
  return list.filter((place) => !place.frcWidget).map((place) => {
    const field = Object.assign(hiddenField("frc-captcha-response"), { value: ".UNSTARTED" });
    const tell = (name, state) => {
      if (state) { field.value = state; }
      place.dispatchEvent(new CustomEvent(`frc:widget.${name}`, { bubbles: true, detail: { response: field.value } }));
    };
    const box = new Box(place, "friendly-captcha", place.dataset.sitekey, field, {
      solved: () => tell("complete"),
      expired: () => tell("expire", ".EXPIRED"),
      failed: () => tell("error", ".ERROR"),
    });
    field.value = ".UNSTARTED";
    place.frcWidget = {
      reset() { box.reset(); tell("reset", ".RESET"); },
      destroy() { box.remove(); delete place.frcWidget; },
      getResponse: () => field.value,
      getElement: () => place,
    };
    return place.frcWidget;
  });
}

window.frcaptcha = { attach };
attach();
