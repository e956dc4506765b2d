//! The pages and the JSON responses that the example applications share.
//!
//! With them in one place, the code of each example shows its framework only. Nothing here is part
//! of human-check: a real application has templates of its own.

mod proof_of_work;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::str::FromStr;

use human_check::ConfigError;
use human_check::config::{Deployment, Watch};
use human_check_guard::{
    CspSources, Guard, HealthEndpoint, OptionsEndpoint, RequestHead, Selected, WidgetRenderer,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

pub use proof_of_work::ProofOfWork;

/// The guards of an example, one for each kind of route.
#[derive(Clone, Debug)]
pub struct Guards {
    /// The guard of `POST /signup`, with the token in the body.
    pub signup: Guard,
    /// The guard of `POST /comments`, with the token in the header.
    pub comments: Guard,
    /// The endpoint from which scripts fetch the account that the visitor meets.
    pub options: OptionsEndpoint,
    /// The endpoints for load balancers.
    pub health: HealthEndpoint,
    /// The challenges and widget files of ALTCHA, when it is the provider.
    pub proof_of_work: Option<ProofOfWork>,
}

impl Guards {
    /// Creates the guards of a provider that issues its own challenges.
    pub fn new(signup: Guard, comments: Guard) -> Self {
        Self {
            options: OptionsEndpoint::new([signup.clone(), comments.clone()]),
            health: HealthEndpoint::new(),
            signup,
            comments,
            proof_of_work: None,
        }
    }

    /// Creates the guards from the file that `HUMAN_CHECK_CONFIG` names, or from variables with one
    /// provider: see [`Deployment::from_env`].
    ///
    /// The guards follow changes of the file until the [`Watch`] is dropped.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names the invalid key or variable.
    pub fn from_env() -> Result<(Self, Watch), ConfigError> {
        let deployment = Deployment::from_env()?;
        let guards = Self {
            signup: deployment.guard("signup")?,
            comments: deployment.guard("comments")?,
            proof_of_work: ProofOfWork::from_env(deployment.challenge_endpoint("signup")?)?,
            options: deployment.options_endpoint()?,
            health: deployment.health_endpoint(),
        };
        Ok((guards, deployment.watch()))
    }
}

/// Returns the address in the variable `ADDR`. Default: `127.0.0.1:8080`. Port 0 selects a free
/// port.
///
/// # Errors
///
/// When the value is not an address with a port.
pub fn address() -> Result<SocketAddr, ConfigError> {
    let Ok(text) = std::env::var("ADDR") else {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
    };
    text.parse().map_err(|_| {
        ConfigError::new(
            "ADDR",
            format!("is {text:?}, which is not an address with a port"),
            "write an address and a port, for example 127.0.0.1:8080",
        )
    })
}

/// Binds a non-blocking listener to [`address`].
///
/// # Errors
///
/// When the variable `ADDR` is invalid, or when the address cannot be bound.
pub fn listen() -> Result<TcpListener, Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(address()?)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The fields of the sign-up. It has no field for the token, and ignores unknown fields.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Signup {
    /// The e-mail address.
    pub email: String,
    /// The name of the visitor. Default: empty.
    #[serde(default)]
    pub name: String,
    /// The age in years. Default: not given.
    #[serde(default)]
    pub age: Age,
}

/// An optional age. A form without one posts an empty text, JSON has `null` or no member.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Age(Option<u8>);

impl FromStr for Age {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Ok(Self(None)),
            _ => text.parse().map(|age| Self(Some(age))),
        }
    }
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u8),
            Text(String),
            Nothing,
        }
        match Written::deserialize(deserializer)? {
            Written::Number(age) => Ok(Self(Some(age))),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
            Written::Nothing => Ok(Self(None)),
        }
    }
}

/// A comment. It has no field for the token.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Comment {
    /// The text of the comment.
    pub text: String,
}

/// What the response tells about an uploaded file.
#[derive(Clone, Debug, Serialize)]
pub struct FileEcho {
    name: String,
    length: usize,
    sha256: String,
}

impl FileEcho {
    /// Computes length and SHA-256 of a file.
    pub fn new(name: Option<&str>, content: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, content);
        Self {
            name: name.unwrap_or_default().to_owned(),
            length: content.len(),
            sha256: digest
                .as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        }
    }
}

/// Returns the JSON response to a sign-up: the fields and files that the handler received.
pub fn signed_up(signup: &Signup, files: &[FileEcho]) -> String {
    json!({"ok": true, "fields": signup, "files": files}).to_string()
}

/// Returns the JSON response to a comment.
pub fn commented(comment: &Comment) -> String {
    json!({"ok": true, "comment": comment}).to_string()
}

/// A page, and its content security policy.
#[derive(Clone, Debug)]
pub struct Html {
    /// The value of the header `Content-Security-Policy`.
    pub policy: String,
    /// Further headers of the response.
    pub headers: Vec<(&'static str, String)>,
    /// The HTML of the page.
    pub body: String,
}

/// Returns the home page: sign-up forms, and a form whose comment a script sends.
///
/// `head` is the head of the request for the page, by which the guards select the account that the
/// visitor meets.
pub fn index(guards: &Guards, head: &dyn RequestHead) -> Html {
    let [signup, comment] = [&guards.signup, &guards.comments].map(|guard| guard.select(head));
    let mut page = page("Sign up", signup.csp_sources(), |page| {
        // Each form has a place, at which the page script shows the challenge.
        let [first, upload, written] = [&signup, &signup, &comment].map(Selected::place);
        let script = page.page_script("/human-check");
        format!(
            r#"<form id="signup" method="post" action="/signup">
<p><label>E-mail <input name="email" type="email" required></label></p>
<p><label>Name <input name="name"></label></p>
<p><label>Age <input name="age" type="number" min="0" max="150"></label></p>
{first}
<p><button>Sign up</button></p>
</form>
<h2>Sign up with files</h2>
<form id="files" method="post" action="/signup" enctype="multipart/form-data">
<p><label>E-mail <input name="email" type="email" required></label></p>
<p><label>Files <input name="files" type="file" multiple></label></p>
{upload}
<p><button>Send files</button></p>
</form>
<h2>Comment</h2>
<form id="comment">
<p><label>Comment <input name="text" required></label></p>
{written}
<p><button>Send</button> <output name="result" role="status"></output></p>
</form>
{script}
<script nonce="{nonce}">{SCRIPT}</script>
"#,
            nonce = page.nonce().unwrap_or_default(),
        )
    });
    let headers = signup.headers().into_iter().chain(comment.headers());
    page.headers = headers.collect();
    page
}

/// Returns a page with this title, whose widgets need these sources. `body` renders its content.
///
/// The page has a new nonce for its scripts, and the policy allows what the widgets need.
pub fn page(
    title: &str,
    sources: CspSources,
    body: impl FnOnce(&WidgetRenderer) -> String,
) -> Html {
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    // Hexadecimal digits are valid base64, so this is never an error.
    let page = WidgetRenderer::new().with_nonce(&nonce).unwrap_or_default();
    let sources = sources.with_nonce(&nonce).unwrap_or_default();
    let policy = "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'";
    let body = body(&page);
    Html {
        policy: sources.merge_into(policy),
        headers: Vec::new(),
        body: format!(
            r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<h1>{title}</h1>
{body}"#
        ),
    }
}

/// Sends the comment as JSON. The page script adds the token, and shows a challenge when the server
/// demands one.
const SCRIPT: &str = r#"
document.getElementById("comment").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const response = await humanCheck.fetch("/comments", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text: form.elements.text.value }),
    humanCheck: form,
  });
  form.elements.result.textContent = response.ok ? "Thank you." : (await response.json()).detail;
});
"#;

/// Escapes a text for HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
