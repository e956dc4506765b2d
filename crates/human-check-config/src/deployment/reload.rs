//! The next configuration in the place of the one in force.

use std::time::SystemTime;

use human_check_core::ConfigError;
use human_check_guard::Guard;

use super::snapshot::Snapshot;
use super::{Deployment, Read, lock};
use crate::compose::Composer;
use crate::source::SecretFiles;

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
        let composer = Composer {
            context: &context,
            client: &inner.client,
            stores: &inner.stores,
            sinks: &inner.sinks,
            now: SystemTime::now(),
        };
        let (snapshot, mut built) = Snapshot::build(&composer, model, &inner.guard_setup)?;
        let guards = lock(&inner.guards).clone();
        for name in guards.keys() {
            // One that was asked for by name and has no table of its own.
            if !built.contains_key(name) {
                let guard = snapshot.guard(&context, name, &inner.guard_setup)?;
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
