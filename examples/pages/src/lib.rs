//! What the example applications show and answer, so that each of them is about its framework.
//!
//! Nothing here is part of human-check. An application has templates of its own.

mod proof_of_work;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::str::FromStr;

use human_check_config::{Deployment, Watch};
use human_check_core::ConfigError;
use human_check_guard::{CspSources, Guard, WidgetRenderer};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

pub use proof_of_work::ProofOfWork;

/// The guards of an example: one for each kind of route.
#[derive(Clone, Debug)]
pub struct Guards {
    /// `POST /signup`: a token in the body.
    pub signup: Guard,
    /// `POST /comments`: a token in the header.
    pub comments: Guard,
    /// What the pages need besides, where challenges are made here.
    pub proof_of_work: Option<ProofOfWork>,
}

impl Guards {
    /// Guards in front of somebody else's challenges.
    pub fn new(signup: Guard, comments: Guard) -> Self {
        Self {
            signup,
            comments,
            proof_of_work: None,
        }
    }

    /// Reads the environment: the file that `HUMAN_CHECK_CONFIG` names, or one provider in variables, see
    /// [`Deployment::from_env`]. Changes of the file are noticed as long as the watch lives.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names the key or variable at fault.
    pub fn from_env() -> Result<(Self, Watch), ConfigError> {
        let deployment = Deployment::from_env()?;
        let guards = Self {
            signup: deployment.guard("signup")?,
            comments: deployment.guard("comments")?,
            proof_of_work: ProofOfWork::from_env(deployment.challenge_endpoint("signup")?)?,
        };
        Ok((guards, deployment.watch()))
    }
}

/// What `ADDR` says, by default `127.0.0.1:8080`.
///
/// # Errors
///
/// When it says something else than an address and a port.
pub fn address() -> Result<SocketAddr, ConfigError> {
    let Ok(text) = std::env::var("ADDR") else {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
    };
    text.parse().map_err(|_| {
        ConfigError::new(
            "ADDR",
            format!("is {text:?}, which is no address"),
            "write an address and a port, for example 127.0.0.1:8080",
        )
    })
}

/// A socket there.
///
/// # Errors
///
/// When the address is wrong, or taken.
pub fn listen() -> Result<TcpListener, Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(address()?)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What somebody signs up with. It needs no field for the token. What it does not know is ignored.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Signup {
    /// Where to write to.
    pub email: String,
    /// How to say hello.
    #[serde(default)]
    pub name: String,
    /// In years.
    #[serde(default)]
    pub age: Age,
}

/// An age that may be left blank: a form then posts an empty text, and JSON nothing or `null`.
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

/// What somebody comments. It needs no field for the token.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Comment {
    /// The comment.
    pub text: String,
}

/// A file that arrived.
#[derive(Clone, Debug, Serialize)]
pub struct FileEcho {
    name: String,
    length: usize,
    sha256: String,
}

impl FileEcho {
    /// What is told of a file's content.
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

/// The answer to a sign-up: what the handler read, as JSON.
pub fn signed_up(signup: &Signup, files: &[FileEcho]) -> String {
    json!({"ok": true, "fields": signup, "files": files}).to_string()
}

/// The answer to a comment, as JSON.
pub fn commented(comment: &Comment) -> String {
    json!({"ok": true, "comment": comment}).to_string()
}

/// A page and the policy it is sent with.
#[derive(Clone, Debug)]
pub struct Html {
    /// For `Content-Security-Policy`.
    pub policy: String,
    /// The page.
    pub body: String,
}

/// The first page: a form for a sign-up, and one whose comment a script sends.
pub fn index(guards: &Guards) -> Html {
    let (signup, comments) = (guards.signup.snapshot(), guards.comments.snapshot());
    page("Sign up", signup.widgets(), |page| {
        let signup = page.html_of(signup.widgets());
        let comment = page.html_of(comments.widgets());
        format!(
            r#"<form method="post" action="/signup" enctype="multipart/form-data">
<p><label>E-mail <input name="email" type="email" required></label></p>
<p><label>Name <input name="name"></label></p>
<p><label>Age <input name="age" type="number" min="0" max="150"></label></p>
<p><label>Files <input name="files" type="file" multiple></label></p>
{signup}
<p><button>Sign up</button></p>
</form>
<h2>Comment</h2>
<form id="comment">
<p><label>Comment <input name="text" required></label></p>
{comment}
<p><button>Send</button> <output name="answer" role="status"></output></p>
</form>
"#
        )
    })
}

/// A page with a body of the caller's, and a fresh nonce for its scripts.
pub fn page(
    title: &str,
    widgets: &[human_check_core::Widget],
    body: impl FnOnce(&WidgetRenderer) -> String,
) -> Html {
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    // A nonce of hexadecimal digits is base64.
    let page = WidgetRenderer::new().with_nonce(&nonce).unwrap_or_default();
    let sources = CspSources::of(widgets)
        .with_nonce(&nonce)
        .unwrap_or_default();
    let policy = "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'";
    let body = body(&page);
    Html {
        policy: sources.merge_into(policy),
        body: format!(
            r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<h1>{title}</h1>
{body}<script nonce="{nonce}">{SCRIPT}</script>
"#
        ),
    }
}

/// Sends the comment with the token in the header. Each widget puts it in a field of its form.
const SCRIPT: &str = r#"
document.getElementById("comment")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const field = form.querySelector("[name$=response],[name$=token],[name=altcha]");
  const answer = await fetch("/comments", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Captcha-Token": field?.value ?? "" },
    body: JSON.stringify({ text: form.elements.text.value }),
  });
  form.elements.answer.textContent = answer.ok ? "Thank you." : (await answer.json()).detail;
});
"#;

/// Text for inside of a page.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
