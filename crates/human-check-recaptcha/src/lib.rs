#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod annotate;
mod assessment;
mod classic;
mod credential;
mod enterprise;
mod google_error;
mod key_kind;
#[cfg(feature = "service-account")]
mod service_account;
mod widget;

pub use annotate::{Annotation, AnnotationReason};
pub use classic::{RecaptchaV2, RecaptchaV3};
pub use credential::{AccessToken, Credential, MetadataServer, TokenSource, read_access_token};
pub use enterprise::RecaptchaEnterprise;
pub use key_kind::KeyKind;
#[cfg(feature = "service-account")]
pub use service_account::ServiceAccount;
pub use widget::{widget_enterprise_checkbox, widget_enterprise_score, widget_v2, widget_v3};

use human_check_core::{MAX_TOKEN_BYTES, Provider};
use human_check_http::adapter::TokenFormat;

/// Tokens of all products have letters, digits, `-` and `_` (observed). Google documents no length.
///
/// See docs/providers/recaptcha.md#tokens.
const TOKEN_FORMAT: TokenFormat = TokenFormat::new(MAX_TOKEN_BYTES).with_url_safe_characters();

/// The provider of reCAPTCHA v2 keys, checkbox or invisible, with the form field
/// `g-recaptcha-response`. [`RecaptchaV2`] verifies its tokens.
///
/// See docs/providers/recaptcha.md#tokens.
pub static RECAPTCHA_V2: Provider = Provider::new("recaptcha-v2", &["g-recaptcha-response"]);

/// The provider of reCAPTCHA v3 keys. [`RecaptchaV3`] verifies its tokens.
///
/// Google's v3 script adds no field to a form. The field that [`widget_v3`] adds is
/// `g-recaptcha-response`. For a page that uses another name, call
/// [`RecaptchaV3::with_form_fields`].
///
/// See docs/providers/recaptcha.md#tokens.
pub static RECAPTCHA_V3: Provider = Provider::new("recaptcha-v3", &["g-recaptcha-response"]);

/// The provider of reCAPTCHA Enterprise keys, with the form field `g-recaptcha-response`.
/// [`RecaptchaEnterprise`] verifies its tokens.
///
/// See docs/providers/recaptcha.md#enterprise.
pub static RECAPTCHA_ENTERPRISE: Provider =
    Provider::new("recaptcha-enterprise", &["g-recaptcha-response"]);
