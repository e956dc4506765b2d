//! Yandex SmartCaptcha as a check, in one page, from the outside.
//!
//! It speaks almost siteverify: a form of `secret`, `token` and `ip`, answered by
//! `{"status":"ok"|"failed","message":"…","host":"example.com:443"}`.

use async_trait::async_trait;
use human_check_core::adapter::WidgetSpec;
use human_check_core::{
    Capabilities, CheckError, ConfigError, ErrorKind, FactKind, Facts, Hostname, HumanCheck,
    Provider, Reason, Refusal, ReplayProtection, Secret, Submission, Verdict, Widget,
};
use human_check_http::adapter::json::Text;
use human_check_http::adapter::{FormBody, ResendPolicy, VerifyCall, siteverify};
use human_check_http::{Endpoint, ProviderClient, Reply, Request};
use serde::Deserialize;

/// SmartCaptcha and the form field of its widget.
pub static SMARTCAPTCHA: Provider = Provider::new("smartcaptcha", &["smart-token"]);

/// The widget, for a guard to show. Script and class are inferred from common pages.
///
/// # Errors
///
/// When the client key cannot be one.
pub fn widget(client_key: impl Into<String>) -> Result<Widget, ConfigError> {
    static FACTS: WidgetSpec = WidgetSpec::new(
        "https://smartcaptcha.cloud.yandex.ru/captcha.js",
        "smart-captcha",
        "data-sitekey",
    );
    Widget::new(&SMARTCAPTCHA, client_key, &FACTS)
}

const VALIDATE: &str = "https://smartcaptcha.cloud.yandex.ru/validate";

/// Asks SmartCaptcha's validate. A token lives five minutes and passes once.
#[derive(Clone, Debug)]
pub struct SmartCaptcha {
    client: ProviderClient,
    endpoint: Endpoint,
    secret: Secret,
}

impl SmartCaptcha {
    /// Asks with the server key of one captcha.
    ///
    /// # Errors
    ///
    /// None today; other adapters refuse a provider's testing keys here.
    pub fn new(client: &ProviderClient, secret: Secret) -> Result<Self, ConfigError> {
        Ok(Self {
            client: client.clone(),
            endpoint: Endpoint::literal(VALIDATE),
            secret,
        })
    }

    /// Asks somewhere else, such as a stub of the provider.
    #[must_use]
    pub fn at(mut self, base: &Endpoint) -> Self {
        self.endpoint = base.at_path("/validate");
        self
    }

    /// The request for a token.
    pub fn build(&self, token: &str, submission: &Submission) -> Request {
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
        let cap = self.client.limits().max_token_bytes;
        let token = match submission.token_for(&SMARTCAPTCHA, cap) {
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

#[derive(Deserialize)]
struct GuardResponse<'a> {
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    host: Text<'a>,
}

/// What a reply means. Only `ok` on 200 is a yes.
///
/// # Errors
///
/// [`CheckError`] when it is neither yes nor no.
pub fn judge(reply: &Reply) -> Result<Verdict, CheckError> {
    let body: GuardResponse<'_> = siteverify::object(&SMARTCAPTCHA, reply)?;
    let mut facts = Facts::new(&SMARTCAPTCHA);
    facts.replay_protection = ReplayProtection::Provider;
    facts.hostname = body.host.get().and_then(Hostname::parse);
    match body.status.get() {
        Some("ok") => Ok(Verdict::Human(facts)),
        // Expired, used and forged tokens are told apart only by a text.
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
    use human_check_http::{MockTransport, SendError, SendErrorKind};
    use human_check_testkit::conformance;
    use human_check_testkit::conformance::{Fixture, Wanted};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// The provider in a page: tokens that begin with `good` pass once.
    async fn smartcaptcha() -> Fixture {
        let (down, minted) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
        let spent = std::sync::Mutex::new(std::collections::HashSet::new());
        let provider = MockTransport::new({
            let down = Arc::clone(&down);
            move |request: &Request| {
                if down.load(Ordering::Relaxed) {
                    return Err(SendError::new(SendErrorKind::Lost));
                }
                let form = String::from_utf8_lossy(request.body()).into_owned();
                let good = form.contains("token=good") && spent.lock().unwrap().insert(form);
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
    fn only_ok_on_200_is_a_yes() {
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
