//! A guard as one request sees it, from beginning to end.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use human_check_core::{ConfigError, Enforce, HumanCheck, Provider, Widget};
use serde_json::json;

use crate::tokens::TokenFields;
use crate::{BodyLimits, ClientAddress, DenialReason, Observer, RequestHead, RoutePolicy};

/// What all routes of a site share.
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
}

type RefusalPage = Arc<dyn Fn(&DenialReason, &[Widget]) -> Option<String> + Send + Sync>;

/// Which guard a snapshot was taken of. Clones of a guard, and its successors, have the same.
#[derive(Clone, Default)]
pub(crate) struct Identity(Arc<IdentityTag>);

/// Has a size, so that two of them never have one address.
#[derive(Default)]
struct IdentityTag(#[expect(dead_code, reason = "only its address counts")] u8);

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Everything that a guard decides by. It never changes; a guard that is replaced gets another one.
#[derive(Clone)]
pub(crate) struct Snapshot {
    identity: Identity,
    content: Arc<Content>,
}

struct Content {
    site: Arc<Site>,
    policy: RoutePolicy,
    check: Arc<dyn HumanCheck>,
    /// The widgets with the route's action.
    widgets: Vec<Widget>,
    /// How a page shows a challenge, as JSON.
    options: String,
    /// The names of the providers, for a header.
    providers: String,
}

impl Snapshot {
    pub(crate) fn new(site: Arc<Site>, policy: RoutePolicy) -> Result<Self, ConfigError> {
        policy.validate(site.check.capabilities())?;
        for provider in site.check.providers() {
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

    /// The same content under another identity.
    pub(crate) fn with_identity(self, identity: Identity) -> Self {
        Self { identity, ..self }
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

    /// The check, with the route's policy enforced.
    pub(crate) fn check(&self) -> &dyn HumanCheck {
        &*self.content.check
    }

    pub(crate) fn widgets(&self) -> &[Widget] {
        &self.content.widgets
    }

    pub(crate) fn fields(&self) -> &Arc<TokenFields> {
        &self.content.site.fields
    }

    pub(crate) fn client_ip(&self, head: &dyn RequestHead) -> Option<IpAddr> {
        self.content.site.client.resolve(head)
    }

    /// How a page shows a challenge, as JSON.
    pub(crate) fn options(&self) -> &str {
        &self.content.options
    }

    /// The names of the providers, separated by commas.
    pub(crate) fn providers(&self) -> &str {
        &self.content.providers
    }

    /// The operator's page for a refusal, if there is one.
    pub(crate) fn own_page(&self, denial: DenialReason) -> Option<String> {
        let page = self.content.site.page.as_ref()?;
        page(&denial, &self.content.widgets)
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

/// How a page shows a challenge: one option for each provider that is accepted.
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
