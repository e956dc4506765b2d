//! The widgets of the presets. See docs/providers/siteverify.md#widget.

use human_check_core::adapter::{ChoiceAttribute, WidgetApi, WidgetSources, WidgetSpec};
use human_check_core::{ConfigError, Widget};
use human_check_http::Endpoint;

use crate::{CAP, CAPTCHAFOX, FRIENDLY_CAPTCHA, MCAPTCHA};

/// Creates the description of Cap's widget for a page.
///
/// `instance` is the base URL of the server, and `script` the URL or the path of the widget's script,
/// which the page's own site serves from the npm package `@cap.js/widget`.
///
/// ```
/// use human_check_http::Endpoint;
/// use human_check_siteverify::widget_cap;
///
/// let instance = Endpoint::parse("https://cap.example.com")?;
/// let widget = widget_cap(&instance, "site-key", "/cap/cap.min.js")?;
/// assert_eq!(widget.site_key(), "https://cap.example.com/site-key/");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// # Errors
///
/// [`ConfigError`] when the site key is blank, or `script` is not the URL of a script.
pub fn widget_cap(
    instance: &Endpoint,
    site_key: &str,
    script: impl Into<String>,
) -> Result<Widget, ConfigError> {
    static SPEC: WidgetSpec = WidgetSpec {
        element: "cap-widget",
        sources: WidgetSources {
            script: &["'wasm-unsafe-eval'"],
            style: &["'unsafe-inline'"],
            img: &["data:"],
            worker: &["blob:"],
            ..WidgetSources::NONE
        },
        secure_context: true,
        ..WidgetSpec::new("/cap/cap.min.js", "cap", "data-cap-api-endpoint")
    };
    if site_key.trim().is_empty() {
        return Err(ConfigError::new(
            "site_key",
            "is empty",
            "copy it from the dashboard of the Cap server",
        ));
    }
    let base = instance.url().as_str().trim_end_matches('/');
    let endpoint = format!("{base}/{site_key}/");
    Widget::new(&CAP, endpoint, &SPEC)?.with_script_url(script)
}

/// Creates the description of CaptchaFox's widget for a page.
///
/// # Errors
///
/// [`ConfigError`] when the site key is blank.
pub fn widget_captchafox(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    static SPEC: WidgetSpec = WidgetSpec {
        language_attribute: Some("data-lang"),
        theme: Some(ChoiceAttribute {
            attribute: "data-theme",
            values: &["light", "dark"],
        }),
        api: WidgetApi::Render("captchafox"),
        sources: WidgetSources {
            script: &["https://cdn.captchafox.com"],
            // Seen in public code (inferred): the script calls this host from the page.
            connect: &["https://api.captchafox.com"],
            ..WidgetSources::NONE
        },
        ..WidgetSpec::new(
            "https://cdn.captchafox.com/api.js",
            "captchafox",
            "data-sitekey",
        )
    };
    Widget::new(&CAPTCHAFOX, site_key, &SPEC)
}

/// Creates the description of Friendly Captcha's widget for a page.
///
/// `script` is the URL or the path of the widget's script, which the page's own site serves from the
/// npm package `@friendlycaptcha/sdk`, version 1.
///
/// # Errors
///
/// [`ConfigError`] when the site key is blank, or `script` is not the URL of a script.
pub fn widget_friendly_captcha(
    site_key: impl Into<String>,
    script: impl Into<String>,
) -> Result<Widget, ConfigError> {
    static SPEC: WidgetSpec = WidgetSpec {
        module: true,
        api: WidgetApi::Element {
            attach: Some("frcaptcha.attach"),
        },
        sources: WidgetSources {
            frame: &["https://global.frcapi.com", "https://eu.frcapi.com"],
            ..WidgetSources::NONE
        },
        ..WidgetSpec::new(
            "/friendly-captcha/site.min.js",
            "frc-captcha",
            "data-sitekey",
        )
    };
    Widget::new(&FRIENDLY_CAPTCHA, site_key, &SPEC)?.with_script_url(script)
}

/// Creates the description of mCaptcha's widget for a page: a frame of the server, and a hidden input
/// for its token.
///
/// `instance` is the base URL of the server. The page needs no script of the provider: an inline script
/// of human-check receives the token from the frame.
///
/// ```
/// use human_check_http::Endpoint;
/// use human_check_siteverify::widget_mcaptcha;
///
/// let instance = Endpoint::parse("https://mcaptcha.example.com")?;
/// let widget = widget_mcaptcha(&instance, "site-key")?;
/// assert_eq!(widget.site_key(), "https://mcaptcha.example.com/widget/?sitekey=site-key");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// # Errors
///
/// [`ConfigError`] when the site key is blank.
pub fn widget_mcaptcha(instance: &Endpoint, site_key: &str) -> Result<Widget, ConfigError> {
    static SPEC: WidgetSpec = WidgetSpec {
        hidden_input: true,
        glue: Some(include_str!("widget_mcaptcha.js")),
        api: WidgetApi::Frame,
        sources: WidgetSources {
            frame: &["'self'"],
            ..WidgetSources::NONE
        },
        ..WidgetSpec::new("/widget/", "human-check-mcaptcha", "data-frame")
    };
    if site_key.trim().is_empty() {
        return Err(ConfigError::new(
            "site_key",
            "is empty",
            "copy it from the dashboard of the mCaptcha server",
        ));
    }
    let base = instance.url().as_str().trim_end_matches('/');
    let frame = format!("{base}/widget/");
    Widget::new(&MCAPTCHA, format!("{frame}?sitekey={site_key}"), &SPEC)?.with_script_url(frame)
}
