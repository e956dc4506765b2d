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

use human_check_core::Provider;

/// reCAPTCHA v2, checkbox or invisible (recaptcha.md section 9.2).
pub static RECAPTCHA_V2: Provider = Provider::new("recaptcha-v2", &["g-recaptcha-response"]);

/// reCAPTCHA v3. It adds no field to a form; pages that name theirs otherwise say so with
/// `with_form_fields` (section 9.4).
pub static RECAPTCHA_V3: Provider = Provider::new("recaptcha-v3", &["g-recaptcha-response"]);

/// reCAPTCHA Enterprise (section 9.5).
pub static RECAPTCHA_ENTERPRISE: Provider =
    Provider::new("recaptcha-enterprise", &["g-recaptcha-response"]);
