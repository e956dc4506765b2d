import { useRef } from "react";
import HCaptcha from "@hcaptcha/react-hcaptcha";
import { note, stage } from "./stage.jsx";

const { siteKey, size } = document.getElementById("root").dataset;

stage(function Page() {
  const widget = useRef();
  const execute = () => widget.current.execute({ async: true })
    .then(({ response }) => note("executed")(response), note("rejected"));
  return (
    <>
      <HCaptcha
        ref={widget}
        sitekey={siteKey}
        size={size || "normal"}
        sentry={false}
        onVerify={note("solved")}
        onExpire={note("expired")}
        onError={note("failed")}
        onChalExpired={note("timedOut")}
      />
      <button onClick={() => widget.current.resetCaptcha()}>Reset</button>
      <button onClick={execute}>Execute</button>
    </>
  );
});
