import { useRef } from "react";
import { Turnstile } from "@marsidev/react-turnstile";
import { note, stage } from "./stage.jsx";

const { siteKey } = document.getElementById("root").dataset;

stage(function Page() {
  const widget = useRef();
  return (
    <>
      <Turnstile
        ref={widget}
        siteKey={siteKey}
        options={{ action: "signup", cData: "session_1", language: "de" }}
        onSuccess={note("solved")}
        onExpire={note("expired")}
        onError={note("failed")}
        onTimeout={note("timedOut")}
        onBeforeInteractive={note("asked")}
      />
      <button onClick={() => widget.current.reset()}>Reset</button>
    </>
  );
});
