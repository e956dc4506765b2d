//! Tests that need several crates, in `suite/` and `guards/`, and the examples of the
//! documentation.

/// Compiles and runs the Rust examples of Markdown pages as doctests.
macro_rules! pages {
    ($($name:ident $path:literal)*) => {$(
        #[cfg(doctest)]
        #[doc = include_str!($path)]
        struct $name;
    )*};
}

pages! {
    Readme "../README.md"
    Altcha "../docs/providers/altcha.md"
    ActixWeb "../docs/tutorial/actix-web.md"
    Axum "../docs/tutorial/axum.md"
    CaptchaLa "../docs/providers/captchala.md"
    Configuration "../docs/reference/configuration.md"
    ComparingProviders "../docs/how-to/comparing-providers.md"
    Hcaptcha "../docs/providers/hcaptcha.md"
    MigrateProviders "../docs/how-to/migrate-providers.md"
    FailureModes "../docs/failure-modes.md"
    Recaptcha "../docs/providers/recaptcha.md"
    Rocket "../docs/tutorial/rocket.md"
    MultiNode "../docs/how-to/multi-node.md"
    RotateASecret "../docs/how-to/rotate-a-secret.md"
    Selection "../docs/reference/selection.md"
    ProtectAForm "../docs/how-to/protect-a-form.md"
    SinglePageApplications "../docs/how-to/single-page-applications.md"
    SurviveAnOutage "../docs/how-to/survive-an-outage.md"
    Clearance "../docs/how-to/clearance.md"
    Siteverify "../docs/providers/siteverify.md"
    Turnstile "../docs/providers/turnstile.md"
    WritingAnAdapter "../docs/how-to/writing-an-adapter.md"
}
