mod address;
mod markup;
mod spec;

pub use spec::{ChoiceAttribute, TextAttribute, WidgetSources, WidgetSpec};

use crate::{ConfigError, Provider};
use address::split_origin;

/// One provider's widget as a page wants it: whose, for which site key, and how it looks.
///
/// It renders nothing; whoever does reads everything from here and from its [spec](WidgetSpec).
/// An option that the provider does not know is an error rather than a wish that nobody hears.
/// Site keys are public, unlike secrets: every visitor sees them.
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
/// assert!(widget.with_theme("dark").is_err(), "it has no themes");
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
    /// A widget as the provider shows it when nothing is asked for.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key cannot be one, or the provider names no form field.
    pub fn new(
        provider: &Provider,
        site_key: impl Into<String>,
        spec: &'static WidgetSpec,
    ) -> Result<Self, ConfigError> {
        let site_key = site_key.into();
        word(
            "site_key",
            &site_key,
            "copy the site key from the provider's dashboard; it is the public one of the two",
        )?;
        if provider.fields().next().is_none() {
            return Err(ConfigError::new(
                "provider",
                format!("is {provider}, which names no form field"),
                "name one with `Provider::with_fields`",
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

    /// Names what the form is for. The verdict reports it, and a policy can ask for it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the provider's widget carries no action, or not this one.
    pub fn with_action(mut self, action: impl Into<String>) -> Result<Self, ConfigError> {
        self.action = Some(self.text("action", self.spec.action, action.into())?);
        Ok(self)
    }

    /// Ties the answer to a session or a request. The verdict reports it as its binding.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the provider's widget carries no binding, or not this one.
    pub fn with_binding(mut self, binding: impl Into<String>) -> Result<Self, ConfigError> {
        self.binding = Some(self.text("binding", self.spec.binding, binding.into())?);
        Ok(self)
    }

    /// Chooses one of the provider's themes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the provider has no such theme.
    pub fn with_theme(mut self, theme: &str) -> Result<Self, ConfigError> {
        self.theme = Some(self.choice("theme", self.spec.theme, theme)?);
        Ok(self)
    }

    /// Chooses one of the provider's sizes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the provider has no such size.
    pub fn with_size(mut self, size: &str) -> Result<Self, ConfigError> {
        self.size = Some(self.choice("size", self.spec.size, size)?);
        Ok(self)
    }

    /// Speaks this language, instead of the browser's. Providers fall back to one of theirs.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the widget cannot be told a language, or this is no language tag.
    pub fn with_language(mut self, language: impl Into<String>) -> Result<Self, ConfigError> {
        let language = language.into();
        if self.spec.language_parameter.is_none() && self.spec.language_attribute.is_none() {
            return Err(self.unknown("language"));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if language.is_empty() || !language.chars().all(fits) {
            return Err(ConfigError::new(
                "language",
                format!("is {language:?}"),
                "write a language tag of letters, digits and hyphens, such as `en` or `pt-BR`",
            ));
        }
        self.language = Some(language);
        Ok(self)
    }

    /// Posts the answer as another field. The check has to be told too, with its
    /// `with_form_fields`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the provider's script names the field itself, or this is no name.
    pub fn with_field(mut self, name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        if !self.spec.hidden_input && self.spec.field_attribute.is_none() {
            return Err(ConfigError::new(
                "field",
                format!("cannot be renamed: the script of {} adds it", self.provider),
                format!("leave it out; the form posts `{}`", self.field()),
            ));
        }
        word("field", &name, "write a name such as `captcha-token`")?;
        self.field = Some(name);
        Ok(self)
    }

    /// Loads the script from elsewhere, such as an emulator, `www.recaptcha.net`, or a path on the page's
    /// own origin.
    ///
    /// Replaces origin and path; what the query says stays.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is neither an absolute address of host and path alone nor a path that
    /// begins with a single slash.
    pub fn with_script_url(mut self, url: impl Into<String>) -> Result<Self, ConfigError> {
        let url = url.into();
        // The origin goes into a policy, where `;` and `,` would start something new.
        let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        let path = |c: char| c.is_ascii_alphanumeric() || "/.-_~%+@:".contains(c);
        let (origin, rest) = split_origin(&url).unwrap_or(("", &url));
        let authority = origin.split_once("://").map_or("", |(_, after)| after);
        let from = authority.starts_with(|c: char| c.is_ascii_alphanumeric())
            && authority.chars().all(host);
        // `//host/path` would be another host's.
        let own = origin.is_empty() && !rest.starts_with("//");
        let fits = (from || own) && rest.starts_with('/') && rest.chars().all(path);
        if !fits {
            return Err(ConfigError::new(
                "script_url",
                format!("is {url:?}"),
                "write scheme, host and path alone, such as `https://www.recaptcha.net/recaptcha/api.js`, \
                 or the path on your own site",
            ));
        }
        self.script_url = Some(url);
        Ok(self)
    }

    /// Adds `data-{name}` to the element, for what only this provider knows.
    ///
    /// Providers take some of these for names of functions to call or of places to load from: let no
    /// visitor choose them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the name cannot be one, or belongs to an option of its own.
    pub fn with_data(mut self, name: &str, value: impl Into<String>) -> Result<Self, ConfigError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(fits) {
            return Err(ConfigError::new(
                "data",
                format!("has an attribute named {name:?}"),
                "name it with a to z, digits and hyphens",
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

    /// Whose widget it is.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The public key.
    pub fn site_key(&self) -> &str {
        &self.site_key
    }

    /// What is true of every widget of this provider.
    pub fn spec(&self) -> &'static WidgetSpec {
        self.spec
    }

    /// What the form is for, if told.
    pub fn action(&self) -> Option<&str> {
        self.action.as_deref()
    }

    /// What the answer is tied to, if told.
    pub fn binding(&self) -> Option<&str> {
        self.binding.as_deref()
    }

    /// The language, if told.
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// The theme, if chosen.
    pub fn theme(&self) -> Option<&str> {
        self.theme
    }

    /// The size, if chosen.
    pub fn size(&self) -> Option<&str> {
        self.size
    }

    /// The form field that the answer arrives in.
    pub fn field(&self) -> &str {
        // `new` made sure that the provider has one.
        let usual = || self.provider.fields().next().unwrap_or_default();
        self.field.as_deref().unwrap_or_else(usual)
    }

    /// Where the script is loaded from, without its query.
    pub fn script_url(&self) -> &str {
        self.script_url.as_deref().unwrap_or(self.spec.script)
    }

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
                format!("is {text:?}, which {} does not take", self.provider),
                format!(
                    "write 1 to {} ASCII letters, digits or any of `{}`",
                    rule.max_chars, rule.punctuation
                ),
            ));
        }
        Ok(text)
    }

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
                format!("is {value:?}, which {} does not know", self.provider),
                format!("write one of: {}", rule.values.join(", ")),
            )
        })
    }

    fn unknown(&self, option: &'static str) -> ConfigError {
        ConfigError::new(
            option,
            format!("is no option of the widget of {}", self.provider),
            "leave it out",
        )
    }
}

fn word(field: &'static str, text: &str, remedy: &'static str) -> Result<(), ConfigError> {
    let problem = if text.trim().is_empty() {
        "is empty"
    } else if !text.chars().all(|c| c.is_ascii_graphic()) {
        "holds a space or something else that is not printable ASCII"
    } else {
        return Ok(());
    };
    Err(ConfigError::new(field, problem, remedy))
}

#[cfg(test)]
mod tests;
