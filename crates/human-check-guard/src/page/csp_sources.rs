use std::fmt;

use human_check_core::{ConfigError, Widget};

use super::csp_policy::{Policy, elements_of, has, runs_inline};
use super::nonce::checked_nonce;

/// The sources that a content security policy must allow for the widgets of a page.
///
/// A second policy header can only forbid more, because a browser enforces all policies of a page.
/// So merge the sources into the policy that the page has already:
///
/// ```
/// # use human_check_core::{Provider, Widget};
/// # use human_check_core::adapter::{WidgetSpec, WidgetSources};
/// # use human_check_guard::CspSources;
/// # static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// # static SPEC: WidgetSpec = WidgetSpec {
/// #     sources: WidgetSources { script: &["https://acme.example"], ..WidgetSources::NONE },
/// #     ..WidgetSpec::new("https://acme.example/api.js", "acme", "data-sitekey")
/// # };
/// # let widget = Widget::new(&ACME, "key", &SPEC)?;
/// let sources = CspSources::of([&widget]);
/// assert_eq!(
///     sources.merge_into("default-src 'self'"),
///     "default-src 'self'; script-src 'self' https://acme.example"
/// );
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// `Display` writes the directives with these sources only. It is a start for a page without a
/// policy.
#[derive(Clone, Debug, Default)]
pub struct CspSources {
    directives: Vec<(&'static str, Vec<String>)>,
    nonce: Option<String>,
}

impl CspSources {
    /// Creates the sources that these widgets need together. Each source is named once.
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

    /// Sets the nonce of the scripts. Default: no nonce.
    ///
    /// Give the same nonce to [`WidgetRenderer::with_nonce`](crate::WidgetRenderer::with_nonce).
    /// Draw a new one for each response: 16 random bytes in base64. Widgets with an inline script
    /// need it, for example those of CaptchaLa, see docs/providers/captchala.md#widget.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the nonce is not base64 or base64url.
    pub fn with_nonce(mut self, nonce: &str) -> Result<Self, ConfigError> {
        self.nonce = Some(checked_nonce(nonce)?);
        self.entry("script-src");
        Ok(self)
    }

    /// Returns the directives and their sources, without the nonce.
    pub fn directives(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        self.directives
            .iter()
            .map(|(directive, sources)| (*directive, sources.as_slice()))
    }

    /// Returns the policy `existing` with these sources added.
    ///
    /// Everything that the policy allows stays allowed, and only these sources are added.
    ///
    /// - An absent directive begins as a copy of the directive that is in effect for it. If there
    ///   is none, the policy allows everything already, and the directive stays absent.
    /// - Of several policies that are joined by commas, each is extended, because browsers enforce
    ///   all of them.
    /// - If no other directive applies to workers, `script-src` does. Then its new hosts apply to
    ///   workers, too. That has no effect, because browsers start no worker from another origin.
    /// - The nonce is left out if it would disable an `'unsafe-inline'` of the policy. Inline
    ///   scripts run there without a nonce.
    /// - Under `'strict-dynamic'` browsers ignore hosts, so the widgets need the nonce.
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
            // The sources in effect are those of the policy before any change. Otherwise
            // `worker-src` would begin with the new sources of `script-src`.
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

    /// Returns the sources of a directive with the sources of the widgets added. `None` if the
    /// directive can stay as it is. `origin` is the directive that `sources` are written in.
    fn extend(&self, directive: &str, origin: &str, sources: &[&str]) -> Option<Vec<String>> {
        // Under `'strict-dynamic'` an allowed script may start any worker, as long as `script-src`
        // applies to workers. A `worker-src` of its own would forbid most of them.
        if directive == "worker-src" && origin == "script-src" && has(sources, "'strict-dynamic'") {
            return None;
        }
        let nonce = self
            .nonce
            .as_ref()
            .filter(|_| directive == "script-src" && !runs_inline(sources))
            .map(|nonce| format!("'nonce-{nonce}'"));
        let added = self.directives.iter().find(|(name, _)| *name == directive);
        let added = added.into_iter().flat_map(|(_, sources)| sources.clone());
        let new: Vec<String> = nonce
            .into_iter()
            .chain(added)
            .filter(|source| !sources.contains(&source.as_str()))
            .collect();
        if new.is_empty() {
            return None;
        }
        // Browsers ignore `'none'` beside a source.
        let kept = sources
            .iter()
            .filter(|source| !source.eq_ignore_ascii_case("'none'"));
        Some(kept.map(|source| (*source).to_owned()).chain(new).collect())
    }

    /// Returns the sources of a directive, and appends the directive if it is absent.
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
