use std::fmt;

use human_check_core::{ConfigError, Widget};

use super::csp_policy::{Policy, elements_of, has, runs_inline};
use super::nonce::checked_nonce;

/// What a Content-Security-Policy has to allow for the widgets of a page.
///
/// A second policy header can only forbid more, since a browser holds a page to all of them. So
/// the sources go into the policy that is there already:
///
/// ```
/// # use human_check_core::{Provider, Widget};
/// # use human_check_core::adapter::{WidgetSpec, WidgetSources};
/// # use human_check_guard::CspSources;
/// # static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// # static FACTS: WidgetSpec = WidgetSpec {
/// #     sources: WidgetSources { script: &["https://acme.example"], ..WidgetSources::NONE },
/// #     ..WidgetSpec::new("https://acme.example/api.js", "acme", "data-sitekey")
/// # };
/// # let widget = Widget::new(&ACME, "key", &FACTS)?;
/// let sources = CspSources::of([&widget]);
/// assert_eq!(
///     sources.merge_into("default-src 'self'"),
///     "default-src 'self'; script-src 'self' https://acme.example"
/// );
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// `Display` writes the sources alone, as a start for a page that has no policy yet.
#[derive(Clone, Debug, Default)]
pub struct CspSources {
    directives: Vec<(&'static str, Vec<String>)>,
    nonce: Option<String>,
}

impl CspSources {
    /// What these widgets need together.
    pub fn of<'a>(widgets: impl IntoIterator<Item = &'a Widget>) -> Self {
        let mut all = Self::default();
        for widget in widgets {
            for (directive, sources) in widget.csp_sources() {
                let known = all.entry(directive);
                for source in sources {
                    if !known.iter().any(|one| one == source) {
                        known.push(source.to_owned());
                    }
                }
            }
        }
        all
    }

    /// Also lets scripts run that carry this nonce: those of a [`WidgetRenderer`](crate::WidgetRenderer) with the same
    /// one. Draw it for each response.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not base64 or base64url.
    pub fn with_nonce(mut self, nonce: &str) -> Result<Self, ConfigError> {
        self.nonce = Some(checked_nonce(nonce)?);
        self.entry("script-src");
        Ok(self)
    }

    /// The directives and their sources, the nonce not among them.
    pub fn directives(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        self.directives
            .iter()
            .map(|(directive, sources)| (*directive, sources.as_slice()))
    }

    /// The same policy with these sources allowed as well.
    ///
    /// Whatever it allowed stays allowed, and nothing but these sources is added. A directive that
    /// is absent starts as a copy of the one that was in effect for it; where none was, everything
    /// is allowed already and it stays absent. Of several policies joined by commas each one is
    /// extended, since all of them hold.
    ///
    /// Workers are let in by `script-src` where nothing else speaks of them, and so by its new hosts
    /// too; that opens nothing, since browsers start no worker from another origin.
    ///
    /// A nonce is left out where it would switch off an `'unsafe-inline'` that the page lives by;
    /// inline scripts run there without one. Under `'strict-dynamic'` browsers ignore the hosts,
    /// so there the nonce is needed.
    #[must_use]
    pub fn merge_into(&self, existing: &str) -> String {
        let merged: Vec<String> = existing
            .split(',')
            .map(|policy| self.merge_one(policy))
            .filter(|policy| !policy.is_empty())
            .collect();
        merged.join(", ")
    }

    fn merge_one(&self, existing: &str) -> String {
        let before = Policy::parse(existing);
        let mut after = before.clone();
        for (directive, _) in &self.directives {
            // What is in effect is read before anything is added: an extended `script-src` must
            // not lend its new sources to `worker-src`.
            if let Some((origin, sources)) = before.in_effect(directive)
                && let Some(extended) = self.extend(directive, origin, sources)
            {
                after.set(directive, extended);
            }
            if let Some(elements) = elements_of(directive)
                && let Some(sources) = before.get(elements)
                && let Some(extended) = self.extend(directive, elements, sources)
            {
                after.set(elements, extended);
            }
        }
        after.to_string()
    }

    /// The sources of a directive with ours, or `None` when it can stay as it is. `origin` is the
    /// directive they are written in.
    fn extend(&self, directive: &str, origin: &str, sources: &[&str]) -> Option<Vec<String>> {
        // A script that was let in may start any worker under `'strict-dynamic'`, but only while
        // `script-src` tokens for workers: a list of their own would forbid most of them.
        if directive == "worker-src" && origin == "script-src" && has(sources, "'strict-dynamic'") {
            return None;
        }
        let nonce = self
            .nonce
            .as_ref()
            .filter(|_| directive == "script-src" && !runs_inline(sources))
            .map(|nonce| format!("'nonce-{nonce}'"));
        let ours = self.directives.iter().find(|(name, _)| *name == directive);
        let ours = ours.into_iter().flat_map(|(_, sources)| sources.clone());
        let new: Vec<String> = nonce
            .into_iter()
            .chain(ours)
            .filter(|source| !sources.contains(&source.as_str()))
            .collect();
        if new.is_empty() {
            return None;
        }
        // `'none'` means nothing beside a source.
        let kept = sources
            .iter()
            .filter(|source| !source.eq_ignore_ascii_case("'none'"));
        Some(kept.map(|source| (*source).to_owned()).chain(new).collect())
    }

    fn entry(&mut self, directive: &'static str) -> &mut Vec<String> {
        let place = self
            .directives
            .iter()
            .position(|(name, _)| *name == directive)
            .unwrap_or_else(|| {
                self.directives.push((directive, Vec::new()));
                self.directives.len() - 1
            });
        &mut self.directives[place].1
    }
}

impl fmt::Display for CspSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (directive, sources)) in self.directives.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            f.write_str(directive)?;
            if let Some(nonce) = self.nonce.as_ref().filter(|_| *directive == "script-src") {
                write!(f, " 'nonce-{nonce}'")?;
            }
            for source in sources {
                write!(f, " {source}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
