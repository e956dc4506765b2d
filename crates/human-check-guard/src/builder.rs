use std::fmt;
use std::sync::Arc;

use human_check_core::{ConfigError, HumanCheck, Provider, Widget};

use crate::decision::{PROVIDER_HEADER, REFUSALS_BEFORE_WARNING, RefusalStreaks};
use crate::header_name::is_name_byte;
use crate::integration::BodyBudget;
use crate::selection::{Account, AccountList, OFFER_HEADER, OfferKeys, Selection};
use crate::snapshot::{Site, Snapshot};
use crate::tokens::TokenFields;
use crate::{
    AttemptStore, BodyLimits, ClientAddress, Guard, Observer, RefusalView, RequestHead,
    RoutePolicy, Texts,
};

/// Builds a [`Guard`] with settings other than the defaults.
///
/// [`Guard::builder`] creates it, and [`build`](Self::build) checks all settings at once.
///
/// ```
/// use human_check_guard::{ClientAddress, Guard, RoutePolicy};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let guard = Guard::builder(turnstile)
///     .with_client_address(ClientAddress::x_forwarded_for(["10.0.0.0/8"])?)
///     .with_header("X-Signup-Token")
///     .build(RoutePolicy::fail_closed("signup"))?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[must_use = "a builder has no effect until `build` is called"]
pub struct GuardBuilder {
    site: Site,
    /// Pairs of a provider's name and a JSON pointer.
    json_members: Vec<(String, String)>,
}

impl GuardBuilder {
    /// Creates a builder with the defaults.
    pub(crate) fn new(selection: Selection) -> Self {
        let providers = selection
            .accounts()
            .flat_map(|account| account.check().providers());
        let fields = Arc::new(TokenFields::of_providers(providers));
        let keys = selection.keys.clone().unwrap_or_else(|| {
            if selection.has_fallback() || selection.step_up.is_some() {
                tracing::info!(
                    target: "human_check_guard",
                    "no offer keys are set: offers hold in this process and until it ends"
                );
            }
            OfferKeys::random()
        });
        let site = Site {
            selection,
            keys,
            fields,
            header: "x-captcha-token".to_owned(),
            country_header: None,
            client: ClientAddress::socket(),
            widgets: Vec::new(),
            page: None,
            texts: Texts::new(),
            observers: Vec::new(),
            limits: BodyLimits::default(),
            bodies: BodyBudget::new(BodyLimits::default().max_held_bytes),
            streaks: Arc::new(RefusalStreaks::new(REFUSALS_BEFORE_WARNING)),
            twins: Arc::default(),
            attempts: None,
            session: None,
            used_offers: Arc::default(),
        };
        Self {
            site,
            json_members: Vec::new(),
        }
    }

    /// Adds a widget. [`Guard::html`] renders it, and refusal responses hold its site key for
    /// scripts. Default: no widget.
    ///
    /// Call it once for each provider whose widget the pages show.
    pub fn with_widget(mut self, widget: Widget) -> Self {
        self.site.widgets.push(widget);
        self
    }

    /// Sets where the client's address comes from. Default [`ClientAddress::socket`], which reads
    /// no header.
    ///
    /// Behind a proxy set the header that the proxy writes. Otherwise every visitor has the
    /// address of the proxy.
    pub fn with_client_address(mut self, client: ClientAddress) -> Self {
        self.site.client = client;
        self
    }

    /// Sets the header that holds the client's country as two letters, for example Cloudflare's
    /// `CF-IPCountry`. Default: no header, so that the country is unknown.
    ///
    /// The guard reads it only if the request comes from one of the proxies that
    /// [`with_client_address`](Self::with_client_address) trusts. Triggers such as
    /// [`Trigger::country_in`](crate::Trigger::country_in) use it.
    pub fn with_country_header(mut self, name: impl Into<String>) -> Self {
        self.site.country_header = Some(name.into().to_ascii_lowercase());
        self
    }

    /// Sets the header that scripts send a token in. Default `X-Captcha-Token`.
    ///
    /// If the check accepts several providers, the request must also have the header
    /// `X-Captcha-Provider` with the name of the provider.
    pub fn with_header(mut self, name: impl Into<String>) -> Self {
        self.site.header = name.into().to_ascii_lowercase();
        self
    }

    /// Adds a member of JSON bodies that holds a token of `provider`, in addition to the provider's
    /// form fields at the top of the body. Default: no further member.
    ///
    /// `pointer` is a JSON pointer without escapes, such as `/captcha/token`, with up to 16 steps.
    /// Every step on the way must be an object. A pointer with one step, such as `/token`, also
    /// names a form field. A longer one has no effect on forms.
    ///
    /// ```
    /// use human_check_guard::integration::scan;
    /// use human_check_guard::{Guard, RoutePolicy};
    ///
    /// # let check = human_check_testkit::Scripted::human();
    /// // `check` accepts tokens of the provider `scripted`.
    /// let guard = Guard::builder(check)
    ///     .with_json_member("scripted", "/captcha/token")
    ///     .build(RoutePolicy::fail_closed("signup"))?;
    /// let body = br#"{"email":"ada@example.com","captcha":{"token":"t"}}"#;
    /// assert!(!scan::json(guard.fields(), body).is_empty());
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    pub fn with_json_member(
        mut self,
        provider: impl Into<String>,
        pointer: impl Into<String>,
    ) -> Self {
        self.json_members.push((provider.into(), pointer.into()));
        self
    }

    /// Sets the page of a refusal for browsers, that is for clients that prefer HTML to JSON.
    /// Default: [`RefusalView::default_page`].
    ///
    /// `page` receives the reason, the visitor's language, the account that the visitor meets and
    /// the fields of the form. If it returns `None`, the client gets the default page. Status and
    /// headers stay the same. The page must not contain a secret, and the guard escapes nothing in
    /// it.
    ///
    /// ```
    /// use human_check_guard::{Guard, RoutePolicy};
    ///
    /// # let turnstile = human_check_testkit::Scripted::human();
    /// let guard = Guard::builder(turnstile)
    ///     .with_refusal_page(|refusal| match refusal.denial().status() {
    ///         403 => Some("<h1>Please complete the check</h1>".to_owned()),
    ///         _ => None,
    ///     })
    ///     .build(RoutePolicy::fail_closed("signup"))?;
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    pub fn with_refusal_page(
        mut self,
        page: impl Fn(&RefusalView<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.site.page = Some(Arc::new(page));
        self
    }

    /// Sets the texts of refusals, their pages and the page script. Default: [`Texts::new`], in the
    /// language that the visitor's browser prefers.
    pub fn with_texts(mut self, texts: Texts) -> Self {
        self.site.texts = texts;
        self
    }

    /// Adds an observer, which the guard calls with every decision. Default: no observer.
    ///
    /// Several observers are called in the order in which they were added.
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.site.observers.push(Arc::new(observer));
        self
    }

    /// Sets the limits on bodies. Default [`BodyLimits::default`]: 64 KiB within 5 s, and for
    /// multipart 2 MiB within 60 s.
    pub fn with_body_limits(mut self, limits: BodyLimits) -> Self {
        self.site.bodies = BodyBudget::new(limits.max_held_bytes);
        self.site.limits = limits;
        self
    }

    /// Sets the budget of the bytes that large bodies hold in memory, so that several guards share it.
    /// Default: a budget of the guard's own, of [`BodyLimits::max_held_bytes`].
    ///
    /// Call it after [`with_body_limits`](Self::with_body_limits), which sets a budget of its own.
    pub fn with_body_budget(mut self, budget: BodyBudget) -> Self {
        self.site.bodies = budget;
        self
    }

    /// Sets the store that counts the requests of each clearance, for policies with
    /// [`RoutePolicy::with_accepted_clearance`]. Default: none, so that no clearance counts.
    ///
    /// All machines need a common store, for example one on Redis.
    pub fn with_attempt_store(mut self, attempts: impl AttemptStore) -> Self {
        self.site.attempts = Some(Arc::new(attempts));
        self
    }

    /// Sets the function that returns the session of a request, for example from its cookie. A
    /// clearance then counts in the session in which it was issued. Default: no session.
    pub fn with_session(
        mut self,
        session: impl Fn(&dyn RequestHead) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.site.session = Some(Arc::new(session));
        self
    }

    /// Sets how many refusals for one reason, without a token that passes between them, are reported
    /// as a possible mistake of the operator. Default 20. 0 reports none.
    ///
    /// The report is one event of the level `WARN`, which states the expected and the seen value, and
    /// the gauge `human_check_all_refused`. It changes no decision. Bots can cause it, so it also
    /// states from how many networks the tokens came.
    pub fn with_refusals_before_warning(mut self, refusals: u32) -> Self {
        self.site.streaks = Arc::new(RefusalStreaks::new(refusals));
        self
    }

    /// Builds the guard for routes under `policy`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when
    ///
    /// - the policy demands a fact that the check never reports,
    /// - a header name is invalid, or a name that the guard or the server reads for another
    ///   purpose, such as `Cookie`,
    /// - a JSON pointer is invalid, or leads through a member that holds a token itself,
    /// - a widget or a JSON pointer belongs to a provider that the check does not accept,
    /// - two providers have the same usual field.
    pub fn build(self, policy: RoutePolicy) -> Result<Guard, ConfigError> {
        let Self {
            mut site,
            json_members,
        } = self;
        let country = site
            .country_header
            .iter()
            .map(|name| ("country_header", name));
        for (field, name) in [("header", &site.header)].into_iter().chain(country) {
            if RESERVED_HEADERS.contains(&name.as_str()) || !is_header_name(name) {
                return Err(ConfigError::new(
                    field,
                    format!("is {name:?}, which is not a header name or has another meaning"),
                    "write letters, digits and dashes, for example X-Captcha-Token",
                ));
            }
        }
        site.selection.validate()?;
        for widget in &site.widgets {
            if !site.fields.providers().contains(widget.provider()) {
                return Err(ConfigError::new(
                    "widget",
                    format!(
                        "belongs to {}, whose tokens are not accepted",
                        widget.provider()
                    ),
                    "remove the widget, or accept that provider",
                ));
            }
        }
        let mut fields = (*site.fields).clone();
        for (provider, pointer) in json_members {
            let Some(index) = fields.index_of(&provider) else {
                return Err(ConfigError::new(
                    "json_member",
                    format!("is set for {provider:?}, whose tokens are not accepted"),
                    "name a provider that the check accepts",
                ));
            };
            let path: Vec<_> = pointer.split('/').skip(1).map(str::to_owned).collect();
            let rooted = pointer.starts_with('/') && !path.iter().any(String::is_empty);
            if !rooted || pointer.contains('~') || path.len() > 16 {
                return Err(ConfigError::new(
                    "json_member",
                    format!("is {pointer:?}, which is not a JSON pointer to a member"),
                    "write a JSON pointer without escapes, for example /captcha/token",
                ));
            }
            fields.add(path, index, true);
        }
        if fields.is_ambiguous() {
            return Err(ConfigError::new(
                "json_member",
                "leads through a member that holds a token itself",
                "name members that are not inside each other",
            ));
        }
        let together = site.selection.accounts();
        let conflict = together.into_iter().find_map(|account| {
            let accepted = fields.accepted(account.check().providers());
            fields.conflict(&accepted)
        });
        if let Some(field) = conflict {
            return Err(ConfigError::new(
                "fields",
                format!("has `{field}` as the usual field of two providers"),
                "post one of the tokens under another name, and tell its adapter with \
                 `with_form_fields`",
            ));
        }
        site.fields = Arc::new(fields);
        Snapshot::new(Arc::new(site), policy).map(Guard::fixed)
    }
}

impl Guard {
    /// Creates a guard with the default settings, for routes under `policy`.
    ///
    /// [`builder`](Self::builder) creates one with other settings, for example with widgets or
    /// behind a proxy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy demands a fact that the check never reports, or when two
    /// providers of the check have the same usual field.
    pub fn new(check: impl HumanCheck, policy: RoutePolicy) -> Result<Self, ConfigError> {
        Self::builder(check).build(policy)
    }

    /// Creates a builder for a guard in front of `check`.
    pub fn builder(check: impl HumanCheck) -> GuardBuilder {
        static NONE: Provider = Provider::new("none", &[]);
        let name = check.providers().first().unwrap_or(&NONE).name().to_owned();
        let account = Account::new(name, check);
        Self::builder_for(Selection::new(AccountList::new(account)))
    }

    /// Creates a builder for a guard in front of several accounts, of which visitors meet one.
    pub fn builder_for(selection: Selection) -> GuardBuilder {
        GuardBuilder::new(selection)
    }
}

/// Headers that a guard or a server reads for another purpose.
const RESERVED_HEADERS: [&str; 9] = [
    PROVIDER_HEADER,
    OFFER_HEADER,
    "accept",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "hx-request",
    "user-agent",
];

fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_name_byte)
}

impl fmt::Debug for GuardBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardBuilder")
            .field("selection", &self.site.selection)
            .finish_non_exhaustive()
    }
}
