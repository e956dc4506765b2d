use std::sync::Mutex;

use human_check_core::ConfigError;
use human_check_guard::{CspSources, Guard, GuardBuilder, Settings};
use rocket::fairing::{self, Fairing, Info, Kind};
use rocket::figment::Figment;
use rocket::{Build, Request, Response, Rocket};

use crate::error::status;
use crate::local::Local;

/// Manages the guard of an application, and stops the launch when its settings are wrong.
///
/// On each response it adds the headers of a refusal that its catcher did not write. Into the
/// content security policy of a page, if there is one, it lets the widgets' sources.
///
/// At most one is attached: a second replaces the first.
#[derive(Debug)]
pub struct HumanFairing {
    guard: Source,
}

#[derive(Debug)]
enum Source {
    Built(Guard),
    /// Taken at ignition.
    Configured(Box<Mutex<Option<GuardBuilder>>>),
}

impl HumanFairing {
    /// A fairing for a guard that was built before.
    pub fn new(guard: Guard) -> Self {
        Self {
            guard: Source::Built(guard),
        }
    }

    /// A fairing that builds its guard from the table `human` of Rocket's configuration
    /// (`[default.human]` in `Rocket.toml`), see [`Settings`].
    pub fn configured(builder: GuardBuilder) -> Self {
        Self {
            guard: Source::Configured(Box::new(Mutex::new(Some(builder)))),
        }
    }
}

/// The guard that the table `human` of Rocket's configuration describes, for routes that are
/// mounted before a fairing could build it.
///
/// # Errors
///
/// [`ConfigError`] when a setting is missing, unknown or wrong.
pub fn guard_from(figment: &Figment, builder: GuardBuilder) -> Result<Guard, ConfigError> {
    let settings: Settings = figment.extract_inner("human").map_err(|error| {
        ConfigError::new(
            "human",
            format!("cannot be read from Rocket's configuration: {error}"),
            "write a table [default.human] with at least on_outage = \"refuse\"",
        )
    })?;
    settings.build(builder)
}

#[rocket::async_trait]
impl Fairing for HumanFairing {
    fn info(&self) -> Info {
        Info {
            name: "human-check",
            kind: Kind::Ignite | Kind::Response | Kind::Singleton,
        }
    }

    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        let guard = match &self.guard {
            Source::Built(guard) => Ok(guard.clone()),
            Source::Configured(builder) => {
                let builder = builder.lock().ok().and_then(|mut builder| builder.take());
                match builder {
                    Some(builder) => guard_from(rocket.figment(), builder),
                    None => return Err(rocket),
                }
            }
        };
        match guard {
            Ok(guard) => Ok(rocket.manage(guard)),
            Err(error) => {
                rocket::error!("human-check: {error}");
                Err(rocket)
            }
        }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        if let Some(refused) = Local::of(request).refused() {
            // A handler may have taken the refusal and answered in its own way.
            if status(&refused) == response.status() {
                for (name, value) in refused.into_answer().headers {
                    if name != "content-type" && response.headers().get_one(name).is_none() {
                        response.set_raw_header(name, value);
                    }
                }
            }
        }
        // Nothing but a page shows a widget.
        if !response.content_type().is_some_and(|kind| kind.is_html()) {
            return;
        }
        let name = "content-security-policy";
        let policies: Vec<_> = response.headers().get(name).map(str::to_owned).collect();
        if policies.is_empty() {
            return;
        }
        if let Some(guard) = request.rocket().state::<Guard>() {
            let sources = CspSources::of(guard.current().widgets());
            response.remove_header(name);
            for policy in policies {
                response.adjoin_raw_header(name, sources.merge_into(&policy));
            }
        }
    }
}
