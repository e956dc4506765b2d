//! Starts the axum example with a provider that human-check does not have, on the address in
//! `ADDR`.
//!
//! Only the check and the widget differ from the axum example.

use std::error::Error;

use example_custom_provider::{SMARTCAPTCHA, SmartCaptcha, widget};
use example_pages::Guards;
use human_check::{ConfigError, Endpoint, HyperTransport, Policy, ProviderClient, Secret};
use human_check_axum::{Guard, RoutePolicy};

/// Returns the value of a variable, or `None` when it is empty or not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Returns the value of a variable, or an error with this remedy.
fn required(name: &'static str, remedy: &'static str) -> Result<String, ConfigError> {
    variable(name).ok_or_else(|| ConfigError::new(name, "is not set", remedy))
}

/// Creates the guards from the environment.
fn guards() -> Result<Guards, ConfigError> {
    let secret = required(
        "HUMAN_CHECK_SECRET",
        "set it to the server key of the captcha",
    )?;
    let site_key = required(
        "HUMAN_CHECK_SITE_KEY",
        "set it to the client key of the captcha",
    )?;
    let mut client = ProviderClient::new(HyperTransport::new()?);
    if let Some(base) = variable("HUMAN_CHECK_BASE_URL") {
        client = client.with_base_url(&SMARTCAPTCHA, Endpoint::parse(&base)?);
    }
    let check = SmartCaptcha::new(&client, Secret::new(secret)?)?;
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
    #[allow(clippy::print_stdout, reason = "the output of a command-line program")]
    {
        println!("http://{}", listener.local_addr()?);
    }
    let app = example_axum_login::app(guards)?;
    Ok(example_axum_login::serve(app, listener).await?)
}
