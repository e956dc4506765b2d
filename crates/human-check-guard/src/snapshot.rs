//! The immutable state of a guard. One request is decided by one snapshot.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use human_check_core::{
    Capabilities, CheckError, ConfigError, Enforce, ErrorKind, HumanCheck, Provider, Submission,
    Verdict, Widget,
};
use serde_json::json;

use crate::decision::{RefusalStreaks, Twins};
use crate::integration::BodyBudget;
use crate::tokens::TokenFields;
use crate::{BodyLimits, ClientAddress, DenialReason, Observer, RequestHead, RoutePolicy};

/// The settings that all guards of a site share, whatever their policy.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) check: Arc<dyn HumanCheck>,
    pub(crate) fields: Arc<TokenFields>,
    pub(crate) header: String,
    pub(crate) country_header: Option<String>,
    pub(crate) client: ClientAddress,
    pub(crate) widgets: Vec<Widget>,
    pub(crate) page: Option<RefusalPage>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) limits: BodyLimits,
    pub(crate) bodies: BodyBudget,
    pub(crate) streaks: Arc<RefusalStreaks>,
    pub(crate) twins: Arc<Twins>,
}

type RefusalPage = Arc<dyn Fn(&DenialReason, &[Widget]) -> Option<String> + Send + Sync>;

/// The identity of the guard that a snapshot belongs to. Clones of a guard have the same identity,
/// and so have its snapshots before and after a replacement.
#[derive(Clone, Default)]
pub(crate) struct Identity(Arc<IdentityTag>);

/// It is not zero-sized, so that two allocations never have the same address.
#[derive(Default)]
struct IdentityTag(#[expect(dead_code, reason = "only its address counts")] u8);

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// All that a guard decides by. A snapshot never changes; a guard that is replaced gets another
/// one.
#[derive(Clone)]
pub(crate) struct Snapshot {
    identity: Identity,
    content: Arc<Content>,
}

struct Content {
    site: Arc<Site>,
    policy: RoutePolicy,
    check: Arc<dyn HumanCheck>,
    /// The widgets with the action of the policy.
    widgets: Vec<Widget>,
    /// The member `captcha.options` of a refusal, as JSON.
    options: String,
    /// The value of the header `X-Captcha-Required`.
    providers: String,
}

impl Snapshot {
    /// Creates a snapshot with an identity of its own.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy cannot work with the check, when a provider's name cannot be
    /// in a header, or when a widget rejects the action of the policy.
    pub(crate) fn new(site: Arc<Site>, policy: RoutePolicy) -> Result<Self, ConfigError> {
        policy.validate(site.check.capabilities())?;
        for provider in site.check.providers() {
            // The name is sent in the header `X-Captcha-Required`.
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
                if widget.spec().action.is_some() {
                    *widget = widget.clone().with_action(action.clone())?;
                }
            }
        }
        let names: Vec<_> = site.check.providers().iter().map(Provider::name).collect();
        let providers = names.join(", ");
        let options = options(site.check.providers(), &widgets, &site.header);
        Ok(Self {
            identity: Identity::default(),
            content: Arc::new(Content {
                site,
                policy,
                check,
                widgets,
                options,
                providers,
            }),
        })
    }

    /// Returns the same content under another identity.
    pub(crate) fn with_identity(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }

    /// Returns the settings without what decides: the check, the page and the observers.
    ///
    /// A replaceable guard keeps it for its getters. If it kept all of the first settings, their
    /// secrets, connections and stores would stay in memory after a replacement.
    pub(crate) fn without_check(&self) -> Self {
        let check: Arc<dyn HumanCheck> = Arc::new(Replaced {
            providers: self.check().providers().to_vec(),
            capabilities: self.check().capabilities(),
        });
        let site = Site {
            check: Arc::clone(&check),
            page: None,
            observers: Vec::new(),
            twins: Arc::default(),
            ..Site::clone(self.site())
        };
        let content = Content {
            site: Arc::new(site),
            policy: self.policy().clone(),
            check,
            widgets: self.widgets().to_vec(),
            options: self.options().to_owned(),
            providers: self.providers().to_owned(),
        };
        Self {
            identity: self.identity.clone(),
            content: Arc::new(content),
        }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn site(&self) -> &Arc<Site> {
        &self.content.site
    }

    pub(crate) fn policy(&self) -> &RoutePolicy {
        &self.content.policy
    }

    /// Returns the check, which enforces the rules of the route's policy.
    pub(crate) fn check(&self) -> &dyn HumanCheck {
        &*self.content.check
    }

    /// Returns the widgets with the action of the policy.
    pub(crate) fn widgets(&self) -> &[Widget] {
        &self.content.widgets
    }

    pub(crate) fn fields(&self) -> &Arc<TokenFields> {
        &self.content.site.fields
    }

    /// Returns the client's address, if it is known.
    pub(crate) fn client_ip(&self, head: &dyn RequestHead) -> Option<IpAddr> {
        self.content.site.client.resolve(head)
    }

    /// Returns the JSON array with one entry for each accepted provider.
    pub(crate) fn options(&self) -> &str {
        &self.content.options
    }

    /// Returns the names of the accepted providers, separated by commas.
    pub(crate) fn providers(&self) -> &str {
        &self.content.providers
    }

    /// Returns the application's page for a refusal, if it has one.
    pub(crate) fn custom_page(&self, denial: DenialReason) -> Option<String> {
        let page = self.content.site.page.as_ref()?;
        page(&denial, &self.content.widgets)
    }
}

/// Stands for a check where none is called.
#[derive(Debug)]
struct Replaced {
    providers: Vec<Provider>,
    capabilities: Capabilities,
}

#[async_trait]
impl HumanCheck for Replaced {
    fn providers(&self) -> &[Provider] {
        &self.providers
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn check(&self, _: &Submission) -> Result<Verdict, CheckError> {
        static GUARD: Provider = Provider::new("guard", &[]);
        let provider = self.providers.first().unwrap_or(&GUARD);
        let error = CheckError::new(ErrorKind::Misconfigured, provider, "guard-replaced");
        Err(error.with_token_unused())
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("check", &self.content.check)
            .field("policy", &self.content.policy)
            .finish_non_exhaustive()
    }
}

/// Returns what a script needs to show a challenge, as a JSON array with one entry for each
/// accepted provider. See docs/reference/refusal-responses.md.
fn options(providers: &[Provider], widgets: &[Widget], header: &str) -> String {
    let options = providers.iter().map(|provider| {
        let widget = widgets.iter().find(|widget| widget.provider() == provider);
        json!({
            "provider": provider.name(),
            "field": widget.map_or_else(|| provider.fields().next(), |widget| Some(widget.field())),
            "header": header,
            "sitekey": widget.map(Widget::site_key),
            "action": widget.and_then(Widget::action),
        })
    });
    serde_json::Value::from_iter(options).to_string()
}
