// A page that mounts and unmounts a widget, and records the callbacks of the widget's package.

import { useState } from "react";
import { createRoot } from "react-dom/client";

window.callbacks = [];

/** Returns a callback that is recorded under this name. */
export function record(name) {
  return (value) => { window.callbacks.push([name, value]); };
}

/** Puts the component on the page, with a button that mounts and unmounts it. */
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
