import { useRef } from "react";
import { Turnstile } from "@marsidev/react-turnstile";
import { record, stage } from "./stage.jsx";

const { siteKey } = document.getElementById("root").dataset;

stage(function Page() {
  const widget = useRef();
  return (
    <>
      <Turnstile
        ref={widget}
        siteKey={siteKey}
        options={{ action: "signup", cData: "session_1", language: "de" }}
        onSuccess={record("solved")}
        onExpire={record("expired")}
        onError={record("failed")}
        onTimeout={record("timedOut")}
        onBeforeInteractive={record("interactive")}
      />
      <button onClick={() => widget.current.reset()}>Reset</button>
    </>
  );
});
