import { useRef } from "react";
import ReCAPTCHA from "react-google-recaptcha";
import { record, stage } from "./stage.jsx";

const { siteKey, size, enterprise } = document.getElementById("root").dataset;
window.recaptchaOptions = { enterprise: enterprise === "true" };

stage(function Page() {
  const widget = useRef();
  return (
    <>
      <ReCAPTCHA
        ref={widget}
        sitekey={siteKey}
        size={size || "normal"}
        onChange={record("solved")}
        onExpired={record("expired")}
        onErrored={record("failed")}
      />
      <button onClick={() => widget.current.reset()}>Reset</button>
      <button onClick={() => widget.current.executeAsync().then(record("executed"))}>Execute</button>
    </>
  );
});
