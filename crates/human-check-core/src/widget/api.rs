/// How a page shows a widget by JavaScript, without the provider's scan of the page.
///
/// The page script of the guard crate reads it as the members `api`, `global` and `attach` of an
/// option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WidgetApi {
    /// CaptchaLa's loader, which is a function `loadCaptchala`.
    CaptchaLa,
    /// The element itself: a custom element, or one that the script finds by its class.
    ///
    /// `attach` names the function of the script that starts an element which was added later, such as
    /// `frcaptcha.attach`. Without one the page loads the script again.
    Element {
        /// The path of the function from `window`, or `None`.
        attach: Option<&'static str>,
    },
    /// An object with a function `execute(site_key, { action })`, which returns a promise of a token.
    /// The text is its path from `window`, such as `grecaptcha`.
    Execute(&'static str),
    /// A frame, whose address is the site key. It sends the token as the member `token` of a message.
    Frame,
    /// An object with the functions `render(element, options)` and `reset(id)`, as reCAPTCHA has them.
    /// The text is its path from `window`, such as `turnstile`.
    Render(&'static str),
}

impl WidgetApi {
    /// Returns the name, as the page script knows it: `captchala`, `element`, `execute`, `frame` or
    /// `render`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CaptchaLa => "captchala",
            Self::Element { .. } => "element",
            Self::Execute(_) => "execute",
            Self::Frame => "frame",
            Self::Render(_) => "render",
        }
    }
}
