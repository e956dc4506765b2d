use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use crate::DenialReason;
use crate::decision::accept::prefers_html;
use crate::decision::rejection::{GuardResponse, Rejection};
use crate::snapshot::Snapshot;

/// In which form this client is answered, decided while its request is at hand.
#[derive(Clone, Debug)]
pub(crate) struct Responder {
    guard: Snapshot,
    html: bool,
    htmx: bool,
}

impl Responder {
    /// For a client that says nothing of what it wants.
    pub(crate) fn plain(guard: &Snapshot) -> Self {
        Self {
            guard: guard.clone(),
            html: false,
            htmx: false,
        }
    }

    /// Looks at a header for what the client wants.
    pub(crate) fn listen(&mut self, name: &str, line: &[u8]) {
        if name.eq_ignore_ascii_case("accept") {
            // Most clients name no HTML at all, which is quicker to see than to parse.
            if line
                .windows(5)
                .any(|part| part.eq_ignore_ascii_case(b"/html"))
            {
                self.html |= std::str::from_utf8(line).is_ok_and(prefers_html);
            }
        } else if name.eq_ignore_ascii_case("hx-request") {
            self.htmx = line == b"true";
        }
    }

    pub(crate) fn guard(&self) -> &Snapshot {
        &self.guard
    }

    pub(crate) fn refuse(&self, denial: DenialReason) -> Rejection {
        let page = self.html.then(|| {
            let own = self.guard.own_page(denial);
            own.unwrap_or_else(|| plain_page(denial))
        });
        let (content_type, body) = match page {
            Some(page) => ("text/html; charset=utf-8", page),
            None => ("application/problem+json", self.problem(denial)),
        };
        let mut headers = vec![
            ("content-type", Cow::Borrowed(content_type)),
            ("cache-control", "no-store".into()),
            ("vary", "Accept, HX-Request".into()),
        ];
        if denial.wants_challenge() {
            headers.push((
                "x-captcha-required",
                self.guard.providers().to_owned().into(),
            ));
            if self.htmx {
                let event = format!(
                    r#"{{"human:challenge":{{"options":{}}}}}"#,
                    self.guard.options()
                );
                headers.push(("hx-trigger", ascii(&event).into()));
            }
        }
        if let DenialReason::Unavailable { retry_after, .. } = denial {
            headers.push(("retry-after", seconds(retry_after).to_string().into()));
        }
        if denial == DenialReason::BodyTooSlow {
            headers.push(("connection", "close".into()));
        }
        let answer = GuardResponse {
            status: denial.status(),
            headers,
            body,
        };
        Rejection::new(denial, answer)
    }

    /// RFC 9457, with one extension member for pages that show the challenge themselves.
    ///
    /// Written by hand, as nothing in it needs escaping but the options, which are JSON already.
    fn problem(&self, denial: DenialReason) -> String {
        let (problems, fragment) = match denial {
            DenialReason::Misconfigured => ("about:blank", String::new()),
            _ => (PROBLEMS, format!("#{}", denial.as_str())),
        };
        let (title, status, detail) = (denial.title(), denial.status(), denial.advice());
        let mut body = format!(
            r#"{{"type":"{problems}{fragment}","title":"{title}","status":{status},"detail":"{detail}""#
        );
        let options = self.guard.options();
        let _ = match denial {
            DenialReason::Unavailable { token_used, .. } => write!(
                body,
                r#","captcha":{{"required":false,"reset":{token_used}}}"#
            ),
            _ if denial.wants_challenge() => write!(
                body,
                r#","captcha":{{"required":true,"reset":true,"options":{options}}}"#
            ),
            _ => Ok(()),
        };
        body.push('}');
        body
    }
}

/// Where the problem types are explained.
const PROBLEMS: &str = concat!(
    env!("CARGO_PKG_REPOSITORY"),
    "/blob/main/docs/reference/refusal-responses.md"
);

/// A provider's own wish, or a few seconds that differ, so that not everybody returns at once.
fn seconds(wish: Option<Duration>) -> u64 {
    match wish {
        // Nobody should be told to come back next week.
        Some(wish) => wish.as_secs().clamp(1, 3_600),
        None => fastrand::u64(2..=6),
    }
}

/// JSON with everything beyond printable ASCII escaped, as a header needs it.
fn ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

fn plain_page(denial: DenialReason) -> String {
    let (title, advice) = (denial.title(), denial.advice());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <h1>{title}</h1>\n<p>{advice}</p>\n\
         <p>Go back to the page you came from; what you typed is usually still there.</p>\n"
    )
}
