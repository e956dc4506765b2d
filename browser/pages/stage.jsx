// Shows a widget until it is told not to, and writes down what the widget's package says.

import { useState } from "react";
import { createRoot } from "react-dom/client";

window.heard = [];

/** A callback that is written down under this name. */
export function note(name) {
  return (value) => { window.heard.push([name, value]); };
}

/** Puts the component on the page, with buttons for what a site would do. */
export function stage(Widget) {
  function Stage() {
    const [shown, show] = useState(true);
    return (
      <>
        <button onClick={() => show(!shown)}>{shown ? "Unmount" : "Mount"}</button>
        {shown && <Widget />}
      </>
    );
  }
  createRoot(document.getElementById("root")).render(<Stage />);
}
