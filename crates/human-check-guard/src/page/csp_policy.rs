//! A Content-Security-Policy, taken apart and put together.

use std::fmt;

/// One policy, its directives in order.
#[derive(Clone)]
pub(super) struct Policy<'a>(Vec<Directive<'a>>);

#[derive(Clone)]
struct Directive<'a> {
    name: &'a str,
    sources: Vec<&'a str>,
    /// What takes the place of `sources`.
    extended: Option<Vec<String>>,
}

impl<'a> Policy<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let directives = text.split(';').filter_map(|directive| {
            let mut words = directive.split_ascii_whitespace();
            Some(Directive {
                name: words.next()?,
                sources: words.collect(),
                extended: None,
            })
        });
        Self(directives.collect())
    }

    /// The first one of that name. Browsers ignore any further one.
    fn position(&self, name: &str) -> Option<usize> {
        self.0
            .iter()
            .position(|directive| directive.name.eq_ignore_ascii_case(name))
    }

    pub(super) fn get(&self, name: &str) -> Option<&[&'a str]> {
        self.position(name)
            .map(|place| self.0[place].sources.as_slice())
    }

    /// What a browser asks for `directive`: its sources, and the directive they stand in.
    pub(super) fn in_effect<'n>(&self, directive: &'n str) -> Option<(&'n str, &[&'a str])> {
        [directive]
            .into_iter()
            .chain(fallbacks(directive).iter().copied())
            .find_map(|name| Some((name, self.get(name)?)))
    }

    pub(super) fn set(&mut self, name: &'a str, sources: Vec<String>) {
        let place = self.position(name).unwrap_or_else(|| {
            self.0.push(Directive {
                name,
                sources: Vec::new(),
                extended: None,
            });
            self.0.len() - 1
        });
        self.0[place].extended = Some(sources);
    }
}

impl fmt::Display for Policy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, directive) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            f.write_str(directive.name)?;
            match &directive.extended {
                Some(sources) => sources.iter().try_for_each(|s| write!(f, " {s}"))?,
                None => directive
                    .sources
                    .iter()
                    .try_for_each(|s| write!(f, " {s}"))?,
            }
        }
        Ok(())
    }
}

/// Which directives apply in the place of one that is absent (Content Security Policy Level 3, "Get fetch
/// directive fallback list").
fn fallbacks(directive: &str) -> &'static [&'static str] {
    match directive {
        "frame-src" => &["child-src", "default-src"],
        "worker-src" => &["child-src", "script-src", "default-src"],
        _ => &["default-src"],
    }
}

/// The directive that, where it is present, is asked instead for elements of the page.
pub(super) fn elements_of(directive: &str) -> Option<&'static str> {
    match directive {
        "script-src" => Some("script-src-elem"),
        "style-src" => Some("style-src-elem"),
        _ => None,
    }
}

pub(super) fn has(sources: &[&str], keyword: &str) -> bool {
    sources.iter().any(|s| s.eq_ignore_ascii_case(keyword))
}

/// Whether inline scripts run without a nonce: `'unsafe-inline'` counts only alone.
pub(super) fn runs_inline(sources: &[&str]) -> bool {
    let nonce_or_hash = |source: &&str| {
        let source = source.to_ascii_lowercase();
        ["'nonce-", "'sha256-", "'sha384-", "'sha512-"]
            .iter()
            .any(|start| source.starts_with(start))
    };
    has(sources, "'unsafe-inline'")
        && !has(sources, "'strict-dynamic'")
        && !sources.iter().any(nonce_or_hash)
}
