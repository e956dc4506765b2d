//! The immutable state of a guard. One request is decided by one snapshot.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use human_check_core::{
    Capabilities, CheckError, ConfigError, ErrorKind, FunnelStep, HumanCheck, Provider, Submission,
    Verdict, Widget,
};

use crate::clearance::{self, Clearance};
use crate::decision::{RefusalStreaks, Twins};
use crate::experiment::{Assigned, Carried, ExperimentHead};
use crate::integration::BodyBudget;
use crate::judges::{Judges, with_action};
use crate::page::LanguageIndex;
use crate::selected::{RoutePage, Selected};
use crate::selection::{
    NameDigest, Offer, OfferKeys, Selection, UsedOffers, Why, name_digest, report_offer,
    report_selected,
};
use crate::tokens::TokenFields;
use crate::{
    AttemptStore, BodyLimits, ClientAddress, CspSources, Experiment, Observer, RefusalView,
    RequestHead, RoutePolicy, Texts,
};

/// The settings that all guards of a site share, whatever their policy.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) selection: Selection,
    pub(crate) keys: OfferKeys,
    pub(crate) fields: Arc<TokenFields>,
    pub(crate) header: String,
    pub(crate) country_header: Option<String>,
    pub(crate) client: ClientAddress,
    pub(crate) widgets: Vec<Widget>,
    pub(crate) page: Option<RefusalPage>,
    pub(crate) texts: Texts,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) limits: BodyLimits,
    pub(crate) bodies: BodyBudget,
    pub(crate) streaks: Arc<RefusalStreaks>,
    pub(crate) twins: Arc<Twins>,
    /// The store that counts the requests of clearances.
    pub(crate) attempts: Option<Arc<dyn AttemptStore>>,
    pub(crate) session: Option<SessionOf>,
    pub(crate) used_offers: Arc<UsedOffers>,
}

/// Returns the session that a request belongs to.
type SessionOf = Arc<dyn Fn(&dyn RequestHead) -> Option<String> + Send + Sync>;

type RefusalPage = Arc<dyn Fn(&RefusalView<'_>) -> Option<String> + Send + Sync>;

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
    judges: Judges,
    /// What stands for the route in offers.
    route: NameDigest,
    /// The widgets with the action of the policy.
    widgets: Vec<Widget>,
    /// What every page of the route needs.
    page: Arc<RoutePage>,
}

impl Snapshot {
    /// Creates a snapshot with an identity of its own.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy cannot work with an account, when a provider's name cannot be
    /// in a header, or when a widget rejects the action of the policy.
    pub(crate) fn new(site: Arc<Site>, policy: RoutePolicy) -> Result<Self, ConfigError> {
        for provider in site.fields.providers() {
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
        let judges = Judges::new(
            &site.selection,
            &policy,
            &site.fields,
            &site.widgets,
            &site.header,
        )?;
        let widgets = site.widgets.iter();
        let widgets = widgets.map(|widget| with_action(widget, &policy));
        let widgets = widgets.collect::<Result<_, _>>()?;
        Ok(Self {
            identity: Identity::default(),
            content: Arc::new(Content {
                page: Arc::new(RoutePage::new(
                    policy.name(),
                    &site
                        .widgets
                        .iter()
                        .chain(site.selection.widgets())
                        .collect::<Vec<_>>(),
                    site.texts.clone(),
                )),
                route: name_digest(&[policy.name()]),
                site,
                policy,
                judges,
                widgets,
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
        let replaced = |check: &dyn HumanCheck| -> Arc<dyn HumanCheck> {
            Arc::new(Replaced {
                providers: check.providers().to_vec(),
                capabilities: check.capabilities(),
            })
        };
        let site = Site {
            selection: self.site().selection.map_checks(replaced),
            page: None,
            observers: Vec::new(),
            twins: Arc::default(),
            attempts: None,
            session: None,
            ..Site::clone(self.site())
        };
        let without = Self::new(Arc::new(site), self.policy().clone());
        // The same settings were valid before.
        let without = without.unwrap_or_else(|_| self.clone());
        without.with_identity(self.identity.clone())
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

    /// Returns the accounts, each with the rules of the route.
    pub(crate) fn judges(&self) -> &Judges {
        &self.content.judges
    }

    /// Returns what stands for the route in offers.
    pub(crate) fn route(&self) -> NameDigest {
        self.content.route
    }

    /// Returns the time that offers are dated with.
    pub(crate) fn now(&self) -> SystemTime {
        self.content.site.selection.clock.now()
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

    /// Returns what stands for the session of a request in a clearance. Zero if there is none.
    pub(crate) fn session(&self, head: &dyn RequestHead) -> NameDigest {
        let session = self.site().session.as_ref().and_then(|find| find(head));
        session.map_or_else(NameDigest::default, |session| name_digest(&[&session]))
    }

    /// Returns the cookie of the clearance that the route issues with a human verdict.
    pub(crate) fn clearance_cookie(&self, session: NameDigest) -> Option<String> {
        let ttl = self.policy().issues_clearance?;
        let clearance = Clearance::new(self.route(), session, self.now());
        let text = clearance.sign(&self.site().keys);
        Some(clearance::set_cookie(&self.route(), &text, ttl))
    }

    /// Returns the application's page for a refusal, if it has one.
    pub(crate) fn custom_page(&self, view: &RefusalView<'_>) -> Option<String> {
        let page = self.content.site.page.as_ref()?;
        page(view)
    }

    /// Returns the sources of all widgets that the route can select.
    pub(crate) fn csp_sources(&self) -> CspSources {
        self.content.page.csp_sources.clone()
    }

    /// Returns what every page of the route needs.
    pub(crate) fn page(&self) -> &RoutePage {
        &self.content.page
    }

    /// Returns the experiment of the site, if there is one.
    pub(crate) fn experiment(&self) -> Option<&Experiment> {
        self.site().selection.experiment.as_ref()
    }

    /// Returns the selection of an account, with a new offer for it. A visitor of an experiment keeps the
    /// receipt and the arm.
    pub(crate) fn selected(&self, judge: usize, why: Why, carried: Option<&Carried>) -> Selected {
        let (route, account) = (self.policy().name(), self.judges().get(judge));
        let mut offer = Offer::new(why, self.route(), account.digest());
        if let Some(carried) = carried {
            offer = offer.with_arm(carried.nonce(), carried.arm());
        }
        let offer = offer.sign(&self.site().keys, self.now());
        report_offer(route, why.as_str(), "made");
        report_selected(route, account.account.name(), why);
        self.selected_by(judge, why, offer)
    }

    /// Returns the selection that an offer states, with the same offer.
    pub(crate) fn selected_by(&self, judge: usize, why: Why, offer: String) -> Selected {
        Selected {
            shown: Arc::clone(&self.judges().get(judge).shown),
            why,
            offer,
            page: Arc::clone(&self.content.page),
            language: LanguageIndex::default(),
            cookie: None,
            is_by_country: !self.site().selection.by_country.is_empty(),
        }
    }

    /// Returns the selection of the account that a new visitor meets. If no account works it is an error
    /// with the cookie of the visitor's arm.
    pub(crate) fn select(
        &self,
        list: usize,
        head: &ExperimentHead,
    ) -> Result<Selected, Option<Arc<str>>> {
        let (list, found, assigned) = self.find(list, head);
        if found.is_none() {
            return Err(assigned.and_then(|assigned| assigned.cookie));
        }
        Ok(self.selected_of(list, found, assigned, head))
    }

    /// Returns the same, or the selection of the first account if none works.
    pub(crate) fn select_any(&self, list: usize, head: &ExperimentHead) -> Selected {
        let (list, found, assigned) = self.find(list, head);
        self.selected_of(list, found, assigned, head)
    }

    fn selected_of(
        &self,
        list: usize,
        found: Option<(usize, Why)>,
        assigned: Option<Assigned>,
        head: &ExperimentHead,
    ) -> Selected {
        let (judge, why) = found.unwrap_or_else(|| {
            let why = assigned.as_ref().map_or(Why::Primary, |_| Why::Arm);
            (self.judges().first_of(list), why)
        });
        let carried = assigned.as_ref().map(|assigned| &assigned.carried);
        let mut selected = self.selected(judge, why, carried.or(head.carried()));
        selected.cookie = assigned.and_then(|assigned| assigned.cookie);
        selected
    }

    /// Assigns the visitor to an arm, and looks for an account that works. Returns the list as well.
    fn find(
        &self,
        list: usize,
        head: &ExperimentHead,
    ) -> (usize, Option<(usize, Why)>, Option<Assigned>) {
        let selection = &self.site().selection;
        let experiment = self.experiment().filter(|_| list == 0);
        let assigned = experiment.and_then(|experiment| {
            let (route, now) = (&self.policy().name, self.now());
            let assigned = experiment.assign(route, head, &self.site().keys, now)?;
            Some((experiment, assigned))
        });
        let Some((experiment, assigned)) = assigned else {
            return (
                list,
                self.judges().select(list, selection.fallback_on),
                None,
            );
        };
        let carried = &assigned.carried;
        let list = selection.list_of_arm(carried.place());
        let found = self.judges().select(list, selection.fallback_on);
        let found = found.map(|(judge, why)| match why {
            Why::Primary => (judge, Why::Arm),
            other => (judge, other),
        });
        if assigned.is_new {
            // Also while no account of the arm works: the visitor came and cannot complete.
            let judge = found.map_or(self.judges().first_of(list), |(judge, _)| judge);
            let shown = FunnelStep::Shown {
                account: self.judges().get(judge).account.name().into(),
                why: match found {
                    Some((_, Why::Arm)) => "arm",
                    _ => "fallback",
                },
            };
            experiment.record(&carried.receipt(), shown, self.now());
        }
        (list, found, Some(assigned))
    }

    /// Reads what the head of a request says about the experiment.
    pub(crate) fn read_experiment(&self, head: &dyn RequestHead) -> ExperimentHead {
        match self.experiment() {
            Some(experiment) => experiment.read(&self.site().keys, head),
            None => ExperimentHead::default(),
        }
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
            .field("check", &self.content.judges.primary().check)
            .field("policy", &self.content.policy)
            .finish_non_exhaustive()
    }
}
