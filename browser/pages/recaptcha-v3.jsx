import { GoogleReCaptchaProvider, useGoogleReCaptcha } from "react-google-recaptcha-v3";
import { record, stage } from "./stage.jsx";

const { siteKey, enterprise } = document.getElementById("root").dataset;

function ExecuteButton() {
  const { executeRecaptcha } = useGoogleReCaptcha();
  const execute = () => executeRecaptcha("checkout/pay").then(record("executed"), record("rejected"));
  return <button disabled={!executeRecaptcha} onClick={execute}>Execute</button>;
}

stage(function Page() {
  return (
    <GoogleReCaptchaProvider reCaptchaKey={siteKey} useEnterprise={enterprise === "true"}>
      <ExecuteButton />
    </GoogleReCaptchaProvider>
  );
});
