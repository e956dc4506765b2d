mod spec;

pub use spec::{ChoiceAttribute, TextAttribute, WidgetSources, WidgetSpec};

use crate::{ConfigError, Provider};

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

    /// The whole address of the script.
    pub fn script_src(&self) -> String {
        let spec = self.spec;
        let fixed = spec.parameters.iter().copied();
        let site_key = spec
            .site_key_parameter
            .map(|name| (name, self.site_key.as_str()));
        let language = spec.language_parameter.zip(self.language.as_deref());
        let mut src = self.script_url().to_owned();
        for (place, (name, value)) in fixed.chain(site_key).chain(language).enumerate() {
            src.push(if place == 0 { '?' } else { '&' });
            src.push_str(name);
            src.push('=');
            percent_encode(value, &mut src);
        }
        src
    }

    /// The address of the style sheet, where the widget has one: beside the script.
    pub fn stylesheet_href(&self) -> Option<String> {
        let name = self.spec.stylesheet?;
        let script = self.script_url();
        let folder = script.rfind('/').map_or("", |end| &script[..=end]);
        Some(format!("{folder}{name}"))
    }

    /// The attributes of the element, in order: its class first, then the site key. Not escaped.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let spec = self.spec;
        let options = [
            Some(("class", spec.class)),
            Some((spec.site_key_attribute, self.site_key.as_str())),
            spec.action.map(|a| a.attribute).zip(self.action()),
            spec.binding.map(|b| b.attribute).zip(self.binding()),
            spec.language_attribute.zip(self.language()),
            spec.theme.map(|t| t.attribute).zip(self.theme),
            spec.size.map(|s| s.attribute).zip(self.size),
            spec.field_attribute.zip(self.field.as_deref()),
        ];
        let data = self.data.iter();
        let data = data.map(|(name, value)| (name.as_str(), value.as_str()));
        options.into_iter().flatten().chain(data)
    }

    /// What a Content-Security-Policy has to allow: directives and their sources.
    ///
    /// Where the script comes from elsewhere, that origin takes the place of the provider's.
    pub fn csp_sources(&self) -> Vec<(&'static str, Vec<&str>)> {
        let moved = self.script_url.as_deref().map(origin);
        let usual = origin(self.spec.script);
        let directives = self.spec.sources.directives().into_iter();
        let needed = directives.filter(|(_, sources)| !sources.is_empty());
        needed
            .map(|(directive, sources)| {
                let kept = sources.iter().copied();
                let kept = kept.filter(|source| moved.is_none() || origin(source) != usual);
                (directive, moved.into_iter().chain(kept).collect())
            })
            .collect()
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

/// Scheme and authority of an address, and the rest of it.
fn split_origin(url: &str) -> Option<(&str, &str)> {
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| url.starts_with(scheme))?;
    let end = url[scheme.len()..].find('/');
    Some(url.split_at(end.map_or(url.len(), |end| scheme.len() + end)))
}

/// The origin as a policy writes it. Paths are on the page's own.
fn origin(url: &str) -> &str {
    match split_origin(url) {
        Some((origin, _)) => origin,
        None if url.starts_with('/') => "'self'",
        None => url,
    }
}

fn percent_encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::WidgetSources;

    static ACME: Provider = Provider::new("acme", &["acme-response"]);

    static BARE: WidgetSpec = WidgetSpec::new("https://acme.example/api.js", "acme", "data-key");

    static FULL: WidgetSpec = WidgetSpec {
        parameters: &[("compat", "off")],
        site_key_parameter: Some("render"),
        language_parameter: Some("hl"),
        language_attribute: Some("data-language"),
        action: Some(TextAttribute {
            attribute: "data-action",
            punctuation: "_",
            max_chars: 8,
        }),
        binding: Some(TextAttribute {
            attribute: "data-cdata",
            punctuation: "_-",
            max_chars: 8,
        }),
        theme: Some(ChoiceAttribute {
            attribute: "data-theme",
            values: &["light", "dark"],
        }),
        size: Some(ChoiceAttribute {
            attribute: "data-size",
            values: &["normal"],
        }),
        field_attribute: Some("data-field"),
        sources: WidgetSources {
            script: &["https://acme.example/js/", "https://cdn.example"],
            frame: &["https://*.acme.example"],
            style: &["'unsafe-inline'"],
            ..WidgetSources::NONE
        },
        ..BARE
    };

    fn bare() -> Widget {
        Widget::new(&ACME, "key", &BARE).unwrap()
    }

    fn full() -> Widget {
        Widget::new(&ACME, "key", &FULL).unwrap()
    }

    #[test]
    fn a_site_key_is_one_printable_word() {
        for bad in ["", "  ", "a b", "a\nb", "a\u{0}", "schlüssel"] {
            let error = Widget::new(&ACME, bad, &BARE).unwrap_err();
            assert_eq!(error.field(), "site_key", "{bad:?}");
        }
        let fieldless = Provider::named("acme");
        let error = Widget::new(&fieldless, "key", &BARE).unwrap_err();
        assert_eq!(error.field(), "provider");
    }

    #[test]
    fn an_option_the_provider_does_not_know_is_an_error_that_names_it() {
        let errors = [
            ("action", bare().with_action("login")),
            ("binding", bare().with_binding("session")),
            ("theme", bare().with_theme("dark")),
            ("size", bare().with_size("normal")),
            ("language", bare().with_language("en")),
            ("field", bare().with_field("token")),
        ];
        for (option, result) in errors {
            let error = result.unwrap_err();
            assert_eq!(error.field(), option);
            assert!(error.problem().contains("acme"), "{error}");
        }
    }

    #[test]
    fn a_value_the_provider_does_not_take_is_an_error_that_says_which_it_does() {
        let error = full().with_theme("blue").unwrap_err();
        assert_eq!(error.remedy(), "write one of: light, dark");
        assert!(full().with_size("huge").is_err());
        for bad in ["", "too_long_", "a-b", "ü", "\"><script>"] {
            assert!(full().with_action(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "en_US", "en US", "de\"", "d\u{e9}"] {
            assert!(full().with_language(bad).is_err(), "{bad:?}");
        }
        for bad in ["", " ", "a b"] {
            assert!(full().with_field(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn options_become_attributes_in_a_fixed_order() {
        let widget = full()
            .with_data("tabindex", "3")
            .and_then(|w| w.with_size("normal"))
            .and_then(|w| w.with_theme("dark"))
            .and_then(|w| w.with_binding("s-1"))
            .and_then(|w| w.with_action("login"))
            .and_then(|w| w.with_language("pt-BR"))
            .and_then(|w| w.with_field("token"))
            .and_then(|w| w.with_data("tabindex", "4"))
            .unwrap();
        assert_eq!(
            widget.attributes().collect::<Vec<_>>(),
            [
                ("class", "acme"),
                ("data-key", "key"),
                ("data-action", "login"),
                ("data-cdata", "s-1"),
                ("data-language", "pt-BR"),
                ("data-theme", "dark"),
                ("data-size", "normal"),
                ("data-field", "token"),
                ("data-tabindex", "4"),
            ]
        );
        assert_eq!(widget.field(), "token");
        assert_eq!(bare().field(), "acme-response");
    }

    #[test]
    fn extra_attributes_cannot_break_out_or_stand_for_an_option() {
        for bad in ["", "A", "on load", "x=\"", "theme", "key", "field"] {
            assert!(full().with_data(bad, "x").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_query_of_the_script_says_what_the_provider_wants_to_know() {
        assert_eq!(bare().script_src(), "https://acme.example/api.js");
        let widget = Widget::new(&ACME, "k&hl=x#", &FULL).unwrap();
        let widget = widget.with_language("de").unwrap();
        assert_eq!(
            widget.script_src(),
            "https://acme.example/api.js?compat=off&render=k%26hl%3Dx%23&hl=de"
        );
    }

    #[test]
    fn a_script_from_elsewhere_keeps_its_query_and_moves_the_policy() {
        let widget = full()
            .with_script_url("http://127.0.0.1:8080/a.js")
            .unwrap();
        assert_eq!(
            widget.script_src(),
            "http://127.0.0.1:8080/a.js?compat=off&render=key"
        );
        assert_eq!(
            widget.csp_sources(),
            [
                (
                    "script-src",
                    vec!["http://127.0.0.1:8080", "https://cdn.example"]
                ),
                (
                    "frame-src",
                    vec!["http://127.0.0.1:8080", "https://*.acme.example"]
                ),
                (
                    "style-src",
                    vec!["http://127.0.0.1:8080", "'unsafe-inline'"]
                ),
            ]
        );
        assert_eq!(
            full().csp_sources()[0].1,
            ["https://acme.example/js/", "https://cdn.example"]
        );
    }

    #[test]
    fn a_script_comes_from_an_absolute_address_without_a_query() {
        for bad in [
            "",
            "api.js",
            "./api.js",
            "/api.js?x=1",
            "/a;b.js",
            "/a b.js",
            "/\"><script>",
            "//host/api.js",
            "javascript:alert(1)",
            "https://",
            "https://host",
            "https:///api.js",
            "https://:80/api.js",
            "https://host/api.js?x=1",
            "https://host/api.js#x",
            "https://user@host/api.js",
            "https://host;script-src/api.js",
            "https://host,x/api.js",
            "https://*/api.js",
            "https://host/a b.js",
            "https://host/\"><script>",
        ] {
            assert!(full().with_script_url(bad).is_err(), "{bad:?}");
        }
        assert!(full().with_script_url("https://host:8443/a/api.js").is_ok());
        assert!(full().with_script_url("/captcha/api.js").is_ok());
    }

    #[test]
    fn a_script_of_the_page_s_own_origin_is_allowed_as_such() {
        static OWN: WidgetSpec = WidgetSpec {
            stylesheet: Some("widget.css"),
            sources: WidgetSources {
                script: &["'self'"],
                worker: &["'self'"],
                ..WidgetSources::NONE
            },
            ..WidgetSpec::new("/captcha/widget.js", "own", "data-challenge")
        };
        let own = || Widget::new(&ACME, "/challenge", &OWN).unwrap();
        let widget = own();
        assert_eq!(
            widget.stylesheet_href().unwrap(),
            "/captcha/widget.css",
            "beside the script"
        );
        let moved = own().with_script_url("/static/a.js").unwrap();
        assert_eq!(moved.stylesheet_href().unwrap(), "/static/widget.css");
        let policy = [
            ("script-src", vec!["'self'"]),
            ("worker-src", vec!["'self'"]),
        ];
        assert_eq!(widget.csp_sources(), policy);
        assert_eq!(moved.csp_sources(), policy);
        let moved = own().with_script_url("https://cdn.example/a.js").unwrap();
        assert_eq!(moved.csp_sources()[0].1, ["https://cdn.example"]);
        let brought_home = full().with_script_url("/a.js").unwrap();
        assert_eq!(
            brought_home.csp_sources()[0].1,
            ["'self'", "https://cdn.example"]
        );
    }
}
