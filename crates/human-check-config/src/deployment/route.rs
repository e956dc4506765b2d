//! Builds the guard of a route from its table.

use std::sync::Arc;
use std::time::Duration;

use human_check_core::{ConfigError, Policy, Score};
use human_check_guard::{BodyLimits, ClientAddress, Guard, RoutePolicy, Text, Texts, Trigger};

use super::guard_setup::GuardSetup;
use crate::compose::{Composed, with_origins};
use crate::context::Context;
use crate::model::{ChallengeTable, Model, OutagePolicy, RouteTable, SiteTable};
use crate::source::KeyPath;

/// One route, and the table that all routes share.
pub(crate) struct Route<'m> {
    /// The name of the route in the application, in logs and in metrics.
    pub(crate) name: &'m str,
    /// The rules: its own table, or that of `[routes."*"]`.
    pub(crate) table: &'m RouteTable,
    /// The path of that table, for errors.
    pub(crate) path: KeyPath,
    /// The table `[site]`.
    pub(crate) site: &'m SiteTable,
}

impl Route<'_> {
    /// Builds the guard.
    pub(crate) fn guard(
        &self,
        context: &Context<'_>,
        model: &Model,
        composed: &Composed,
        guard_setup: &GuardSetup,
    ) -> Result<Guard, ConfigError> {
        let placed = |error: ConfigError| self.placed(context, error);
        self.check_clearance(context, model)?;
        let policy = self.policy(context, model, composed)?;
        let selection = self.selection(context, model, composed)?;
        let mut builder = Guard::builder_for(selection)
            .with_attempt_store(Arc::clone(&composed.attempts))
            .with_client_address(client_address(self.site).map_err(placed)?)
            .with_body_limits(body_limits(self.site))
            .with_body_budget(composed.bodies.clone());
        if let Some(refusals) = self.site.refusals_before_warning {
            builder = builder.with_refusals_before_warning(refusals);
        }
        if let Some(header) = &self.site.header {
            builder = builder.with_header(header);
        }
        builder = builder.with_texts(texts(self.site).map_err(placed)?);
        if let Some(header) = &self.site.country_header {
            builder = builder.with_country_header(header);
        }
        // The widgets of a page that shows all of them at once.
        let primary = self.primary(&model.check);
        let widgets = match primary == model.check.account {
            true => composed.widgets.as_slice(),
            false => composed.accounts[primary]
                .widget()
                .map_or(&[][..], std::slice::from_ref),
        };
        for widget in widgets {
            builder = builder.with_widget(widget.clone());
        }
        guard_setup(self.name, builder)
            .build(policy)
            .map_err(placed)
    }

    /// Puts the place of the key at fault into an error of a policy or a guard.
    fn placed(&self, context: &Context<'_>, error: ConfigError) -> ConfigError {
        let key = error.field().to_owned();
        if key == "fields" {
            let remedy =
                "rename the field on one page, and name it with `fields` in that account's table";
            return context.placed(&"check".into(), error.with_remedy(remedy));
        }
        if key == "dual_accept" {
            return context.placed(&"check.dual_accept.use".into(), error);
        }
        // The name of a text has a dot.
        let mut steps = key.splitn(3, '.');
        if let (Some("texts"), Some(language), Some(name)) =
            (steps.next(), steps.next(), steps.next())
        {
            let path = KeyPath::site("texts").join(language).join(name);
            return context.placed(&path, error);
        }
        if SITE_KEYS.contains(&key.as_str()) {
            return context.placed(&KeyPath::site(&key), error);
        }
        if key == "fallback" && self.table.fallback.is_none() && self.table.account.is_none() {
            return context.placed(&"check.fallback".into(), error);
        }
        let key = match key.as_str() {
            "trigger" => "challenge",
            key => key,
        };
        context.placed(&self.path.join(key), error)
    }

    /// Returns the policy of the route: what it does without a verdict, and its rules.
    fn policy(
        &self,
        context: &Context<'_>,
        model: &Model,
        composed: &Composed,
    ) -> Result<RoutePolicy, ConfigError> {
        let table = self.table;
        let name = self.name.to_owned();
        let mut policy = match table.on_outage {
            OutagePolicy::FailClosed => RoutePolicy::fail_closed(name),
            OutagePolicy::FailOpen => RoutePolicy::fail_open(name),
        };
        if table.on_declined == OutagePolicy::FailOpen {
            policy = policy.with_fail_open_when_declined();
        }
        if table.on_store_unavailable == OutagePolicy::FailOpen {
            policy = policy.with_fail_open_when_store_unavailable();
        }
        if let Some(action) = &table.action {
            policy = policy.with_action(action.clone());
        }
        if let Some(clearance) = &table.accept_clearance {
            let from = clearance.from.iter().cloned();
            policy = policy.with_accepted_clearance(from, clearance.ttl, clearance.max_requests);
        }
        if let Some(ttl) = self.issued_ttl(model) {
            policy = policy.with_issued_clearance(ttl);
        }
        if table.observe_only {
            policy = policy.with_observe_only();
        }
        if let Some(challenge) = &table.challenge {
            policy = policy.with_trigger(self.trigger(context, composed, challenge)?);
        }
        let rules = self
            .rules(composed)
            .map_err(|error| self.placed(context, error))?;
        Ok(policy.with_policy(rules))
    }

    /// Returns how long the clearances of this route count at most, if a route accepts them.
    fn issued_ttl(&self, model: &Model) -> Option<Duration> {
        let accepted = model
            .routes
            .values()
            .filter_map(|route| route.accept_clearance.as_ref());
        let own = accepted.filter(|clearance| clearance.from.iter().any(|from| from == self.name));
        own.map(|clearance| clearance.ttl).max()
    }

    /// Returns the rules that a verdict must satisfy.
    fn rules(&self, composed: &Composed) -> Result<Policy, ConfigError> {
        let mut rules = Policy::new().with_test_keys(composed.test_keys);
        let (hosts, apps) = (self.table.hostnames.as_deref(), self.table.apps.as_deref());
        rules = with_origins(rules, hosts, apps)?;
        if let Some(score) = self.table.min_score {
            let score = Score::humanity(score).map_err(|error| error.with_field("min_score"))?;
            rules = rules.with_min_score(score);
        }
        if let Some(age) = self.table.max_age {
            rules = rules.with_max_age(age);
        }
        Ok(rules)
    }

    /// Returns the trigger of `[routes.NAME.challenge]`, which decides whether a challenge is
    /// demanded.
    fn trigger(
        &self,
        context: &Context<'_>,
        composed: &Composed,
        table: &ChallengeTable,
    ) -> Result<Trigger, ConfigError> {
        let path = self.path.join("challenge");
        let mut rules = Vec::new();
        match (table.after_requests, table.window) {
            (None, None) => {}
            (None, Some(_)) => {
                return Err(context.wrong(
                    &path.join("window"),
                    "is given without after_requests",
                    "write after how many requests, or leave it out",
                ));
            }
            (Some(limit), window) => {
                let window = window.unwrap_or(Duration::from_secs(600));
                if window.is_zero() {
                    let remedy = "write a time above zero, such as \"10m\"";
                    return Err(context.wrong(&path.join("window"), "is zero", remedy));
                }
                let store = Arc::clone(&composed.attempts);
                rules.push(Trigger::after_requests(store, limit, window));
            }
        }
        if !table.user_agent_contains.is_empty() {
            rules.push(Trigger::user_agent_contains(&table.user_agent_contains));
        }
        for (key, countries) in [
            ("country_in", &table.country_in),
            ("country_outside", &table.country_outside),
        ] {
            if !countries.is_empty() && self.site.country_header.is_none() {
                return Err(context.wrong(
                    &path.join(key),
                    "needs the client's country, and no header for it is configured",
                    "set site.country_header, such as \"CF-IPCountry\", or leave it out",
                ));
            }
        }
        if !table.country_in.is_empty() {
            rules.push(Trigger::country_in(&table.country_in));
        }
        if !table.country_outside.is_empty() {
            rules.push(Trigger::country_outside(&table.country_outside));
        }
        if rules.is_empty() {
            return Err(context.wrong(
                &path,
                "has no rule, so no visitor would ever be challenged",
                "give a rule, such as after_requests = 3, or leave the table out to challenge always",
            ));
        }
        Ok(Trigger::any(rules))
    }
}

/// Returns the texts for visitors.
fn texts(site: &SiteTable) -> Result<Texts, ConfigError> {
    let mut texts = Texts::new();
    for (language, own) in &site.texts {
        for (name, value) in own {
            let text = Text::from_name(name).ok_or_else(|| {
                let known = Text::ALL.iter().map(|text| text.as_str());
                ConfigError::new(
                    format!("texts.{language}.{name}"),
                    "is not the name of a text",
                    crate::suggestion::suggestion(name, known),
                )
            })?;
            texts = texts.with_text(language, text, value)?;
        }
    }
    match &site.languages {
        Some(languages) => {
            let languages: Vec<_> = languages.iter().map(String::as_str).collect();
            texts.with_languages(&languages)
        }
        None => Ok(texts),
    }
}

/// Returns where the client's address is read from.
fn client_address(site: &SiteTable) -> Result<ClientAddress, ConfigError> {
    let trusted = &site.trusted_proxies;
    let source = site.client_address.as_deref().unwrap_or("socket");
    let source = source.to_ascii_lowercase();
    match source.as_str() {
        "socket" if trusted.is_empty() => Ok(ClientAddress::socket()),
        "socket" => Err(ConfigError::new(
            "trusted_proxies",
            "are listed, and no header of theirs is read",
            "name the header that they write, for example client_address = \"x-forwarded-for\"",
        )),
        "x-forwarded-for" => ClientAddress::x_forwarded_for(trusted),
        "forwarded" => ClientAddress::forwarded(trusted),
        "cloudflare" if trusted.is_empty() => Ok(ClientAddress::cloudflare()),
        "cloudflare" => ClientAddress::cloudflare_behind(trusted),
        header => ClientAddress::header(header, trusted).map_err(|error| {
            let field = match error.field() {
                "header" => "client_address",
                _ => "trusted_proxies",
            };
            error.with_field(field)
        }),
    }
}

/// Keys of `[site]` that a guard can refuse.
const SITE_KEYS: [&str; 6] = [
    "client_address",
    "country_header",
    "header",
    "languages",
    "texts",
    "trusted_proxies",
];

/// Returns the default limits with the values of the table in their places.
fn body_limits(site: &SiteTable) -> BodyLimits {
    let mut limits = BodyLimits::default();
    limits.max_body_bytes = site.max_body_bytes.unwrap_or(limits.max_body_bytes);
    limits.body_timeout = site.body_timeout.unwrap_or(limits.body_timeout);
    limits.max_upload_bytes = site.max_upload_bytes.unwrap_or(limits.max_upload_bytes);
    limits.max_held_bytes = site.max_held_bytes.unwrap_or(limits.max_held_bytes);
    limits.upload_timeout = site.upload_timeout.unwrap_or(limits.upload_timeout);
    limits
}
