mod note;
mod pending_options;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use human_check_core::ConfigError;

use crate::experiment::ExperimentHead;
use crate::page::LanguageIndex;
use crate::request_head::Single;
use crate::selection::Offer;
use crate::{AttemptStore, Guard, GuardResponse, MemoryAttemptStore, RequestHead};
use note::Note;
pub use pending_options::PendingOptions;

/// How many reports of a failed widget count for one address.
const REPORTS: u32 = 5;

/// The time in which they count.
const REPORT_WINDOW: Duration = Duration::from_secs(60);

/// An HTTP endpoint that tells pages which account the visitor meets, without a framework.
///
/// A page needs it if a cache keeps the page, if it stays open for long, or if it opens web
/// sockets and event streams, whose refusals it cannot read. `page_routes` of the framework's crate has
/// a route for it.
///
/// `GET ?route=signup` returns what a refusal of that route has in the member `captcha`, with a new
/// offer. It verifies nothing and counts no trigger. No cache may keep the response.
///
/// | status | when |
/// | --- | --- |
/// | 200 | the account to show, as JSON |
/// | 204 | a step of an experiment was noted |
/// | 403 | the request comes from a page of another origin, which is not in the list |
/// | 404 | the route is unknown |
/// | 503 | no account works; with `Retry-After` |
///
/// With `consent=1` the page says that the visitor has allowed cookies, which an
/// [`Experiment`](crate::Experiment) may wait for. A page that asks again sends its offer along, as
/// `offer=`, so that a visitor of an experiment counts once. With `event=loaded` or `event=solved` and
/// `ms=` it says how long a step took; the response is 204, and only the first of each counts.
///
/// `GET ?route=signup&failed=NAME` reports that the widget of an account could not be shown. It has
/// an effect only with
/// [`Selection::with_fallback_on_widget_failure`](crate::Selection::with_fallback_on_widget_failure),
/// and if the browser says, by `Sec-Fetch-Site` or `Origin`, that the page is of the same origin or
/// of a listed one. The response then names the next account. Five reports a minute count for each
/// address, and ten an hour for all together or, if that is more, one for 20 human verdicts of that
/// hour.
///
/// ```
/// use human_check_guard::{Guard, OptionsEndpoint, RoutePolicy};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let signup = Guard::new(turnstile, RoutePolicy::fail_closed("signup"))?;
/// let endpoint = OptionsEndpoint::new([signup]).with_origins(["https://shop.example"])?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct OptionsEndpoint(Arc<Inner>);

/// Returns the guard of a route by its name.
type Find = Arc<dyn Fn(&str) -> Option<Guard> + Send + Sync>;

#[derive(Clone)]
struct Inner {
    find: Find,
    origins: Vec<String>,
    attempts: Arc<dyn AttemptStore>,
}

impl OptionsEndpoint {
    /// Creates an endpoint for the routes of these guards, for pages of the same origin.
    pub fn new(guards: impl IntoIterator<Item = Guard>) -> Self {
        let guards: Vec<Guard> = guards.into_iter().collect();
        Self::of(move |route| {
            let mut guards = guards.iter();
            guards
                .find(|guard| guard.snapshot().policy().name() == route)
                .cloned()
        })
    }

    /// Creates an endpoint for the routes whose guards `find` returns by their names. It returns `None`
    /// for an unknown name, which a client may send.
    pub fn of(find: impl Fn(&str) -> Option<Guard> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            find: Arc::new(find),
            origins: Vec::new(),
            attempts: Arc::new(MemoryAttemptStore::new(100_000)),
        }))
    }

    /// Sets other origins whose pages may read the response, such as `https://shop.example`. Default:
    /// none.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when an origin is not a scheme, `://` and a host.
    pub fn with_origins<O: Into<String>>(
        mut self,
        origins: impl IntoIterator<Item = O>,
    ) -> Result<Self, ConfigError> {
        let origins: Vec<String> = origins.into_iter().map(Into::into).collect();
        let is_origin = |origin: &str| {
            let host = origin
                .strip_prefix("https://")
                .or_else(|| origin.strip_prefix("http://"));
            host.is_some_and(|host| {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
                !host.is_empty() && host.bytes().all(fits)
            })
        };
        if let Some(wrong) = origins.iter().find(|origin| !is_origin(origin)) {
            return Err(ConfigError::new(
                "origins",
                format!("holds {wrong:?}, which is no origin"),
                "write a scheme and a host without a path, for example https://shop.example",
            ));
        }
        let origins = origins
            .into_iter()
            .map(|origin| origin.to_ascii_lowercase());
        Arc::make_mut(&mut self.0).origins = origins.collect();
        Ok(self)
    }

    /// Sets the store that counts reports of failed widgets, for example one that several machines
    /// share. Default: a [`MemoryAttemptStore`] for 100,000 addresses.
    #[must_use]
    pub fn with_attempt_store(mut self, attempts: impl AttemptStore) -> Self {
        Arc::make_mut(&mut self.0).attempts = Arc::new(attempts);
        self
    }

    /// Reads the head of a request. [`PendingOptions::respond`] then makes the response.
    ///
    /// The two steps are separate so that the future does not hold the request.
    pub fn prepare(&self, head: &dyn RequestHead) -> PendingOptions {
        let (mut route, mut failed, mut has_consent) = (None, None, false);
        let (mut offer, mut event, mut ms) = (None, None, None);
        for (name, value) in form_urlencoded::parse(head.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "route" => route = Some(value.into_owned()),
                "failed" => failed = Some(value.into_owned()),
                "consent" => has_consent = value == "1",
                "offer" => offer = Some(value.into_owned()),
                "event" => event = Some(value.into_owned()),
                "ms" => ms = value.parse().ok(),
                _ => {}
            }
        }
        let (reader, cors) = self.origin(head);
        // A report changes what the client meets, and counts towards a limit for all, so a browser must
        // say that it comes from a page that may make it. A `HEAD` has no use for the response.
        let failed = failed.filter(|_| reader == Reader::Page && head.method() == "GET");
        let guard = route.and_then(|route: String| (self.0.find)(&route));
        let guard = guard.map(|guard| guard.snapshot());
        let inspected = guard.as_ref().map(|guard| guard.inspect(head));
        PendingOptions {
            allowed: reader != Reader::Stranger,
            cors,
            list: inspected.as_ref().map_or(0, |inspected| inspected.list()),
            client_ip: guard.as_ref().and_then(|guard| guard.client_ip(head)),
            language: match &guard {
                Some(guard) => language(guard, head),
                None => LanguageIndex::default(),
            },
            experiment: match &guard {
                Some(guard) => experiment(guard, head, offer.as_deref(), has_consent),
                None => ExperimentHead::default(),
            },
            note: event.map(|event| Note {
                is_of_page: reader == Reader::Page,
                event,
                after: Duration::from_millis(ms.unwrap_or(u64::MAX)),
            }),
            guard: guard.map(|guard| guard.decided_by().clone()),
            failed,
            attempts: Arc::clone(&self.0.attempts),
        }
    }

    /// Returns who asks, and the origin that the response must name for it.
    fn origin(&self, head: &dyn RequestHead) -> (Reader, Option<String>) {
        let single = |name| {
            let mut value = Single::default();
            head.header(name, &mut |line| value.add(line));
            value
        };
        let (origin, site) = (single("origin"), single("sec-fetch-site"));
        if origin.is_unusable() || site.is_unusable() {
            return (Reader::Stranger, None);
        }
        if let Some(origin) = origin.as_str() {
            let origin = origin.to_ascii_lowercase();
            if self.0.origins.contains(&origin) {
                return (Reader::Page, Some(origin));
            }
        }
        // Browsers state where a request comes from. Other programs may say anything, and gain nothing.
        let reader = match (site.as_str(), origin.as_str()) {
            (Some("same-origin"), _) => Reader::Page,
            (Some("none"), _) | (None, None) => Reader::Unstated,
            (Some(_), _) => Reader::Stranger,
            (None, Some(origin)) => {
                let host = origin.split_once("://").map(|(_, host)| host);
                let is_own = |host| {
                    head.host()
                        .is_some_and(|own| own.eq_ignore_ascii_case(host))
                };
                match host.is_some_and(is_own) {
                    true => Reader::Page,
                    false => Reader::Stranger,
                }
            }
        };
        (reader, None)
    }

    /// Responds to a request, in one step.
    ///
    /// Dropping the future sends no response. A report may be counted or not.
    pub async fn respond(&self, head: &dyn RequestHead) -> GuardResponse {
        self.prepare(head).respond().await
    }
}

/// Returns what the request says about the experiment. A page that asks again sends its offer along, so
/// that the visitor keeps the receipt.
fn experiment(
    guard: &Guard,
    head: &dyn RequestHead,
    offer: Option<&str>,
    has_consent: bool,
) -> ExperimentHead {
    let guard = guard.decided_by();
    let mut experiment = guard.read_experiment(head);
    if has_consent {
        experiment.allow_cookies();
    }
    let carried = offer.and_then(|text| {
        let (keys, now) = (&guard.site().keys, guard.now());
        let offer = Offer::verify(text.as_bytes(), keys, &guard.route(), now).ok()?;
        let plan = guard.experiment()?;
        plan.carried(&guard.policy().name, offer.nonce, offer.arm)
    });
    experiment.carry(carried);
    experiment
}

/// Returns the language that the client prefers.
fn language(guard: &Guard, head: &dyn RequestHead) -> LanguageIndex {
    let mut language = LanguageIndex::default();
    head.header("accept-language", &mut |line| {
        language = guard.decided_by().site().texts.preferred(line);
    });
    language
}

/// Who asks, as far as the browser says it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Reader {
    /// A page of the same origin, or of a listed one.
    Page,
    /// The browser says nothing, or it is another program.
    Unstated,
    /// A page that may not have the response.
    Stranger,
}

impl fmt::Debug for OptionsEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptionsEndpoint")
            .field("origins", &self.0.origins)
            .finish_non_exhaustive()
    }
}
