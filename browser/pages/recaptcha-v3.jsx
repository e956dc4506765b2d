import { GoogleReCaptchaProvider, useGoogleReCaptcha } from "react-google-recaptcha-v3";
import { note, stage } from "./stage.jsx";

const { siteKey, enterprise } = document.getElementById("root").dataset;

function Ask() {
  const { executeRecaptcha } = useGoogleReCaptcha();
  const ask = () => executeRecaptcha("checkout/pay").then(note("executed"), note("rejected"));
  return <button disabled={!executeRecaptcha} onClick={ask}>Execute</button>;
}

stage(function Page() {
  return (
    <GoogleReCaptchaProvider reCaptchaKey={siteKey} useEnterprise={enterprise === "true"}>
      <Ask />
    </GoogleReCaptchaProvider>
  );
});
