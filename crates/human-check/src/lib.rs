#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(inline)]
pub use human_check_core::*;

#[cfg(feature = "http")]
#[doc(inline)]
pub use human_check_http::{Endpoint, Limits, ProviderClient};

#[cfg(all(feature = "http", feature = "rustls"))]
#[doc(inline)]
pub use human_check_http::{HyperTransport, Proxy, TransportOptions};

#[cfg(feature = "reqwest")]
#[doc(inline)]
pub use human_check_http::ReqwestTransport;

#[cfg(all(feature = "reqwest", not(feature = "rustls")))]
#[doc(inline)]
pub use human_check_http::{Proxy, TransportOptions};

macro_rules! modules {
    ($($feature:literal $krate:ident as $name:ident)*) => {$(
        #[cfg(feature = $feature)]
        #[doc(inline)]
        pub use $krate as $name;
    )*};
}

modules! {
    "altcha" human_check_altcha as altcha
    "captchala" human_check_captchala as captchala
    "config" human_check_config as config
    "hcaptcha" human_check_hcaptcha as hcaptcha
    "postgres" human_check_postgres as postgres
    "recaptcha" human_check_recaptcha as recaptcha
    "redis" human_check_redis as redis
    "siteverify" human_check_siteverify as siteverify
    "turnstile" human_check_turnstile as turnstile
}

/// What only the author of an adapter needs.
///
/// With the feature `http` this holds the request and the reply of one call, the call itself, and
/// the readers for JSON and for replies in the shape of siteverify.
pub mod adapter {
    #[doc(inline)]
    pub use human_check_core::adapter::*;
    #[cfg(feature = "http")]
    #[doc(inline)]
    pub use human_check_http::adapter::*;
    #[cfg(feature = "http")]
    #[doc(inline)]
    pub use human_check_http::{
        MockTransport, Reply, Request, SendError, SendErrorKind, Transport,
    };
}
