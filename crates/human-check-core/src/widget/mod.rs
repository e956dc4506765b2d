//! The widget of a provider, as data for a page.

mod address;
mod api;
mod markup;
mod spec;

pub use api::WidgetApi;
pub use spec::{ChoiceAttribute, TextAttribute, WidgetSources, WidgetSpec};

use crate::{ConfigError, Hostname, Provider};
use address::split_origin;

/// One provider's widget for a page: its site key and its options.
///
/// It is data. A renderer, such as a guard's, reads it together with its [`WidgetSpec`] and writes
/// the HTML. An option that the provider does not support is an error. A site key is public: every
/// visitor sees it.
///
/// Adapters have a function `widget` that returns one, such as `human_check::turnstile::widget`.
///
/// ```
/// use human_check_core::{Provider, Widget, adapter::WidgetSpec};
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// static ACME_WIDGET: WidgetSpec =
///     WidgetSpec::new("https://acme.example/api.js", "acme", "data-sitekey");
///
/// let widget = Widget::new(&ACME, "0xSITEKEY", &ACME_WIDGET)?;
/// assert_eq!(widget.field(), "acme-response");
/// assert!(widget.with_theme("dark").is_err(), "the widget has no themes");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Widget {
    provider: Provider,
    site_key: String,
    spec: &'static WidgetSpec,
    action: Option<String>,
    binding: Option<String>,
    language: Option<String>,
    theme: Option<&'static str>,
    size: Option<&'static str>,
    field: Option<String>,
    script_url: Option<String>,
    data: Vec<(String, String)>,
}

impl Widget {
    /// Creates a widget without options.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the site key is empty or is not printable ASCII without spaces, or if the
    /// provider has no form field.
    pub fn new(
        provider: &Provider,
        site_key: impl Into<String>,
        spec: &'static WidgetSpec,
    ) -> Result<Self, ConfigError> {
        let site_key = site_key.into();
        check_word(
            "site_key",
            &site_key,
            "copy the site key, which is the public key, from the provider's dashboard",
        )?;
        if provider.fields().next().is_none() {
            return Err(ConfigError::new(
                "provider",
                format!("is {provider}, which has no form field"),
                "set one with `Provider::with_fields`",
            ));
        }
        Ok(Self {
            provider: provider.clone(),
            site_key,
            spec,
            action: None,
            binding: None,
            language: None,
            theme: None,
            size: None,
            field: None,
            script_url: None,
            data: Vec::new(),
        })
    }

    /// Sets the action, such as `signup`. The verdict reports it, and a policy can require it.
    /// Default none.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the widget accepts no action, or not this text; see [`TextAttribute`].
    pub fn with_action(mut self, action: impl Into<String>) -> Result<Self, ConfigError> {
        self.action = Some(self.text("action", self.spec.action, action.into())?);
        Ok(self)
    }

    /// Sets the binding, such as a session id. The verdict reports it, and a submission can expect
    /// it. Default none.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the widget accepts no binding, or not this text; see [`TextAttribute`].
    pub fn with_binding(mut self, binding: impl Into<String>) -> Result<Self, ConfigError> {
        self.binding = Some(self.text("binding", self.spec.binding, binding.into())?);
        Ok(self)
    }

    /// Sets the theme. Default that of the provider.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the provider has no such theme.
    pub fn with_theme(mut self, theme: &str) -> Result<Self, ConfigError> {
        self.theme = Some(self.choice("theme", self.spec.theme, theme)?);
        Ok(self)
    }

    /// Sets the size. Default that of the provider.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the provider has no such size.
    pub fn with_size(mut self, size: &str) -> Result<Self, ConfigError> {
        self.size = Some(self.choice("size", self.spec.size, size)?);
        Ok(self)
    }

    /// Sets the language, as a tag such as `en` or `pt-BR`. Default the language of the browser.
    ///
    /// A provider that does not have the language shows another one.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the widget has no option for the language, or `language` is not a
    /// language tag.
    pub fn with_language(mut self, language: impl Into<String>) -> Result<Self, ConfigError> {
        let language = language.into();
        if self.spec.language_parameter.is_none() && self.spec.language_attribute.is_none() {
            return Err(self.unknown("language"));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if language.is_empty() || !language.chars().all(fits) {
            return Err(ConfigError::new(
                "language",
                format!("is {language:?}, which is not a language tag"),
                "write a language tag of letters, digits and hyphens, such as `en` or `pt-BR`",
            ));
        }
        self.language = Some(language);
        Ok(self)
    }

    /// Sets the form field that the token is posted in. Default the provider's first field.
    ///
    /// Set the same field at the check, with the adapter's `with_form_fields`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the provider's script has a fixed field, or `name` is empty or is not
    /// printable ASCII without spaces.
    pub fn with_field(mut self, name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        if !self.spec.hidden_input && self.spec.field_attribute.is_none() {
            return Err(ConfigError::new(
                "field",
                format!("cannot be renamed: the script of {} adds it", self.provider),
                format!("leave it out; the form posts `{}`", self.field()),
            ));
        }
        check_word("field", &name, "write a name such as `captcha-token`")?;
        self.field = Some(name);
        Ok(self)
    }

    /// Sets the URL that the script is loaded from, such as that of an emulator, of
    /// `www.recaptcha.net`, or a path on the page's own origin. Default that of the provider.
    ///
    /// It replaces the origin and the path. The query stays.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if `url` is neither an absolute URL of scheme, host, port and path alone nor
    /// a path that begins with a single slash. The scheme must be `https`, or `http` on a loopback
    /// host such as `localhost`.
    pub fn with_script_url(mut self, url: impl Into<String>) -> Result<Self, ConfigError> {
        let url = url.into();
        // The origin is written into a content security policy, where `;` and `,` separate entries.
        let path = |c: char| c.is_ascii_alphanumeric() || "/.-_~%+@:".contains(c);
        let (origin, rest) = split_origin(&url).unwrap_or(("", &url));
        let (scheme, authority) = origin.split_once("://").unwrap_or(("", ""));
        let is_written_plainly =
            |host: &Hostname| authority.to_ascii_lowercase().starts_with(host.as_str());
        let host = Hostname::parse(authority).filter(is_written_plainly);
        // The network between the visitor and the host of an `http` script can replace the script.
        let from = host.is_some_and(|host| scheme == "https" || host.is_loopback());
        // `//host/path` is a URL of another host.
        let own = origin.is_empty() && !rest.starts_with("//");
        let fits = (from || own) && rest.starts_with('/') && rest.chars().all(path);
        if !fits {
            return Err(ConfigError::new(
                "script_url",
                format!("is {url:?}, which is not the URL of a script"),
                "write `https`, host and path alone, such as `https://www.recaptcha.net/recaptcha/api.js`, \
                 or a path on the site itself, such as `/captcha/api.js`",
            ));
        }
        self.script_url = Some(url);
        Ok(self)
    }

    /// Sets an attribute `data-{name}` of the element, for an option that only this provider has.
    ///
    /// A second call with the same name replaces the value. Do not take the value from a request:
    /// some attributes name functions that the script calls, or URLs that it loads.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if `name` has other characters than a to z, digits and hyphens, or is the
    /// attribute of an option that has a method of its own.
    pub fn with_data(mut self, name: &str, value: impl Into<String>) -> Result<Self, ConfigError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(fits) {
            return Err(ConfigError::new(
                "data",
                format!("has an attribute named {name:?}"),
                "write the name with a to z, digits and hyphens",
            ));
        }
        let attribute = format!("data-{name}");
        if self.spec.attributes().any(|known| known == attribute) {
            return Err(ConfigError::new(
                "data",
                format!("sets `{attribute}`, which another option sets"),
                "use the `with_` method of that option",
            ));
        }
        self.data.retain(|(known, _)| *known != attribute);
        self.data.push((attribute, value.into()));
        Ok(self)
    }

    /// Returns the provider of the widget.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Returns the site key, which is public.
    pub fn site_key(&self) -> &str {
        &self.site_key
    }

    /// Returns the description of the provider's widget.
    pub fn spec(&self) -> &'static WidgetSpec {
        self.spec
    }

    /// Returns the action, if one is set.
    pub fn action(&self) -> Option<&str> {
        self.action.as_deref()
    }

    /// Returns the binding, if one is set.
    pub fn binding(&self) -> Option<&str> {
        self.binding.as_deref()
    }

    /// Returns the language, if one is set.
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// Returns the theme, if one is set.
    pub fn theme(&self) -> Option<&str> {
        self.theme
    }

    /// Returns the size, if one is set.
    pub fn size(&self) -> Option<&str> {
        self.size
    }

    /// Returns the form field that the token is posted in.
    pub fn field(&self) -> &str {
        // `new` has checked that the provider has a field.
        let usual = || self.provider.fields().next().unwrap_or_default();
        self.field.as_deref().unwrap_or_else(usual)
    }

    /// Returns the URL that the script is loaded from, without its query.
    pub fn script_url(&self) -> &str {
        self.script_url.as_deref().unwrap_or(self.spec.script)
    }

    /// Checks the text of an option against the rule of the provider.
    fn text(
        &self,
        option: &'static str,
        rule: Option<TextAttribute>,
        text: String,
    ) -> Result<String, ConfigError> {
        let rule = rule.ok_or_else(|| self.unknown(option))?;
        let fits = |c: char| c.is_ascii_alphanumeric() || rule.punctuation.contains(c);
        if text.is_empty() || text.chars().count() > rule.max_chars || !text.chars().all(fits) {
            return Err(ConfigError::new(
                option,
                format!("is {text:?}, which {} does not accept", self.provider),
                format!(
                    "write 1 to {} ASCII letters, digits or any of `{}`",
                    rule.max_chars, rule.punctuation
                ),
            ));
        }
        Ok(text)
    }

    /// Checks the value of an option against the values of the provider.
    fn choice(
        &self,
        option: &'static str,
        rule: Option<ChoiceAttribute>,
        value: &str,
    ) -> Result<&'static str, ConfigError> {
        let rule = rule.ok_or_else(|| self.unknown(option))?;
        let known = rule.values.iter().copied().find(|known| *known == value);
        known.ok_or_else(|| {
            ConfigError::new(
                option,
                format!("is {value:?}, which {} does not have", self.provider),
                format!("write one of: {}", rule.values.join(", ")),
            )
        })
    }

    /// Returns the error for an option that the provider does not have.
    fn unknown(&self, option: &'static str) -> ConfigError {
        ConfigError::new(
            option,
            format!("is not an option of the widget of {}", self.provider),
            "leave it out",
        )
    }
}

/// Checks that `text` is not empty, and is printable ASCII without spaces.
fn check_word(field: &'static str, text: &str, remedy: &'static str) -> Result<(), ConfigError> {
    let problem = if text.trim().is_empty() {
        "is empty"
    } else if !text.chars().all(|c| c.is_ascii_graphic()) {
        "contains a space or a character that is not printable ASCII"
    } else {
        return Ok(());
    };
    Err(ConfigError::new(field, problem, remedy))
}

#[cfg(test)]
mod tests;
