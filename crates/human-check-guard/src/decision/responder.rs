use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use crate::DenialReason;
use crate::decision::accept::prefers_html;
use crate::decision::refusal_page::{KeptForm, RefusalView};
use crate::decision::rejection::{GuardResponse, Rejection};
use crate::experiment::{Carried, ExperimentHead};
use crate::page::LanguageIndex;
use crate::selected::Selected;
use crate::snapshot::Snapshot;

/// Makes the response of a refusal in the form that the client prefers.
///
/// It reads the preference from the head of the request and keeps it, because a refusal may be
/// decided when the request is no longer at hand.
#[derive(Clone, Debug)]
pub(crate) struct Responder {
    guard: Snapshot,
    html: bool,
    htmx: bool,
    language: LanguageIndex,
    /// The list of accounts for the request.
    list: usize,
    /// What the response shows. `None` for what a new visitor meets.
    shown: Option<Selected>,
    /// What the request says about the experiment.
    experiment: ExperimentHead,
    /// Where the request comes from, by the browser.
    origin: Origin,
    /// The form that the page of a refusal sends again.
    form: Option<KeptForm>,
}

/// Where a request comes from, by the headers that browsers send.
#[derive(Clone, Debug, Default)]
struct Origin {
    /// The header `Sec-Fetch-Site`.
    site: Option<bool>,
    /// The host in the header `Origin`.
    host: Option<String>,
}

impl Responder {
    /// Creates a responder for a client that has stated no preference. It responds with JSON.
    pub(crate) fn plain(guard: &Snapshot) -> Self {
        Self {
            guard: guard.clone(),
            html: false,
            htmx: false,
            language: LanguageIndex::default(),
            list: 0,
            shown: None,
            experiment: ExperimentHead::default(),
            origin: Origin::default(),
            form: None,
        }
    }

    /// Returns whether the page of a refusal may send the form of this request again: a browser
    /// navigates, and the form is on a page of the same origin. Otherwise a page elsewhere could make
    /// the visitor confirm its form.
    pub(crate) fn resends_form(&self, method: &str, host: impl FnOnce() -> Option<String>) -> bool {
        self.html
            && method == "POST"
            && match (self.origin.site, &self.origin.host) {
                (Some(is_same), _) => is_same,
                (None, Some(origin)) => {
                    !origin.is_empty()
                        && host().is_some_and(|host| host.eq_ignore_ascii_case(origin))
                }
                (None, None) => false,
            }
    }

    /// Keeps the form that the page of a refusal sends again.
    pub(crate) fn keep_form(&mut self, form: KeptForm) {
        self.form = Some(form);
    }

    /// Takes over the form that `other` keeps, if it keeps one.
    pub(super) fn keep_form_of(&mut self, other: Self) {
        self.form = other.form.or(self.form.take());
    }

    /// Sets the list of accounts for the request.
    pub(super) fn set_list(&mut self, list: usize) {
        self.list = list;
    }

    /// Sets what the request says about the experiment.
    pub(super) fn set_experiment(&mut self, experiment: ExperimentHead) {
        self.experiment = experiment;
    }

    /// Notes what a valid offer of the request says about a visitor of an experiment.
    pub(super) fn carry(&mut self, carried: Option<Carried>) {
        self.experiment.carry(carried);
    }

    /// Sets what a refusal shows.
    pub(super) fn show(&mut self, shown: Selected) {
        self.shown = Some(shown);
    }

    /// Reads one header line. Only those matter that say what the client prefers, and from where it
    /// comes.
    pub(crate) fn read_header(&mut self, name: &str, line: &[u8]) {
        if name.eq_ignore_ascii_case("accept") {
            // Most API clients do not mention HTML. This test is faster than parsing the value.
            if line
                .windows(5)
                .any(|part| part.eq_ignore_ascii_case(b"/html"))
            {
                self.html |= std::str::from_utf8(line).is_ok_and(prefers_html);
            }
        } else if name.eq_ignore_ascii_case("hx-request") {
            self.htmx = line == b"true";
        } else if name.eq_ignore_ascii_case("accept-language") {
            self.language = self.guard.site().texts.preferred(line);
        } else if name.eq_ignore_ascii_case("sec-fetch-site") {
            // One that is repeated and not the same each time is of no use.
            let is_same = line == b"same-origin";
            self.origin.site = Some(self.origin.site.unwrap_or(true) && is_same);
        } else if name.eq_ignore_ascii_case("origin") {
            let origin = std::str::from_utf8(line)
                .ok()
                .and_then(|line| line.split_once("://"));
            let host = origin.map(|(_, host)| host.to_owned());
            self.origin.host = Some(match (&self.origin.host, host) {
                (None, Some(host)) => host,
                _ => String::new(),
            });
        }
    }

    /// Returns the snapshot of the guard that decides.
    pub(crate) fn guard(&self) -> &Snapshot {
        &self.guard
    }

    /// Returns the rejection for `denial` with its response.
    ///
    /// A challenge is shown only if it can be passed: while no account works, the response is that the
    /// verification is unavailable.
    pub(crate) fn refuse(&self, denial: DenialReason) -> Rejection {
        let selected = match denial.wants_challenge() {
            true => self
                .shown
                .clone()
                .or_else(|| self.guard.select(self.list, &self.experiment).ok()),
            false => None,
        };
        let denial = match &selected {
            None if denial.wants_challenge() => DenialReason::Unavailable {
                retry_after: None,
                token_used: false,
                retry: false,
            },
            _ => denial,
        };
        let page = self.html.then(|| {
            let view = RefusalView {
                denial,
                selected: selected.as_ref(),
                form: self.form.as_ref(),
                texts: &self.guard.site().texts,
                language: self.language,
            };
            self.guard
                .custom_page(&view)
                .unwrap_or_else(|| view.default_page())
        });
        let options = selected
            .as_ref()
            .map(|selected| format!("[{}]", selected.option()));
        let options = options.as_deref().unwrap_or("[]");
        let (content_type, body) = match page {
            Some(page) => ("text/html; charset=utf-8", page),
            None => ("application/problem+json", self.problem(denial, options)),
        };
        let language = self.guard.site().texts.tag(self.language);
        let mut headers = vec![
            ("content-type", Cow::Borrowed(content_type)),
            ("cache-control", "no-store".into()),
            ("vary", "Accept, Accept-Language, HX-Request".into()),
            ("content-language", language.to_owned().into()),
        ];
        if let Some(selected) = selected.as_ref().filter(|_| denial.wants_challenge()) {
            let provider = selected.provider().name().to_owned();
            headers.push(("x-captcha-required", provider.into()));
            if let Some(cookie) = &selected.cookie {
                headers.push(("set-cookie", cookie.to_string().into()));
            }
        }
        if self.htmx {
            let name = match denial.wants_challenge() {
                true => "human:challenge",
                false => "human:refused",
            };
            let event = format!(r#"{{"{name}":{}}}"#, self.event(denial, options));
            headers.push(("hx-trigger", escape_non_ascii(&event).into()));
            // htmx 4 would replace the form by the problem document.
            headers.push(("hx-reswap", "none".into()));
        }
        if let DenialReason::Unavailable { retry_after, .. } = denial {
            let seconds = retry_after_seconds(retry_after);
            headers.push(("retry-after", seconds.to_string().into()));
        }
        if denial == DenialReason::TooManyUploads {
            headers.push(("retry-after", retry_after_seconds(None).to_string().into()));
        }
        if matches!(
            denial,
            DenialReason::BodyTooSlow | DenialReason::TooManyUploads
        ) {
            headers.push(("connection", "close".into()));
        }
        let response = GuardResponse {
            status: denial.status(),
            headers,
            body,
        };
        Rejection::new(denial, response, selected)
    }

    /// Returns the problem document (RFC 9457) with the extension member `captcha`, by which scripts can
    /// show the challenge themselves.
    fn problem(&self, denial: DenialReason, options: &str) -> String {
        let (page, fragment) = match denial {
            DenialReason::Misconfigured => ("about:blank", String::new()),
            _ => (PROBLEM_TYPES, format!("#{}", denial.as_str())),
        };
        let (title, detail) = (self.text(denial.title()), self.text(denial.detail()));
        let status = denial.status();
        let mut body = format!(
            r#"{{"type":"{page}{fragment}","title":{title},"status":{status},"detail":{detail}"#
        );
        if let Some(captcha) = self.captcha(denial, options, true) {
            let _ = write!(body, r#","captcha":{{{captcha}}}"#);
        }
        body.push('}');
        body
    }

    /// Returns the detail of the event that htmx dispatches.
    fn event(&self, denial: DenialReason, options: &str) -> String {
        // Without texts: a header has little room, and the page script has them.
        let captcha = self.captcha(denial, options, false);
        let captcha = captcha.unwrap_or_else(|| r#""required":false"#.to_owned());
        format!("{{{captcha},\"detail\":{}}}", self.text(denial.detail()))
    }

    /// Returns the members of `captcha`. `None` where no challenge helps and no repetition either.
    fn captcha(&self, denial: DenialReason, options: &str, with_texts: bool) -> Option<String> {
        if let DenialReason::Unavailable {
            token_used, retry, ..
        } = denial
        {
            let reset = token_used && !retry;
            return Some(format!(
                r#""required":false,"reset":{reset},"retry":{retry}"#
            ));
        }
        if !denial.wants_challenge() {
            return None;
        }
        let route = json_text(self.guard.policy().name());
        let texts = self.guard.site().texts.script(self.language);
        let texts = texts
            .filter(|_| with_texts)
            .map(|texts| format!(r#","texts":{texts}"#));
        Some(format!(
            r#""required":true,"reset":true,"route":{route},"options":{options}{}"#,
            texts.unwrap_or_default()
        ))
    }

    /// Returns a text in the visitor's language, as JSON.
    fn text(&self, text: crate::Text) -> String {
        json_text(self.guard.site().texts.of(self.language, text))
    }
}

/// Returns a text as JSON.
fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The page that describes the problem types.
const PROBLEM_TYPES: &str = concat!(
    env!("CARGO_PKG_REPOSITORY"),
    "/blob/main/docs/reference/refusal-responses.md"
);

/// Returns the value of `Retry-After`: what was requested, limited to one hour, or else a random
/// number from 2 to 6, so that clients do not return all at once.
fn retry_after_seconds(requested: Option<Duration>) -> u64 {
    match requested {
        // A provider may request days. Clients must not wait that long.
        Some(requested) => requested.as_secs().clamp(1, 3_600),
        None => fastrand::u64(2..=6),
    }
}

/// Returns JSON in which every character outside of printable ASCII is escaped, because it becomes
/// the value of a header.
fn escape_non_ascii(json: &str) -> String {
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
