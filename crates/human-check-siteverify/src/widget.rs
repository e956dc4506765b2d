//! The widgets of the presets. See docs/providers/siteverify.md#widget.

use human_check_core::adapter::{WidgetSources, WidgetSpec};
use human_check_core::{ConfigError, Widget};
use human_check_http::Endpoint;

use crate::{CAP, CAPTCHAFOX, FRIENDLY_CAPTCHA};

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
        sources: WidgetSources {
            script: &["https://cdn.captchafox.com"],
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
