//! The accounts of a route, each with the rules of the route.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use human_check_core::adapter::WidgetApi;
use human_check_core::{ConfigError, Enforce, FactKind, HumanCheck, Provider, Score, Widget};
use serde_json::json;

use crate::RoutePolicy;
use crate::selection::{Account, FallbackOn, NameDigest, Offer, OfferFault, Selection, Why};
use crate::tokens::{Accepted, TokenFields};

/// An account with the rules of the route. It judges, if it is selected.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) account: Account,
    /// The check, which enforces the rules of the route.
    pub(crate) check: Arc<dyn HumanCheck>,
    /// Whose tokens it accepts.
    pub(crate) accepted: Accepted,
    /// Whose tokens are those of the account itself, without those of a dual accept.
    pub(crate) own: Accepted,
    /// What a page needs to show it.
    pub(crate) shown: Arc<Shown>,
    /// Whether the challenge must have been solved for the action of the route.
    pub(crate) expects_action: bool,
    digest: NameDigest,
}

/// What a page needs to show an account. It holds no check, because pages and refusals may outlive one.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) account: String,
    pub(crate) provider: Provider,
    /// The widget with the action of the route.
    pub(crate) widget: Option<Widget>,
    /// The member of `captcha.options`, up to the text that says why.
    option: String,
}

/// The accounts of a route. A judge is named by its index.
#[derive(Debug)]
pub(crate) struct Judges {
    all: Vec<Arc<Judge>>,
    lists: Vec<Range<usize>>,
    /// How many lists at the end are those of arms.
    arm_lists: usize,
    step_up: Option<(usize, Score)>,
    old: Option<(usize, Option<SystemTime>)>,
}

impl Shown {
    /// Returns the JSON object of a refusal's option, with an offer for this account.
    pub(crate) fn option(&self, why: Why, offer: &str) -> String {
        format!("{}{why}\",\"offer\":\"{offer}\"}}", self.option)
    }
}

impl Judge {
    fn new(
        account: &Account,
        selection: &Selection,
        policy: &RoutePolicy,
        fields: &TokenFields,
        widgets: &[Widget],
        header: &str,
    ) -> Result<Self, ConfigError> {
        let check = Arc::clone(account.check());
        let check: Arc<dyn HumanCheck> = match &policy.requires {
            Some(required) => {
                let rules = selection.rules_for(account, required);
                Arc::new(Enforce::new(check, rules)?)
            }
            None => check,
        };
        let mut left_out = selection.not_demanded(account);
        let expects_action = left_out.all(|fact| fact != FactKind::Action);
        policy.validate(account.capabilities(), expects_action)?;
        let of_site = || {
            widgets
                .iter()
                .find(|widget| widget.provider() == account.provider())
        };
        let widget = account.widget().or_else(of_site);
        let widget = widget
            .map(|widget| with_action(widget, policy))
            .transpose()?;
        Ok(Self {
            shown: Arc::new(Shown {
                option: option(account, widget.as_ref(), header),
                account: account.name().to_owned(),
                provider: account.provider().clone(),
                widget,
            }),
            accepted: fields.accepted(check.providers()),
            own: fields.accepted(std::slice::from_ref(account.provider())),
            digest: account.digest(),
            account: account.clone(),
            check,
            expects_action,
        })
    }

    /// Returns what stands for the account in an offer.
    pub(crate) fn digest(&self) -> NameDigest {
        self.digest
    }

    /// Returns whether another account should judge.
    fn is_out(&self, on: FallbackOn) -> bool {
        self.account.health().is_out(on)
    }
}

/// Puts the name of an account other than the primary into an error about a demand of the route that
/// it cannot meet.
fn of_account(role: &'static str, account: &Account, error: ConfigError) -> ConfigError {
    let name = account.name();
    let key = match error.field() {
        "action" | "hostnames" | "max_age" | "min_score" => error.field().to_owned(),
        _ => return error,
    };
    ConfigError::new(
        role,
        format!(
            "leads to {name:?}, and the route demands `{key}`, which that account never reports, so \
             it would refuse every visitor"
        ),
        format!(
            "name another account, or exempt this one: without.{name} = [\"{key}\"]; in code \
             `Selection::without`"
        ),
    )
}

/// Returns the widget with the action of the policy, if its provider supports actions.
pub(crate) fn with_action(widget: &Widget, policy: &RoutePolicy) -> Result<Widget, ConfigError> {
    match &policy.action {
        Some(action) if widget.spec().action.is_some() => {
            widget.clone().with_action(action.clone())
        }
        _ => Ok(widget.clone()),
    }
}

/// Returns what a script needs to show the challenge of an account, as the beginning of a JSON
/// object. See docs/reference/refusal-responses.md.
fn option(account: &Account, widget: Option<&Widget>, header: &str) -> String {
    let provider = account.provider();
    let text = json!({
        "account": account.name(),
        "provider": provider.name(),
        "field": widget.map_or_else(|| provider.fields().next(), |widget| Some(widget.field())),
        "header": header,
        "sitekey": widget.map(Widget::site_key),
        "action": widget.and_then(Widget::action),
        "widget": widget.map(described),
    })
    .to_string();
    let open = text.strip_suffix('}').unwrap_or(&text);
    format!("{open},\"why\":\"")
}

/// Returns what the page script needs to show a widget.
fn described(widget: &Widget) -> serde_json::Value {
    let spec = widget.spec();
    let (global, attach) = match spec.api {
        WidgetApi::Execute(global) | WidgetApi::Render(global) => (Some(global), None),
        WidgetApi::Element { attach } => (None, attach),
        _ => (None, None),
    };
    // The page script tells widgets apart by this text, so its order must be the same each time.
    let attributes: serde_json::Map<_, _> = widget
        .attributes()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    // The address of a frame is the site key.
    let script = match spec.api {
        WidgetApi::Frame => widget.site_key().to_owned(),
        _ => widget.script_src(),
    };
    let mut described = json!({
        "api": spec.api.as_str(),
        "script": script,
        "element": spec.element,
        "attributes": attributes,
    });
    let optional = [
        ("global", global.map(Into::into)),
        ("attach", attach.map(Into::into)),
        ("stylesheet", widget.stylesheet_href().map(Into::into)),
        ("module", spec.module.then(|| true.into())),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            described[name] = value;
        }
    }
    described
}

impl Judges {
    /// Creates the judges of a route.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy cannot work with an account.
    pub(crate) fn new(
        selection: &Selection,
        policy: &RoutePolicy,
        fields: &TokenFields,
        widgets: &[Widget],
        header: &str,
    ) -> Result<Self, ConfigError> {
        let mut all = Vec::new();
        let mut add = |role, account: &Account| -> Result<usize, ConfigError> {
            let judge = Judge::new(account, selection, policy, fields, widgets, header);
            let is_primary = account.name() == selection.list.accounts()[0].name();
            let judge = match is_primary {
                true => judge?,
                false => judge.map_err(|error| of_account(role, account, error))?,
            };
            all.push(Arc::new(judge));
            Ok(all.len() - 1)
        };
        let mut lists = Vec::new();
        for list in selection.lists() {
            let mut range = 0..0;
            for (place, account) in list.accounts().iter().enumerate() {
                let index = add("fallback", account)?;
                if place == 0 {
                    range.start = index;
                }
                range.end = index + 1;
            }
            lists.push(range);
        }
        let step_up = match &selection.step_up {
            Some((account, floor)) => Some((add("step_up", account)?, *floor)),
            None => None,
        };
        let old = match &selection.old {
            Some(old) => Some((add("dual_accept", &old.account)?, old.sunset)),
            None => None,
        };
        Ok(Self {
            all,
            lists,
            arm_lists: selection.arm_lists(),
            step_up,
            old,
        })
    }

    pub(crate) fn get(&self, judge: usize) -> &Arc<Judge> {
        &self.all[judge]
    }

    /// Returns the first account of the default list.
    pub(crate) fn primary(&self) -> &Judge {
        &self.all[0]
    }

    /// Returns the index of the first account of a list.
    pub(crate) fn first_of(&self, list: usize) -> usize {
        self.lists[list].start
    }

    /// Returns the account of a step-up, and the lowest score that leads to it.
    pub(crate) fn step_up(&self) -> Option<(usize, Score)> {
        self.step_up
    }

    /// Returns the account whose tokens still count and have no offer.
    pub(crate) fn old(&self, now: SystemTime) -> Option<usize> {
        let (judge, sunset) = self.old?;
        sunset.is_none_or(|sunset| now < sunset).then_some(judge)
    }

    /// Returns whether a list has an account beside its first.
    pub(crate) fn has_fallback(&self, list: usize) -> bool {
        self.lists[list].len() > 1
    }

    /// Returns whether visitors may meet the arms of an experiment.
    pub(crate) fn has_arms(&self) -> bool {
        self.arm_lists > 0
    }

    /// Returns whether all accounts of a list are down, by evidence that no client can produce.
    pub(crate) fn are_all_down(&self, list: usize) -> bool {
        let mut judges = self.all[self.lists[list].clone()].iter();
        judges.all(|judge| judge.account.is_down())
    }

    /// Has the accounts of a list that are down probed.
    pub(crate) fn recover(&self, list: usize) {
        for judge in &self.all[self.lists[list].clone()] {
            judge.account.health().recover();
        }
    }

    /// Returns the account that a new visitor meets, and why: the first of the list that works and
    /// whose script can be loaded, or else the first that works. `None` if none works.
    pub(crate) fn select(&self, list: usize, on: FallbackOn) -> Option<(usize, Why)> {
        let range = self.lists[list].clone();
        let first = range.start;
        let why = |judge| match judge == first {
            true => Why::Primary,
            false => Why::Fallback,
        };
        let mut with_script_down = None;
        // All of them, so that it is known of a fallback when it is needed.
        for judge in &self.all {
            judge.account.watch_script();
        }
        for judge in range {
            let account = &self.all[judge].account;
            if self.all[judge].is_out(on) {
                account.health().recover();
                continue;
            }
            if !account.is_script_down() {
                return Some((judge, why(judge)));
            }
            with_script_down = with_script_down.or(Some(judge));
        }
        with_script_down.map(|judge| (judge, why(judge)))
    }

    /// Returns the first account after `failed` in the list that works, for a visitor whose browser
    /// reported that the widget failed.
    pub(crate) fn select_after_widget_failure(
        &self,
        list: usize,
        failed: usize,
        on: FallbackOn,
    ) -> Option<usize> {
        let mut others = failed + 1..self.lists[list].end;
        others.find(|judge| {
            !self.all[*judge].is_out(on) && !self.all[*judge].account.is_script_down()
        })
    }

    /// Returns whether the first account of the list should not judge now.
    pub(crate) fn is_first_out(&self, list: usize, on: FallbackOn) -> bool {
        self.all[self.first_of(list)].is_out(on)
    }

    /// Returns whether no offer can select another account than the primary.
    pub(crate) fn is_single(&self) -> bool {
        self.all.len() == 1
    }

    /// Returns the lists of the arms but the first, for a request of the default list.
    fn arms(&self, list: usize) -> impl Iterator<Item = Range<usize>> {
        let arms = &self.lists[self.lists.len() - self.arm_lists..];
        arms.iter().filter(move |_| list == 0).cloned()
    }

    /// Returns the judge that an offer names.
    ///
    /// # Errors
    ///
    /// [`OfferFault::WrongAccount`] when the account is not, or no longer, in the list, and is neither
    /// the step-up, an arm nor the old account.
    pub(crate) fn named_by(
        &self,
        offer: &Offer,
        list: usize,
        now: SystemTime,
    ) -> Result<usize, OfferFault> {
        let range = self.lists[list].clone();
        let candidates: &[usize] = match offer.why {
            Why::Primary => &[range.start],
            Why::Fallback | Why::WidgetFailure => {
                &range.chain(self.arms(list).flatten()).collect::<Vec<_>>()
            }
            Why::StepUp => &self
                .step_up
                .map(|(judge, _)| judge)
                .into_iter()
                .collect::<Vec<_>>(),
            Why::Arm => {
                let others = self.arms(list).map(|arm| arm.start);
                let first = (self.arm_lists > 0 && list == 0).then_some(range.start);
                &first.into_iter().chain(others).collect::<Vec<_>>()
            }
        };
        let old = self.old(now).filter(|_| offer.why == Why::Primary);
        let mut known = candidates.iter().copied().chain(old);
        known
            .find(|judge| self.all[*judge].digest == offer.account)
            .ok_or(OfferFault::WrongAccount)
    }
}
