import { useRef } from "react";
import HCaptcha from "@hcaptcha/react-hcaptcha";
import { record, stage } from "./stage.jsx";

const { siteKey, size } = document.getElementById("root").dataset;

stage(function Page() {
  const widget = useRef();
  const execute = () => widget.current.execute({ async: true })
    .then(({ response }) => record("executed")(response), record("rejected"));
  return (
    <>
      <HCaptcha
        ref={widget}
        sitekey={siteKey}
        size={size || "normal"}
        sentry={false}
        onVerify={record("solved")}
        onExpire={record("expired")}
        onError={record("failed")}
        onChalExpired={record("timedOut")}
      />
      <button onClick={() => widget.current.resetCaptcha()}>Reset</button>
      <button onClick={execute}>Execute</button>
    </>
  );
});
