use human_check_core::Provider;

/// CaptchaLa and the field that its own form renderers use (captchala.md section 15.3).
pub static CAPTCHALA: Provider = Provider::new("captchala", &["captchala_token"]);
