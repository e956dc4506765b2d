//! A configuration in force, and the next one in its place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use human_check_core::ConfigError;
use human_check_guard::Guard;

use crate::compose::{Composed, Context};
use crate::deployment::{Deployment, Inner, Now, Read, issuing, lock};
use crate::deployment_builder::Customise;
use crate::model::{ANY_ROUTE, Model};
use crate::route;
use crate::source::{Document, KeyPath, SecretFiles};
use crate::summary::summary;

/// One configuration, composed.
pub(crate) struct Snapshot {
    pub(crate) model: Model,
    composed: Composed,
}

impl Snapshot {
    /// Composes the model, and a guard for each route with a table.
    pub(crate) fn build(
        context: &Context<'_>,
        model: Model,
        customise: &Customise,
    ) -> Result<(Self, BTreeMap<String, Guard>), ConfigError> {
        if model.routes.is_empty() {
            return Err(context.wrong(
                &"routes".into(),
                "has no route, so nothing would be guarded",
                "add a table, such as [routes.signup], or [routes.\"*\"] for every route",
            ));
        }
        let composed = context.compose(&model)?;
        let snapshot = Self { model, composed };
        let mut guards = BTreeMap::new();
        for name in snapshot.model.routes.keys() {
            let guard = snapshot.guard(context, name, customise)?;
            // Built to see that it can be, and named after the route that asks for it.
            if name != ANY_ROUTE {
                guards.insert(name.clone(), guard);
            }
        }
        Ok((snapshot, guards))
    }

    /// The guard of a route, by its own table or that of any route.
    pub(crate) fn guard(
        &self,
        context: &Context<'_>,
        name: &str,
        customise: &Customise,
    ) -> Result<Guard, ConfigError> {
        let routes = &self.model.routes;
        let own = routes.get_key_value(name);
        let Some((table_name, table)) = own.or_else(|| routes.get_key_value(ANY_ROUTE)) else {
            return Err(context.wrong(
                &KeyPath::route(name),
                "is gone, and the program still guards that route with it",
                "put the table back; restart the program to remove a route",
            ));
        };
        let route = route::Route {
            name,
            table,
            path: KeyPath::route(table_name),
            site: &self.model.site,
        };
        route.guard(context, &self.composed, customise)
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            summary: summary(&self.model),
            check: Arc::clone(&self.composed.check),
            issuers: self.composed.issuers.clone(),
            issuing: issuing(&self.model),
        }
    }
}

impl Inner {
    pub(crate) fn context<'a>(
        &'a self,
        document: &'a Document,
        secrets: &'a SecretFiles,
    ) -> Context<'a> {
        Context {
            document,
            directory: self.source.directory(),
            variable: &*self.source.variable,
            client: &self.client,
            stores: &self.stores,
            sinks: &self.sinks,
            secrets,
            now: SystemTime::now(),
        }
    }
}

impl Deployment {
    /// Reads the configuration again. All guards change together, or nothing does.
    ///
    /// Returns whether there was anything new. Requests in flight are finished as they began; circuits
    /// begin closed; stores and their contents stay, and their tables cannot be changed.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load). The old configuration then stays in force.
    pub fn reload(&self) -> Result<bool, ConfigError> {
        let inner = &*self.0;
        // One at a time. What is in force stays readable meanwhile: files may hang, and what an application
        // does to its guards may look at it.
        let mut read = lock(&inner.read);
        let text = inner.source.text()?;
        if text == read.text && !read.secrets.have_changed() {
            return Ok(false);
        }
        let secrets = SecretFiles::default();
        let document = inner.source.document(&text)?;
        let model = document.model()?;
        let context = inner.context(&document, &secrets);
        inner.stores.still_fit(&context, &model)?;
        let (snapshot, mut built) = Snapshot::build(&context, model, &inner.customise)?;
        let guards = lock(&inner.guards).clone();
        for name in guards.keys() {
            // One that was asked for by name and has no table of its own.
            if !built.contains_key(name) {
                let guard = snapshot.guard(&context, name, &inner.customise)?;
                built.insert(name.clone(), guard);
            }
        }
        let mut pairs = Vec::new();
        for (name, successor) in &built {
            match guards.get(name) {
                Some(guard) => pairs.push((guard, successor)),
                None => tracing::warn!(
                    target: "human_check_config",
                    route = name.as_str(),
                    "a route was added, and the program knows it only after a restart"
                ),
            }
        }
        Guard::replace(&pairs).map_err(|error| context.placed(&"routes".into(), error))?;
        *lock(&inner.now) = snapshot.now();
        let check = &snapshot.model.check;
        tracing::info!(
            target: "human_check_config",
            file = inner.source.name(),
            provider = check.account,
            failover = check.failover.as_deref().unwrap_or_default(),
            dual_accept = check.dual_accept.as_ref().map_or("", |accept| &accept.account),
            shadow = check.shadow.as_ref().map_or("", |shadow| &shadow.account),
            "configuration reloaded"
        );
        *read = Read {
            text,
            secrets,
            snapshot,
        };
        Ok(true)
    }
}
