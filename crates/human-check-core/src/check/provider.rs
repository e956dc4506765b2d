use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A provider of human verification, and the form fields its answers arrive in.
///
/// Adapters publish theirs as a static, so that nothing else needs a table of field names:
///
/// ```
/// use human_check_core::Provider;
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// assert_eq!(ACME.name(), "acme");
/// assert_eq!(ACME.fields().collect::<Vec<_>>(), ["acme-response"]);
/// ```
///
/// Two providers are the same when their names are.
#[derive(Clone)]
pub struct Provider {
    name: Cow<'static, str>,
    fields: Fields,
}

#[derive(Clone)]
enum Fields {
    Known(&'static [&'static str]),
    Configured(Arc<[String]>),
}

impl Provider {
    /// A provider known when the program is compiled. The first field is the usual one.
    pub const fn new(name: &'static str, fields: &'static [&'static str]) -> Self {
        Self {
            name: Cow::Borrowed(name),
            fields: Fields::Known(fields),
        }
    }

    /// The same provider with other form fields, for pages that rename them.
    #[must_use]
    pub fn with_fields<F: Into<String>>(self, fields: impl IntoIterator<Item = F>) -> Self {
        Self {
            fields: Fields::Configured(fields.into_iter().map(Into::into).collect()),
            ..self
        }
    }

    /// A provider whose name is only known when the program runs.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Cow::Owned(name.into()),
            fields: Fields::Known(&[]),
        }
    }

    /// The providers of both lists, each once. Where both know one, its fields are those of both.
    pub(crate) fn merged(first: &[Self], second: &[Self]) -> Vec<Self> {
        let mut all = first.to_vec();
        for provider in second {
            match all.iter_mut().find(|known| *known == provider) {
                None => all.push(provider.clone()),
                Some(known) => {
                    let mut fields: Vec<_> = known.fields().map(str::to_owned).collect();
                    let more = provider
                        .fields()
                        .filter(|f| known.fields().all(|k| k != *f));
                    fields.extend(more.map(str::to_owned));
                    *known = known.clone().with_fields(fields);
                }
            }
        }
        all
    }

    /// The name used in configuration, logs and metrics, for example `turnstile`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The form fields that may carry its answer, the usual one first.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let (known, configured): (&[&str], &[String]) = match &self.fields {
            Fields::Known(known) => (known, &[]),
            Fields::Configured(configured) => (&[], configured),
        };
        let known = known.iter().copied();
        known.chain(configured.iter().map(String::as_str))
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.name)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Provider {}
