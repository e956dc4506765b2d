//! Replaces the configuration in force by the next one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use human_check_core::{Clock, ConfigError, SteadyClock};
use human_check_guard::Guard;

use super::snapshot::Snapshot;
use super::{Deployment, Read, lock, log};
use crate::compose::Composer;

impl Deployment {
    /// Reads the file and the files of its secrets again, and puts the new configuration in force.
    /// Returns `false` when no content has changed.
    ///
    /// All guards change together, or none does. Requests in flight end as they began. Circuits
    /// begin closed, and counts of checks in flight begin at zero. The stores keep their entries,
    /// and their tables cannot change. A variable of the process cannot change either.
    ///
    /// It reads files and so blocks; in a program with an async runtime, call it in a thread of its
    /// own, or use [`watch`](Self::watch), which does.
    ///
    /// ```no_run
    /// # let deployment = human_check_config::Deployment::load("human-check.toml")?;
    /// match deployment.reload() {
    ///     Ok(true) => println!("{}", deployment.summary()),
    ///     Ok(false) => println!("unchanged"),
    ///     Err(error) => eprintln!("{error}"),
    /// }
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the new configuration is wrong, or changes what needs a restart: a
    /// table of a store, or the removal of the table of a route. The old configuration then stays
    /// in force.
    pub fn reload(&self) -> Result<bool, ConfigError> {
        let inner = &*self.0;
        // One reload at a time. The configuration in force stays readable meanwhile, because
        // reading a file may hang, and the application's guard setup may read the deployment.
        let mut read = lock(&inner.read);
        let text = inner.source.text()?;
        if text == read.text && !read.secrets.have_changed() {
            return Ok(false);
        }
        let candidate = self.build(text, &read)?;
        self.replace(candidate, &mut read)?;
        Ok(true)
    }

    /// Reloads as [`reload`](Self::reload) does, if the contents are the same as at the last look.
    ///
    /// A file that is written slowly may be valid in between, with rules that are still missing. So
    /// a content counts only when two looks agree. That holds for secrets, too, also for those in
    /// files that the present configuration does not name yet.
    pub(super) fn reload_if_settled(&self, last: &mut Option<Look>) -> Result<bool, ConfigError> {
        let inner = &*self.0;
        let mut read = lock(&inner.read);
        let text = inner.source.text()?;
        if text == read.text && !read.secrets.have_changed() {
            *last = None;
            return Ok(false);
        }
        let secrets = read.secrets.digests();
        let Some(last) = last
            .as_mut()
            .filter(|last| last.text == text && last.secrets == secrets)
        else {
            *last = Some(Look {
                text,
                secrets,
                next_secrets: None,
            });
            return Ok(false);
        };
        let candidate = self.build(text, &read)?;
        let next_secrets = Some(candidate.read.secrets.digests());
        if next_secrets.as_ref() != Some(&last.secrets) && next_secrets != last.next_secrets {
            last.next_secrets = next_secrets;
            return Ok(false);
        }
        self.replace(candidate, &mut read)?;
        Ok(true)
    }

    /// Builds the configuration in `text`.
    fn build(&self, text: String, read: &Read) -> Result<Candidate, ConfigError> {
        let inner = &*self.0;
        let secrets = read.secrets.next();
        let document = inner.source.document(&text)?;
        let model = document.model(&inner.registered)?;
        let context = inner.context(&document, &secrets);
        if model.check.proxy != read.snapshot.model.check.proxy {
            return Err(context.wrong(
                &"check.proxy".into(),
                "was changed while the program runs",
                "restart the program to change it, or undo the change",
            ));
        }
        inner.stores.still_fit(&context, &model)?;
        let composer = Composer {
            context: &context,
            client: &inner.client,
            stores: &inner.stores,
            sinks: &inner.sinks,
            experiments: &inner.experiments,
            registered: &inner.registered,
            dry_run: false,
            before: Some(read.snapshot.before()),
            now: SteadyClock::system().now(),
        };
        let (snapshot, mut built) = Snapshot::build(&composer, model, &inner.guard_setup)?;
        for name in lock(&inner.guards).clone().into_keys() {
            // The guard of a route that the program uses and that has no table of its own.
            if let Entry::Vacant(place) = built.entry(name) {
                let guard = snapshot.guard(&context, place.key(), &inner.guard_setup)?;
                place.insert(guard);
            }
        }
        Ok(Candidate {
            read: Read {
                text,
                secrets,
                snapshot,
            },
            guards: built,
        })
    }

    /// Puts a configuration in force.
    fn replace(&self, candidate: Candidate, read: &mut Read) -> Result<(), ConfigError> {
        let inner = &*self.0;
        let guards = lock(&inner.guards).clone();
        let mut pairs = Vec::new();
        for (name, successor) in &candidate.guards {
            match guards.get(name) {
                Some(guard) => pairs.push((guard, successor)),
                None => tracing::warn!(
                    target: "human_check_config",
                    route = name.as_str(),
                    "a route was added, and the program knows it only after a restart"
                ),
            }
        }
        let document = inner.source.document(&candidate.read.text)?;
        let context = inner.context(&document, &candidate.read.secrets);
        Guard::replace(&pairs).map_err(|error| context.placed(&"routes".into(), error))?;
        let snapshot = &candidate.read.snapshot;
        snapshot.begin_experiment(&inner.experiments);
        log(&snapshot.warnings);
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
        *read = candidate.read;
        Ok(())
    }
}

/// A configuration that was built and is not in force.
struct Candidate {
    read: Read,
    guards: BTreeMap<String, Guard>,
}

/// What the files of a configuration held at one look.
#[derive(Debug)]
pub(super) struct Look {
    text: String,
    /// The files of secrets that the configuration in force was built from.
    secrets: Vec<Option<u64>>,
    /// Those that the new text names, if it was built.
    next_secrets: Option<Vec<Option<u64>>>,
}

#[cfg(test)]
#[cfg(all(feature = "turnstile", feature = "rustls"))]
mod tests {
    use super::*;

    const FILE: &str = r#"
[providers.main]
kind = "turnstile"
site_key = "0x4AAAAAAADemoSiteKey"
secret = { file = "secret" }

[check]
use = "main"

[routes.signup]
"#;

    #[test]
    fn a_file_that_is_written_slowly_takes_effect_when_two_looks_agree() {
        let folder = tempfile::tempdir().unwrap();
        let (file, secret) = (folder.path().join("f.toml"), folder.path().join("secret"));
        std::fs::write(&secret, "0x4AAAAAAADemoSecret").unwrap();
        std::fs::write(&file, FILE).unwrap();
        let deployment = Deployment::load(&file).unwrap();
        let allows_any_host = || {
            let warnings = deployment.warnings();
            warnings.iter().any(|warning| warning.contains("any host"))
        };
        let mut last = None;
        let mut look = || deployment.reload_if_settled(&mut last).unwrap();
        assert!(!look(), "nothing has changed");
        // Valid in between: the rule for hosts is still missing.
        std::fs::write(&file, format!("{FILE}action = \"a\"\n")).unwrap();
        assert!(!look());
        std::fs::write(
            &file,
            format!("{FILE}action = \"a\"\nhostnames = [\"a.example\"]\n"),
        )
        .unwrap();
        assert!(!look(), "the content differs from that of the last look");
        assert!(allows_any_host(), "the old rules hold");
        assert!(look());
        assert!(!allows_any_host());
        assert!(!look());
        // Half of a secret does not take effect either.
        std::fs::write(&secret, "0x4AAAAAAADemo").unwrap();
        assert!(!look());
        std::fs::write(&secret, "0x4AAAAAAADemoSecret2").unwrap();
        assert!(!look());
        assert!(look());
        // Nor does half of one in a file that was not named before.
        let next = folder.path().join("next");
        std::fs::write(&next, "0x4AAAAAAADemo").unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("\"secret\"", "\"next\"")).unwrap();
        assert!(!look());
        assert!(!look(), "the named file is looked at once");
        std::fs::write(&next, "0x4AAAAAAADemoSecret3").unwrap();
        assert!(!look());
        assert!(look());
        std::fs::write(&file, text).unwrap();
        assert!(!look());
        assert!(!look());
        assert!(look());
        // A change that is undone at once is none.
        std::fs::write(&secret, "0x4AAAAAAADemo").unwrap();
        assert!(!look());
        std::fs::write(&secret, "0x4AAAAAAADemoSecret2").unwrap();
        assert!(!look() && !look());
    }
}
