use human_check_core::Provider;

/// The provider CaptchaLa, with the form field that its own form renderers use, `captchala_token`
/// (observed).
///
/// See docs/providers/captchala.md#tokens.
pub static CAPTCHALA: Provider = Provider::new("captchala", &["captchala_token"]);
