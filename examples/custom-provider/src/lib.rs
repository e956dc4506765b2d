//! An adapter for Yandex SmartCaptcha, outside of human-check.
//!
//! The request is a form of `secret`, `token` and `ip`. The reply is
//! `{"status":"ok"|"failed","message":"…","host":"example.com:443"}`.

use async_trait::async_trait;
use human_check::adapter::WidgetSpec;
use human_check::adapter::json::Text;
use human_check::adapter::{
    FormBody, Reply, Request, ResendPolicy, TokenFormat, VerifyCall, siteverify,
};
use human_check::{
    Capabilities, CheckError, ConfigError, ErrorKind, FactKind, Facts, Hostname, HumanCheck,
    Provider, Reason, Refusal, ReplayProtection, Secret, Submission, Verdict, Widget,
};
use human_check::{Endpoint, ProviderClient};
use serde::Deserialize;

/// The provider, with the form field of its widget.
pub static SMARTCAPTCHA: Provider = Provider::new("smartcaptcha", &["smart-token"]);

/// Creates the widget, for a guard to show. Script and class are those of common pages (inferred).
///
/// # Errors
///
/// When `client_key` is not a valid key.
pub fn widget(client_key: impl Into<String>) -> Result<Widget, ConfigError> {
    static SPEC: WidgetSpec = WidgetSpec::new(
        "https://smartcaptcha.cloud.yandex.ru/captcha.js",
        "smart-captcha",
        "data-sitekey",
    );
    Widget::new(&SMARTCAPTCHA, client_key, &SPEC)
}

const VALIDATE: &str = "https://smartcaptcha.cloud.yandex.ru/validate";

const TOKEN: TokenFormat = TokenFormat::new(8_192);

/// A check that calls SmartCaptcha's `validate`. A token is valid for five minutes and passes once.
#[derive(Clone, Debug)]
pub struct SmartCaptcha {
    client: ProviderClient,
    endpoint: Endpoint,
    secret: Secret,
}

impl SmartCaptcha {
    /// Creates a check with the server key of one captcha.
    ///
    /// # Errors
    ///
    /// None at present. Other adapters refuse a provider's testing keys here.
    pub fn new(client: &ProviderClient, secret: Secret) -> Result<Self, ConfigError> {
        Ok(Self {
            client: client.for_adapter(),
            endpoint: Endpoint::literal(VALIDATE),
            secret,
        })
    }

    /// Returns the request that verifies a token.
    fn build(&self, token: &str, submission: &Submission) -> Request {
        let mut body = FormBody::with_capacity(token.len() + 128)
            .pair("secret", self.secret.expose())
            .pair("token", token);
        if let Some(ip) = submission.client_ip() {
            body = body.pair("ip", &ip.to_string());
        }
        Request::form(&self.endpoint, body)
    }
}

#[async_trait]
impl HumanCheck for SmartCaptcha {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&SMARTCAPTCHA)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing().sometimes(FactKind::Hostname)
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let token = match TOKEN.read(submission, &SMARTCAPTCHA) {
            Ok(token) => token,
            Err(refusal) => return self.client.refuse(&SMARTCAPTCHA, refusal),
        };
        let call = VerifyCall {
            provider: &SMARTCAPTCHA,
            submission,
            request: self.build(token, submission),
            secrets: &[token, self.secret.expose()],
            resend: ResendPolicy::Unsent,
        };
        self.client.verify(call, judge).await
    }
}

/// The members of the reply.
#[derive(Deserialize)]
struct ValidateReply<'a> {
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    host: Text<'a>,
}

/// Returns the verdict of a reply. The visitor is human only when the status is 200 and `ok`.
///
/// # Errors
///
/// A [`CheckError`] when the reply has no verdict.
fn judge(reply: &Reply) -> Result<Verdict, CheckError> {
    let body: ValidateReply<'_> = siteverify::object(&SMARTCAPTCHA, reply)?;
    let mut facts = Facts::new(&SMARTCAPTCHA);
    facts.replay_protection = ReplayProtection::Provider;
    facts.hostname = body.host.get().and_then(Hostname::parse);
    match body.status.get() {
        Some("ok") => Ok(Verdict::Human(facts)),
        // Only a text distinguishes expired, used and forged tokens.
        Some("failed") => Ok(Refusal::new(Reason::Invalid).with_facts(facts).into()),
        _ => Err(CheckError::new(
            ErrorKind::Protocol,
            &SMARTCAPTCHA,
            "no-verdict",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use human_check::adapter::{MockTransport, SendError, SendErrorKind};
    use human_check_testkit::conformance;
    use human_check_testkit::conformance::{Fixture, Wanted};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// A mock of the provider: tokens that begin with `good` pass once.
    async fn smartcaptcha() -> Fixture {
        let (down, minted) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
        let used = std::sync::Mutex::new(std::collections::HashSet::new());
        let provider = MockTransport::new({
            let down = Arc::clone(&down);
            move |request: &Request| {
                if down.load(Ordering::Relaxed) {
                    return Err(SendError::new(SendErrorKind::Lost));
                }
                let form = String::from_utf8_lossy(request.body()).into_owned();
                let good = form.contains("token=good") && used.lock().unwrap().insert(form);
                let status = if good { "ok" } else { "failed" };
                let body = serde_json::json!({"status": status, "message": "", "host": "www.example.com:443"});
                Ok(Reply::new(200, body.to_string()))
            }
        });
        let secret = Secret::new("ysc2_secret-of-the-example").unwrap();
        let check = SmartCaptcha::new(&ProviderClient::new(provider.clone()), secret).unwrap();
        Fixture::new(check, move |_: &Wanted| {
            let number = minted.fetch_add(1, Ordering::Relaxed);
            Submission::new().with_token(&SMARTCAPTCHA, format!("good-{number}"))
        })
        .with_bad(|| Submission::new().with_token(&SMARTCAPTCHA, "forged"))
        .with_calls(move || provider.requests().len())
        .with_outage(move |is_down| down.store(is_down, Ordering::Relaxed))
        .with_secret("ysc2_secret-of-the-example")
    }

    conformance!(conforms, super::smartcaptcha());

    #[test]
    fn only_ok_on_200_is_human() {
        for (status, body, expected) in [
            (200, r#"{"status":"ok","host":"a.example"}"#, "human"),
            (
                200,
                r#"{"status":"failed","message":"Invalid or expired Token."}"#,
                "not human",
            ),
            (200, r#"{"status":"OK"}"#, "protocol"),
            (200, "{}", "protocol"),
            (200, "ok", "protocol"),
            (403, r#"{"status":"ok"}"#, "misconfigured"),
            (500, r#"{"status":"ok"}"#, "unavailable"),
        ] {
            let got = match judge(&Reply::new(status, body)) {
                Ok(verdict) if verdict.is_human() => "human",
                Ok(_) => "not human",
                Err(error) => error.kind().as_str(),
            };
            assert_eq!(got, expected, "{status} {body}");
        }
    }
}
