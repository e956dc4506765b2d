//! The examples with emulated providers, configured by environment variables.

use std::sync::OnceLock;

use example_pages::Guards;
use human_check_config::Deployment;
use human_check_emulator::{EmulatedAccount as Keys, Emulator, Mint};

use crate::body_kinds::{comment, form};
use crate::client::{Connection, Request};
use crate::fixture::{Framework, in_tokio, serve};

/// Returns the emulator that all tests of this module share.
fn emulator() -> &'static Emulator {
    static EMULATOR: OnceLock<Emulator> = OnceLock::new();
    EMULATOR.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        in_tokio(move || async move {
            sender.send(Emulator::start().await.unwrap()).unwrap();
            std::future::pending::<()>().await;
        });
        receiver.recv().unwrap()
    })
}

/// Returns a deployment with the variables of an emulated account, and `more` variables.
fn deployment(provider: &str, more: &[(&str, &str)]) -> Deployment {
    let keys = Keys::for_provider(provider);
    let base = emulator().base_url();
    let mut variables = vec![
        ("PROVIDER", provider),
        ("SITE_KEY", keys.site_key.as_str()),
        ("SECRET", keys.secret.as_str()),
        ("BASE_URL", base.as_str()),
        ("HOSTNAMES", "www.example.com"),
    ];
    variables.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    variables.extend(more);
    let variables = variables
        .into_iter()
        .map(|(name, value)| (format!("HUMAN_CHECK_{name}"), value.to_owned()));
    Deployment::builder().from_vars(variables).unwrap()
}

fn guards(deployment: &Deployment) -> Guards {
    let guard = |route| deployment.guard(route).unwrap();
    Guards::new(guard("signup"), guard("comments"))
}

#[test]
fn each_provider_works_in_each_framework() {
    let enterprise = [
        ("PROJECT", "demo-project"),
        ("ENTERPRISE_KEY", "score"),
        ("MIN_SCORE", "0.5"),
    ];
    let score = [("MIN_SCORE", "0.5")];
    let none: [(&str, &str); 0] = [];
    for (provider, field, more) in [
        ("turnstile", "cf-turnstile-response", &none[..]),
        ("hcaptcha", "h-captcha-response", &none),
        ("recaptcha-v2", "g-recaptcha-response", &none),
        ("recaptcha-v3", "g-recaptcha-response", &score),
        ("recaptcha-enterprise", "g-recaptcha-response", &enterprise),
        ("captchala", "captchala_token", &none),
    ] {
        // CaptchaLa does not report the hostname on which a challenge was shown.
        let hosts = (provider == "captchala").then_some(("HOSTNAMES", ""));
        let deployment = deployment(provider, &[more, hosts.as_slice()].concat());
        for framework in Framework::ALL {
            let address = serve(framework, guards(&deployment));
            let token = emulator().mint(&Mint::for_provider(provider)).unwrap();
            let request = form(&[("email", "a@b"), (field, &token)]);
            let mut connection = Connection::to(address);
            let first = connection.send(&request).unwrap();
            assert_eq!(first.status, 200, "{provider} {framework:?} {first:?}");
            let again = connection.send(&request).unwrap();
            assert_eq!(again.status, 403, "{provider} {framework:?} {again:?}");
            let token = emulator().mint(&Mint::for_provider(provider)).unwrap();
            let request = comment().header("X-Captcha-Token", token);
            let comment = connection.send(&request).unwrap();
            assert_eq!(comment.status, 200, "{provider} {framework:?} {comment:?}");
            let page = connection.send(&Request::post("/").method("GET")).unwrap();
            assert!(
                page.body.contains(&Keys::for_provider(provider).site_key),
                "{provider} {framework:?}"
            );
        }
    }
}

#[test]
fn field_header_action_and_host_are_as_the_environment_says() {
    let more = [
        ("FIELD", "captcha"),
        ("HEADER", "X-Human"),
        ("ACTION", "signup"),
        ("HOSTNAMES", "shop.example, www.shop.example"),
    ];
    let deployment = deployment("turnstile", &more);
    let mint = || {
        Mint::for_provider("turnstile")
            .with_hostname("shop.example")
            .with_action("signup")
    };
    let token = |mint: &Mint| emulator().mint(mint).unwrap();
    for framework in Framework::ALL {
        let mut connection = Connection::to(serve(framework, guards(&deployment)));
        let mut status = |request: &Request| connection.send(request).unwrap().status;
        for (mint, expected) in [
            (mint(), 200),
            (mint().with_action("login"), 403),
            (mint().with_hostname("evil.example"), 403),
        ] {
            let posted = form(&[("email", "a@b"), ("captcha", &token(&mint))]);
            assert_eq!(status(&posted), expected, "{framework:?} {mint:?}");
            let sent = comment().header("X-Human", token(&mint));
            assert_eq!(status(&sent), expected, "{framework:?} {mint:?}");
        }
        let old = form(&[("email", "a@b"), ("cf-turnstile-response", &token(&mint()))]);
        assert_eq!(status(&old), 403, "{framework:?}");
        let old = comment().header("X-Captcha-Token", token(&mint()));
        assert_eq!(status(&old), 403, "{framework:?}");
    }
}

/// Returns the client address in the last request to the emulator.
fn last_client_address() -> Option<String> {
    let requests = emulator().requests();
    let form = requests.last().unwrap().form();
    form.into_iter()
        .find(|(name, _)| name == "remoteip")
        .map(|(_, ip)| ip)
}

#[test]
fn only_a_configured_proxy_is_trusted_for_the_client_address() {
    let behind = [
        ("CLIENT_ADDRESS", "x-forwarded-for"),
        ("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8"),
    ];
    let forged = "6.6.6.6";
    for (more, expected) in [(&[][..], None), (&behind[..], Some("203.0.113.7"))] {
        let deployment = deployment("turnstile", more);
        for framework in Framework::ALL {
            let token = emulator().mint(&Mint::for_provider("turnstile")).unwrap();
            let request = form(&[("email", "a@b"), ("cf-turnstile-response", &token)])
                .header("x-real-ip", forged)
                .header("forwarded", format!("for={forged}"))
                .header("cf-connecting-ip", forged)
                .header(
                    "x-forwarded-for",
                    format!("{forged}, 203.0.113.7, 10.1.2.3"),
                );
            let address = serve(framework, guards(&deployment));
            assert_eq!(Connection::to(address).send(&request).unwrap().status, 200);
            assert_eq!(last_client_address().as_deref(), expected, "{framework:?}");
        }
    }
}
