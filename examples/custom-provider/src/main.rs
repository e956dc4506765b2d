//! An application in front of a provider that human-check does not know, on `ADDR`.
//!
//! It is the axum example: only the check and the widget differ.

use std::error::Error;

use example_custom_provider::{SmartCaptcha, widget};
use example_pages::Guards;
use human_check_core::{ConfigError, Policy, Secret};
use human_check_guard::{Guard, RoutePolicy};
use human_check_http::{Endpoint, HyperTransport, ProviderClient};

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn required(name: &'static str, remedy: &'static str) -> Result<String, ConfigError> {
    variable(name).ok_or_else(|| ConfigError::new(name, "is not set", remedy))
}

fn guards() -> Result<Guards, ConfigError> {
    let secret = required("HUMAN_CHECK_SECRET", "copy the server key")?;
    let site_key = required("HUMAN_CHECK_SITE_KEY", "copy the client key")?;
    let client = ProviderClient::new(HyperTransport::new()?);
    let mut check = SmartCaptcha::new(&client, Secret::new(secret)?)?;
    if let Some(base) = variable("HUMAN_CHECK_BASE_URL") {
        check = check.at(&Endpoint::parse(&base)?);
    }
    let mut signup = RoutePolicy::fail_closed("signup");
    if let Some(hosts) = variable("HUMAN_CHECK_HOSTNAMES") {
        signup = signup.with_policy(Policy::new().with_hostnames(hosts.split(',').map(str::trim))?);
    }
    let mut builder = Guard::builder(check).with_widget(widget(site_key)?);
    if let Some(header) = variable("HUMAN_CHECK_HEADER") {
        builder = builder.with_header(header);
    }
    let signup = builder.build(signup)?;
    let comments = signup.clone();
    Ok(Guards::new(signup, comments))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let guards = guards()?;
    let listener = example_pages::listen()?;
    #[allow(
        clippy::print_stdout,
        reason = "whoever started it wants to know where"
    )]
    {
        println!("http://{}", listener.local_addr()?);
    }
    let app = example_axum_login::app(guards)?;
    Ok(example_axum_login::serve(app, listener).await?)
}
