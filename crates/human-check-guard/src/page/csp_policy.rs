//! Parses and writes a content security policy.

use std::fmt;

/// One content security policy. Its directives stay in order.
#[derive(Clone)]
pub(super) struct Policy<'a>(Vec<Directive<'a>>);

#[derive(Clone)]
struct Directive<'a> {
    name: &'a str,
    sources: Vec<&'a str>,
    /// The sources to write instead of `sources`.
    extended: Option<Vec<String>>,
}

impl<'a> Policy<'a> {
    /// Parses one policy, without the commas that separate several policies.
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

    /// Returns the position of the first directive with this name. Browsers ignore further ones.
    fn position(&self, name: &str) -> Option<usize> {
        self.0
            .iter()
            .position(|directive| directive.name.eq_ignore_ascii_case(name))
    }

    /// Returns the sources of a directive. `None` if it is absent.
    pub(super) fn get(&self, name: &str) -> Option<&[&'a str]> {
        self.position(name)
            .map(|place| self.0[place].sources.as_slice())
    }

    /// Returns the sources that a browser applies for `directive`, and the directive that they are
    /// written in.
    pub(super) fn in_effect<'n>(&self, directive: &'n str) -> Option<(&'n str, &[&'a str])> {
        [directive]
            .into_iter()
            .chain(fallbacks(directive).iter().copied())
            .find_map(|name| Some((name, self.get(name)?)))
    }

    /// Sets the sources of a directive, and appends the directive if it is absent.
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

/// Returns the directives that apply in place of an absent one (Content Security Policy Level 3,
/// "Get fetch directive fallback list").
fn fallbacks(directive: &str) -> &'static [&'static str] {
    match directive {
        "frame-src" => &["child-src", "default-src"],
        "worker-src" => &["child-src", "script-src", "default-src"],
        _ => &["default-src"],
    }
}

/// Returns the directive that, if present, applies to elements of the page instead of `directive`.
pub(super) fn elements_of(directive: &str) -> Option<&'static str> {
    match directive {
        "script-src" => Some("script-src-elem"),
        "style-src" => Some("style-src-elem"),
        _ => None,
    }
}

/// Returns whether `sources` contains a keyword.
pub(super) fn has(sources: &[&str], keyword: &str) -> bool {
    sources.iter().any(|s| s.eq_ignore_ascii_case(keyword))
}

/// Returns whether inline scripts run without a nonce. Browsers ignore `'unsafe-inline'` beside a
/// nonce, a hash or `'strict-dynamic'`.
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
