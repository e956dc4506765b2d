use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use human_check::{
    CheckError, ConfigError, Enforce, ErrorKind, HumanCheck, Provider, Reason, Submission, Verdict,
    Widget,
};

use crate::answer::{self, Reply};
use crate::fields::Sorted;
use crate::head::Single;
use crate::{
    Answers, ClientAddress, DecisionEvent, Demand, Denial, Fields, Html, Human, MaybeHuman,
    Observer, Refused, RequestHead, RoutePolicy, Signals, Unproven,
};

/// A check in front of routes, with everything they need to decide and to answer.
///
/// Build it once and clone it: clones share everything. It knows no framework; the crates for
/// actix-web, Rocket and axum hand it requests.
///
/// ```
/// use human_check_guard::{Guard, RoutePolicy};
/// # let turnstile = human_check_testkit::Scripted::human();
/// let signup = Guard::new(turnstile, RoutePolicy::closed_on_outage("signup"))?;
/// let newsletter = signup.with_policy(RoutePolicy::open_on_outage("newsletter"))?;
/// # Ok::<(), human_check::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    site: Arc<Site>,
    policy: RoutePolicy,
    check: Arc<dyn HumanCheck>,
    /// The widgets with the route's action.
    widgets: Vec<Widget>,
    /// How a page shows a challenge, as JSON.
    options: String,
    /// The names of the vendors, for a header.
    providers: String,
}

/// What all routes of a site share.
#[derive(Clone)]
struct Site {
    check: Arc<dyn HumanCheck>,
    form: Arc<Fields>,
    json: Arc<Fields>,
    header: String,
    country_header: Option<String>,
    client: ClientAddress,
    widgets: Vec<Widget>,
    page: Option<RefusalPage>,
    observers: Vec<Arc<dyn Observer>>,
    limits: BodyLimits,
}

type RefusalPage = Arc<dyn Fn(&Denial, &[Widget]) -> Option<String> + Send + Sync>;

/// How much of a body a guard reads, and for how long.
///
/// Frameworks have limits of their own; the smaller one holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BodyLimits {
    /// The largest form or JSON body, in bytes as they travel. Default 64 KiB.
    pub body: usize,
    /// How long such a body may take. Default 5 s.
    pub body_deadline: Duration,
    /// The largest multipart body. Default 2 MiB.
    pub upload: usize,
    /// How long a multipart body may take. Default 60 s.
    pub upload_deadline: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            body: 65_536,
            body_deadline: Duration::from_secs(5),
            upload: 2 * 1_024 * 1_024,
            upload_deadline: Duration::from_secs(60),
        }
    }
}

/// Sets up a [`Guard`].
#[must_use = "a builder guards nothing until it is built"]
pub struct GuardBuilder(Site, Vec<(String, String)>);

impl GuardBuilder {
    /// Shows `widget` where a challenge is wanted, and tells scripts of its site key.
    pub fn with_widget(mut self, widget: Widget) -> Self {
        self.0.widgets.push(widget);
        self
    }

    /// Learns visitors' addresses from a proxy. Default: the socket's address, and no header.
    pub fn with_client_address(mut self, client: ClientAddress) -> Self {
        self.0.client = client;
        self
    }

    /// Believes this header about the visitor's country, where the peer is one of the proxies of
    /// [`with_client_address`](Self::with_client_address). Cloudflare's is `CF-IPCountry`. Default none.
    pub fn with_country_header(mut self, name: impl Into<String>) -> Self {
        self.0.country_header = Some(name.into().to_ascii_lowercase());
        self
    }

    /// The header that scripts send a token in. Default `X-Captcha-Token`.
    ///
    /// Where several vendors are accepted, `X-Captcha-Provider` must say whose it is.
    pub fn with_header(mut self, name: impl Into<String>) -> Self {
        self.0.header = name.into().to_ascii_lowercase();
        self
    }

    /// Finds the answer of `provider` in JSON bodies at `pointer` (`/captcha/token`), too.
    ///
    /// Everything on the way must be an object. Forms have no such depth.
    pub fn with_json_member(
        mut self,
        provider: impl Into<String>,
        pointer: impl Into<String>,
    ) -> Self {
        self.1.push((provider.into(), pointer.into()));
        self
    }

    /// Replaces the page that a refused visitor sees who asked for HTML.
    ///
    /// `None` falls back to the plain one. The page must not depend on anything secret, and no
    /// text in it is escaped for you.
    pub fn with_page(
        mut self,
        page: impl Fn(&Denial, &[Widget]) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.0.page = Some(Arc::new(page));
        self
    }

    /// Tells `observer` of every decision.
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.0.observers.push(Arc::new(observer));
        self
    }

    /// Reads other amounts than the default.
    pub fn with_body_limits(mut self, limits: BodyLimits) -> Self {
        self.0.limits = limits;
        self
    }

    /// The guard for routes under `policy`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy asks for a fact that the check does not report, a header
    /// name or JSON pointer is none, or a widget belongs to a vendor that is not accepted.
    pub fn build(self, policy: RoutePolicy) -> Result<Guard, ConfigError> {
        let Self(mut site, members) = self;
        for name in [&site.header].into_iter().chain(&site.country_header) {
            if TAKEN.contains(&name.as_str()) || !is_header_name(name) {
                return Err(ConfigError::new(
                    "header",
                    format!("is {name:?}, which is no header name, or means something else"),
                    "write letters, digits and dashes, for example X-Captcha-Token",
                ));
            }
        }
        let accepted = site.check.accepts();
        for widget in &site.widgets {
            if !accepted.contains(widget.provider()) {
                return Err(ConfigError::new(
                    "widget",
                    format!(
                        "belongs to {}, whose answers are not accepted",
                        widget.provider()
                    ),
                    "leave it out, or accept that vendor",
                ));
            }
        }
        let mut json = (*site.json).clone();
        for (provider, pointer) in members {
            let index = accepted.iter().position(|known| known.name() == provider);
            let Some(index) = index else {
                return Err(ConfigError::new(
                    "json_member",
                    format!("is given for {provider:?}, whose answers are not accepted"),
                    "name a provider that the check accepts",
                ));
            };
            let path: Vec<_> = pointer.split('/').skip(1).map(str::to_owned).collect();
            let rooted = pointer.starts_with('/') && !path.iter().any(String::is_empty);
            if !rooted || pointer.contains('~') || path.len() > 16 {
                return Err(ConfigError::new(
                    "json_member",
                    format!("is {pointer:?}, which leads to no member"),
                    "write a JSON pointer without escapes, for example /captcha/token",
                ));
            }
            json.add(path, index, true);
        }
        if json.is_ambiguous() {
            return Err(ConfigError::new(
                "json_member",
                "leads through a member that carries an answer itself",
                "name members that do not stand inside of one another",
            ));
        }
        if let Some(field) = json.disputed() {
            return Err(ConfigError::new(
                "fields",
                format!("`{field}` is the usual field of two vendors, so one would never be asked"),
                "post one of them under another name, and tell its adapter with `with_form_fields`",
            ));
        }
        site.json = Arc::new(json);
        Guard::assemble(Arc::new(site), policy)
    }
}

/// Headers that a guard or a server reads for something else.
const TAKEN: [&str; 8] = [
    PROVIDER_HEADER,
    "accept",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "hx-request",
    "user-agent",
];

fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

impl Guard {
    /// A guard with the defaults, for routes under `policy`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy asks for a fact that the check does not report.
    pub fn new(check: impl HumanCheck, policy: RoutePolicy) -> Result<Self, ConfigError> {
        Self::builder(check).build(policy)
    }

    /// Sets up a guard in front of `check`.
    pub fn builder(check: impl HumanCheck) -> GuardBuilder {
        let fields = Arc::new(Fields::of(&check));
        let site = Site {
            check: Arc::new(check),
            form: Arc::clone(&fields),
            json: fields,
            header: "x-captcha-token".to_owned(),
            country_header: None,
            client: ClientAddress::socket(),
            widgets: Vec::new(),
            page: None,
            observers: Vec::new(),
            limits: BodyLimits::default(),
        };
        GuardBuilder(site, Vec::new())
    }

    /// The same site's guard for routes under another policy.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_policy(&self, policy: RoutePolicy) -> Result<Self, ConfigError> {
        Self::assemble(Arc::clone(&self.0.site), policy)
    }

    fn assemble(site: Arc<Site>, policy: RoutePolicy) -> Result<Self, ConfigError> {
        policy.validate(site.check.reports())?;
        for provider in site.check.accepts() {
            // It goes into a header.
            if provider.name().is_empty() || !provider.name().bytes().all(|b| b.is_ascii_graphic())
            {
                return Err(ConfigError::new(
                    "provider",
                    format!("is named {:?}", provider.name()),
                    "name it in printable ASCII without spaces",
                ));
            }
        }
        let check: Arc<dyn HumanCheck> = match &policy.requires {
            Some(required) => Arc::new(Enforce::new(Arc::clone(&site.check), required.clone())?),
            None => Arc::clone(&site.check),
        };
        let mut widgets = site.widgets.clone();
        if let Some(action) = &policy.action {
            for widget in &mut widgets {
                if widget.facts().action.is_some() {
                    *widget = widget.clone().with_action(action.clone())?;
                }
            }
        }
        let names: Vec<_> = site.check.accepts().iter().map(Provider::name).collect();
        let providers = names.join(", ");
        let options = answer::options(site.check.accepts(), &widgets, &site.header);
        Ok(Self(Arc::new(Inner {
            site,
            policy,
            check,
            widgets,
            options,
            providers,
        })))
    }

    /// The route policy.
    pub fn policy(&self) -> &RoutePolicy {
        &self.0.policy
    }

    /// The widgets to show on pages whose forms lead to these routes.
    pub fn widgets(&self) -> &[Widget] {
        &self.0.widgets
    }

    /// The widgets as HTML, with their scripts, for inside a form that leads to these routes.
    ///
    /// For pages with one such form and without a content security policy; others use
    /// [`Page`](crate::Page).
    pub fn html(&self) -> Html {
        crate::Page::new().html_of(&self.0.widgets)
    }

    /// How much of a body is read.
    pub fn body_limits(&self) -> BodyLimits {
        self.0.site.limits
    }

    /// Where answers stand in a form.
    pub fn form_fields(&self) -> &Arc<Fields> {
        &self.0.site.form
    }

    /// Where answers stand in a JSON body.
    pub fn json_fields(&self) -> &Arc<Fields> {
        &self.0.site.json
    }

    /// The visitor's address, as far as it is known.
    pub fn client_ip(&self, head: &dyn RequestHead) -> Option<IpAddr> {
        self.0.site.client.resolve(head)
    }

    /// Whether both are the same guard. Clones are; guards for other policies are not, nor are two
    /// that were built alike.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Refuses a request for a reason that needs no check, and counts that.
    pub fn refuse(&self, head: &dyn RequestHead, denial: Denial) -> Refused {
        self.look(head).refuse(denial)
    }

    /// Asks this visitor for a challenge, whatever the triggers say.
    ///
    /// For handlers that find out by themselves that one is due, such as a login that knows how
    /// often its account was tried.
    pub fn challenge(&self, head: &dyn RequestHead) -> Refused {
        self.refuse(head, Denial::ChallengeRequired)
    }

    /// Looks at a request's head, and asks nobody yet.
    pub fn look(&self, head: &dyn RequestHead) -> Seen {
        let site = &self.0.site;
        let mut reply = Reply::plain(self);
        let mut tokens = Vec::new();
        let [mut provider, mut user_agent, mut country] = [(); 3].map(|()| Single::default());
        head.headers(&mut |name, line| {
            if name.eq_ignore_ascii_case(&site.header) {
                tokens.push(line.to_owned());
            } else if name.eq_ignore_ascii_case("user-agent") {
                user_agent.add(line);
            } else if name.eq_ignore_ascii_case(PROVIDER_HEADER) {
                provider.add(line);
            } else {
                reply.listen(name, line);
            }
            if let Some(known) = &site.country_header
                && name.eq_ignore_ascii_case(known)
            {
                country.add(line);
            }
        });
        let conditional = !self.0.policy.trigger.is_always();
        let believed = conditional && site.client.trusts(head.peer());
        Seen {
            reply,
            answers: self.header_answers(tokens, provider),
            country: country.text().filter(|code| believed && is_country(code)),
            method: conditional.then(|| head.method().to_owned()),
            client_ip: self.client_ip(head),
            // A blank one says as little as none.
            user_agent: user_agent.text().filter(|agent| !agent.trim().is_empty()),
            since: Instant::now(),
        }
    }

    /// Looks at a whole request: its head, and the answers from its body.
    pub fn examine(&self, head: &dyn RequestHead, answers: Answers) -> Examined {
        self.look(head).with(answers)
    }

    fn header_answers(&self, tokens: Vec<Vec<u8>>, provider: Single) -> Answers {
        let provider = provider.text();
        let mut answers = Answers::none();
        let providers = self.0.site.check.accepts();
        let several = tokens.len() > 1;
        for token in tokens {
            let owner = match providers {
                [_] => Some(0),
                _ if token.is_empty() => continue,
                _ => providers
                    .iter()
                    .position(|known| Some(known.name()) == provider.as_deref()),
            };
            match (owner, String::from_utf8(token)) {
                (Some(owner), Ok(token)) if !several => answers.push(Fields::own(owner), token),
                // A token that cannot be attributed is shown to nobody.
                _ => answers.push_unusable(Fields::own(0)),
            }
        }
        answers
    }

    fn observe(
        &self,
        decision: &'static str,
        provider: &str,
        reason: &'static str,
        elapsed: Duration,
        weight: Weight,
    ) {
        let event = DecisionEvent {
            route: self.0.policy.name(),
            decision,
            provider,
            reason,
            elapsed,
        };
        for observer in &self.0.site.observers {
            observer.on_decision(&event);
        }
        macro_rules! emit {
            ($level:expr) => {
                tracing::event!(
                    target: "human_check_guard",
                    $level,
                    route = event.route,
                    decision,
                    provider,
                    reason,
                    elapsed_ms = elapsed.as_millis() as u64,
                )
            };
        }
        match weight {
            Weight::OurMistake => emit!(tracing::Level::ERROR),
            Weight::NobodyKnows => emit!(tracing::Level::WARN),
            Weight::Usual => emit!(tracing::Level::DEBUG),
        }
    }

    /// What comes of a decision, where the route may only observe.
    fn enforced(&self, result: Result<MaybeHuman, Denial>) -> Result<MaybeHuman, Denial> {
        match result {
            Err(denial) if self.0.policy.observe_only => {
                Ok(MaybeHuman::Unproven(Unproven::Observed(denial)))
            }
            result => result,
        }
    }

    pub(crate) fn options(&self) -> &str {
        &self.0.options
    }

    pub(crate) fn providers(&self) -> &str {
        &self.0.providers
    }

    pub(crate) fn own_page(&self, denial: Denial) -> Option<String> {
        let page = self.0.site.page.as_ref()?;
        page(&denial, &self.0.widgets)
    }
}

fn decision_name(result: &Result<MaybeHuman, Denial>) -> &'static str {
    match result {
        Ok(MaybeHuman::Human(_)) => "human",
        Ok(MaybeHuman::Unproven(why)) => why.name(),
        Err(denial) => denial.name(),
    }
}

/// How loudly a decision is told.
#[derive(Clone, Copy)]
enum Weight {
    Usual,
    NobodyKnows,
    OurMistake,
}

impl Weight {
    fn of(result: &Result<MaybeHuman, Denial>) -> Self {
        let denial = match result {
            Ok(MaybeHuman::Unproven(Unproven::Undecided(_))) => return Self::NobodyKnows,
            // What would have been refused is as grave as if it had been.
            Ok(MaybeHuman::Unproven(Unproven::Observed(denial))) | Err(denial) => denial,
            Ok(_) => return Self::Usual,
        };
        match denial {
            Denial::Misconfigured => Self::OurMistake,
            Denial::Unavailable { .. } => Self::NobodyKnows,
            _ => Self::Usual,
        }
    }
}

/// Where a script that sends a token in the header says whose it is.
const PROVIDER_HEADER: &str = "x-captcha-provider";

/// `XX` is Cloudflare's word for unknown, and `T1`, for Tor, is no country.
fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) && code != "XX"
}

/// An address that means something to a vendor, who sees the visitor from outside.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified())
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local())
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("check", &self.0.check)
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for GuardBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardBuilder")
            .field("check", &self.0.check)
            .finish_non_exhaustive()
    }
}

/// The head of a request that was looked at. Its body may still be on the way.
#[derive(Debug)]
#[must_use = "nothing is decided before it is settled"]
pub struct Seen {
    reply: Reply,
    answers: Answers,
    client_ip: Option<IpAddr>,
    user_agent: Option<String>,
    country: Option<String>,
    /// Only where a trigger may want to know.
    method: Option<String>,
    since: Instant,
}

impl Seen {
    /// Adds the answers that stood in the body. Every source is looked at, and what they say must
    /// agree.
    pub fn with(mut self, body: Answers) -> Examined {
        self.answers.append(body);
        let guard = self.reply.guard();
        let evidence = match self.answers.sort(guard.form_fields()) {
            Sorted::Unusable => Evidence::Unusable("contradictory"),
            Sorted::Answered(mut submission) => {
                if let Some(action) = &guard.policy().action {
                    submission = submission.expecting_action(action.clone());
                }
                if let Some(ip) = self.client_ip.filter(|ip| is_public(*ip)) {
                    submission = submission.with_client_ip(ip);
                }
                if let Some(agent) = self.user_agent {
                    submission = submission.with_user_agent(agent);
                }
                Evidence::Submitted(submission)
            }
            Sorted::Nothing { foreign } => Evidence::Absent {
                foreign,
                signals: self.method.map(|method| Signals {
                    client_ip: self.client_ip,
                    user_agent: self.user_agent,
                    country: self.country,
                    method,
                }),
            },
        };
        Examined {
            reply: self.reply,
            evidence,
            since: self.since,
        }
    }

    /// Refuses for a reason that needs no check, and counts that.
    pub fn refuse(&self, denial: Denial) -> Refused {
        let guard = self.reply.guard();
        let weight = Weight::of(&Err(denial));
        guard.observe(denial.name(), "", "", self.since.elapsed(), weight);
        self.reply.refuse(denial)
    }
}

/// A request that was looked at, and about which nobody was asked yet.
#[derive(Debug)]
#[must_use = "nothing is decided before it is settled"]
pub struct Examined {
    reply: Reply,
    evidence: Evidence,
    since: Instant,
}

#[derive(Debug)]
enum Evidence {
    Submitted(Submission),
    Absent {
        foreign: bool,
        /// `None` when every visitor is asked.
        signals: Option<Signals>,
    },
    Unusable(&'static str),
}

impl Examined {
    /// Decides about a request that was decided once before, by a guard ahead of this one.
    ///
    /// Where that was the same guard, nothing is asked again: the token is spent, and a trigger has
    /// counted. What has come up since must agree with it.
    pub async fn settle_after(self, earlier: Option<&Outcome>) -> Outcome {
        let Some(earlier) = earlier else {
            return self.settle().await;
        };
        let guard = self.reply.guard();
        if !earlier.guard().is(guard) {
            if earlier.asked && matches!(self.evidence, Evidence::Submitted(_)) {
                tracing::warn!(
                    target: "human_check_guard",
                    route = guard.policy().name(),
                    before = earlier.guard().policy().name(),
                    "a token is asked about under a second policy; most vendors take it only once"
                );
            }
            return self.settle().await;
        }
        let contradicts = match &self.evidence {
            Evidence::Absent { .. } => false,
            Evidence::Unusable(_) => true,
            Evidence::Submitted(_) if !earlier.asked => return self.settle().await,
            Evidence::Submitted(submission) => {
                let accepted = guard.form_fields().providers().iter();
                let mut present = accepted.filter(|known| submission.answers(known));
                present.any(|known| {
                    let token = submission.token(known, usize::MAX);
                    token.is_err_and(|refusal| refusal.reason() == Reason::Malformed)
                })
            }
        };
        if !contradicts {
            return earlier.clone();
        }
        let result = guard.enforced(Err(Denial::InvalidToken));
        let decision = decision_name(&result);
        guard.observe(decision, "", "contradictory", Duration::ZERO, Weight::Usual);
        Outcome {
            result,
            reply: self.reply,
            asked: true,
        }
    }

    /// Decides, asking the check if there is something to ask about.
    ///
    /// Dropping the future stops waiting. The vendor may have spent the token by then.
    pub async fn settle(self) -> Outcome {
        let Self {
            reply,
            evidence,
            since,
        } = self;
        let guard = reply.guard();
        let policy = guard.policy();
        let asked = matches!(evidence, Evidence::Submitted(_));
        let (result, provider, reason) = match evidence {
            Evidence::Unusable(why) => (Err(Denial::InvalidToken), None, why),
            Evidence::Absent { foreign, signals } => {
                let reason = if foreign { "foreign-token" } else { "" };
                let challenged = match &signals {
                    None => true,
                    Some(signals) => policy.trigger.asks(signals).await,
                };
                match challenged {
                    true => (Err(Denial::ChallengeRequired), None, reason),
                    false => (
                        Ok(MaybeHuman::Unproven(Unproven::NotChallenged)),
                        None,
                        reason,
                    ),
                }
            }
            Evidence::Submitted(submission) => decide(guard, &submission).await,
        };
        let result = guard.enforced(result);
        let decision = decision_name(&result);
        let reason = match &result {
            Ok(MaybeHuman::Unproven(Unproven::Observed(denial))) if reason.is_empty() => {
                denial.name()
            }
            _ => reason,
        };
        let provider = match (&provider, &result) {
            (Some(provider), _) => provider.name(),
            (None, Ok(MaybeHuman::Human(human))) => human.facts().provider.name(),
            _ => "",
        };
        let weight = Weight::of(&result);
        guard.observe(decision, provider, reason, since.elapsed(), weight);
        Outcome {
            result,
            reply,
            asked,
        }
    }
}

type Decided = (Result<MaybeHuman, Denial>, Option<Provider>, &'static str);

async fn decide(guard: &Guard, submission: &Submission) -> Decided {
    match guard.0.check.check(submission).await {
        Ok(Verdict::Human(facts)) => (Ok(MaybeHuman::Human(Human::new(facts))), None, ""),
        Ok(Verdict::NotHuman(refusal)) => {
            let provider = refusal.facts().map(|facts| facts.provider.clone());
            let denial = match refusal.reason() {
                Reason::Malformed => Denial::InvalidToken,
                Reason::Missing => Denial::ChallengeRequired,
                _ => Denial::VerificationFailed,
            };
            (Err(denial), provider, refusal.reason().name())
        }
        Err(error) => {
            let provider = Some(error.provider().clone());
            let result = match error.kind() {
                kind if guard.policy().opens.on(kind) => {
                    Ok(MaybeHuman::Unproven(Unproven::Undecided(kind)))
                }
                ErrorKind::Misconfigured => Err(Denial::Misconfigured),
                _ => Err(unavailable(&error)),
            };
            (result, provider, error.reason())
        }
    }
}

fn unavailable(error: &CheckError) -> Denial {
    Denial::Unavailable {
        retry_after: error.retry_after(),
        token_spent: error.token_may_be_spent(),
    }
}

/// What was decided about a request, and how it would be answered.
#[derive(Clone, Debug)]
#[must_use = "a decision that nobody looks at lets everybody in"]
pub struct Outcome {
    result: Result<MaybeHuman, Denial>,
    reply: Reply,
    /// Whether the check was asked, so that the token may be spent.
    asked: bool,
}

impl Outcome {
    /// Takes what the handler demands, or the refusal to answer with.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the outcome is not what is demanded.
    pub fn demand<D: Demand>(self) -> Result<D, Refused> {
        D::of(self)
    }

    /// The guard that decided.
    pub fn guard(&self) -> &Guard {
        self.reply.guard()
    }

    /// What was decided.
    ///
    /// # Errors
    ///
    /// The [`Denial`], if the visitor is refused.
    pub fn result(&self) -> Result<&MaybeHuman, Denial> {
        self.result.as_ref().map_err(|denial| *denial)
    }

    /// The answer for somebody refused for `denial`.
    pub(crate) fn refuse(&self, denial: Denial) -> Refused {
        self.reply.refuse(denial)
    }

    /// Takes what was decided, ready to be answered.
    pub(crate) fn into_result(self) -> Result<MaybeHuman, Refused> {
        let Self { result, reply, .. } = self;
        result.map_err(|denial| reply.refuse(denial))
    }
}
