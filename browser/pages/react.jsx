// A page of a React application that protects a request by the page script.

import { useState } from "react";
import { createRoot } from "react-dom/client";

function Comments() {
  const [text, setText] = useState("");
  const [accepted, setAccepted] = useState("");
  async function submit(event) {
    event.preventDefault();
    const response = await humanCheck.fetch("/comments", {
      method: "POST",
      humanCheck: event.target,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text }),
    });
    setAccepted(response.ok ? JSON.stringify(await response.json()) : "refused");
  }
  return (
    <>
      <form onSubmit={submit}>
        <label>Comment <input value={text} onChange={(event) => setText(event.target.value)} /></label>
        <div data-human-check="comments" />
        <button>Send</button>
      </form>
      <output>{accepted}</output>
    </>
  );
}

createRoot(document.getElementById("root")).render(<Comments />);
