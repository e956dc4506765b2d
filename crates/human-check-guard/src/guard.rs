use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use human_check::{ConfigError, Enforce, HumanCheck, Provider, Widget};

use crate::answer;
use crate::builder::Site;
use crate::{
    BodyLimits, Denial, Fields, GuardBuilder, Html, Page, Refused, RequestHead, RoutePolicy,
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

    /// The same site's guard for routes under another policy.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_policy(&self, policy: RoutePolicy) -> Result<Self, ConfigError> {
        Self::assemble(Arc::clone(&self.0.site), policy)
    }

    pub(crate) fn assemble(site: Arc<Site>, policy: RoutePolicy) -> Result<Self, ConfigError> {
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
        Page::new().html_of(&self.0.widgets)
    }

    /// How much of a body is read.
    pub fn body_limits(&self) -> BodyLimits {
        self.0.site.limits
    }

    /// Where answers stand in a body.
    pub fn fields(&self) -> &Arc<Fields> {
        &self.0.site.fields
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

    pub(crate) fn site(&self) -> &Site {
        &self.0.site
    }

    /// The check, held to the route's policy.
    pub(crate) fn check(&self) -> &dyn HumanCheck {
        &*self.0.check
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

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("check", &self.0.check)
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}
