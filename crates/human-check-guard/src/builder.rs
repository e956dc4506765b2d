use std::fmt;
use std::sync::Arc;

use human_check_core::{ConfigError, HumanCheck, Widget};

use crate::decision::PROVIDER_HEADER;
use crate::header_name::is_token;
use crate::snapshot::{Site, Snapshot};
use crate::tokens::TokenFields;
use crate::{BodyLimits, ClientAddress, DenialReason, Guard, Observer, RoutePolicy};

/// Sets up a [`Guard`].
#[must_use = "a builder guards nothing until it is built"]
pub struct GuardBuilder(Site, Vec<(String, String)>);

impl GuardBuilder {
    pub(crate) fn new(check: Arc<dyn HumanCheck>) -> Self {
        let fields = Arc::new(TokenFields::of(&*check));
        let site = Site {
            check,
            fields,
            header: "x-captcha-token".to_owned(),
            country_header: None,
            client: ClientAddress::socket(),
            widgets: Vec::new(),
            page: None,
            observers: Vec::new(),
            limits: BodyLimits::default(),
        };
        Self(site, Vec::new())
    }

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
    /// Where several providers are accepted, `X-Captcha-Provider` must say whose it is.
    pub fn with_header(mut self, name: impl Into<String>) -> Self {
        self.0.header = name.into().to_ascii_lowercase();
        self
    }

    /// Finds the answer of `provider` in JSON bodies at `pointer` (`/captcha/token`), too.
    ///
    /// Everything on the way must be an object. Forms have no depth: a pointer to a member at the top
    /// names a form field, too, and any other none.
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
    pub fn with_refusal_page(
        mut self,
        page: impl Fn(&DenialReason, &[Widget]) -> Option<String> + Send + Sync + 'static,
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
    /// name or JSON pointer is none, or a widget belongs to a provider that is not accepted.
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
        let accepted = site.check.providers();
        for widget in &site.widgets {
            if !accepted.contains(widget.provider()) {
                return Err(ConfigError::new(
                    "widget",
                    format!(
                        "belongs to {}, whose tokens are not accepted",
                        widget.provider()
                    ),
                    "leave it out, or accept that provider",
                ));
            }
        }
        let mut fields = (*site.fields).clone();
        for (provider, pointer) in members {
            let index = accepted.iter().position(|known| known.name() == provider);
            let Some(index) = index else {
                return Err(ConfigError::new(
                    "json_member",
                    format!("is given for {provider:?}, whose tokens are not accepted"),
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
            fields.add(path, index, true);
        }
        if fields.is_ambiguous() {
            return Err(ConfigError::new(
                "json_member",
                "leads through a member that carries an answer itself",
                "name members that do not stand inside of one another",
            ));
        }
        if let Some(field) = fields.disputed() {
            return Err(ConfigError::new(
                "fields",
                format!(
                    "`{field}` is where two providers' tokens are looked for, so one would never be asked"
                ),
                "post one of them under another name, and tell its adapter with `with_form_fields`",
            ));
        }
        site.fields = Arc::new(fields);
        Snapshot::new(Arc::new(site), policy).map(Guard::fixed)
    }
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
        GuardBuilder::new(Arc::new(check))
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
    !name.is_empty() && name.bytes().all(is_token)
}

impl fmt::Debug for GuardBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardBuilder")
            .field("check", &self.0.check)
            .finish_non_exhaustive()
    }
}
