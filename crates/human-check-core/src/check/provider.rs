use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A provider of human verification: its name, and the form fields that its token arrives in.
///
/// A submission keeps tokens by provider, and verdicts, errors, logs and metrics name the provider.
/// Each adapter publishes its provider as a static:
///
/// ```
/// use human_check_core::Provider;
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// assert_eq!(ACME.name(), "acme");
/// assert_eq!(ACME.fields().collect::<Vec<_>>(), ["acme-response"]);
/// ```
///
/// Two providers are equal if their names are equal, whatever their fields.
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
    /// Creates a provider whose name and fields are known at compile time.
    ///
    /// The first field is the one that the provider's own widget posts.
    pub const fn new(name: &'static str, fields: &'static [&'static str]) -> Self {
        Self {
            name: Cow::Borrowed(name),
            fields: Fields::Known(fields),
        }
    }

    /// Sets the form fields, for pages that rename the provider's own field.
    ///
    /// They replace the previous fields. The first one is the field that a page's widget posts.
    ///
    /// ```
    /// use human_check_core::Provider;
    ///
    /// static ACME: Provider = Provider::new("acme", &["acme-response"]);
    /// let renamed = ACME.clone().with_fields(["captcha"]);
    /// assert_eq!(renamed.fields().collect::<Vec<_>>(), ["captcha"]);
    /// assert_eq!(renamed, ACME);
    /// ```
    #[must_use]
    pub fn with_fields<F: Into<String>>(self, fields: impl IntoIterator<Item = F>) -> Self {
        Self {
            fields: Fields::Configured(fields.into_iter().map(Into::into).collect()),
            ..self
        }
    }

    /// Creates a provider whose name is known at run time only.
    ///
    /// It has no form fields; set them with [`with_fields`](Self::with_fields).
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Cow::Owned(name.into()),
            fields: Fields::Known(&[]),
        }
    }

    /// Returns the providers of both lists, each once.
    ///
    /// A provider that is in both lists gets the fields of both.
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

    /// Returns the name used in configuration, logs and metrics, for example `turnstile`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the form fields that may carry the provider's token, the usual one first.
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

impl Hash for Provider {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
