//! Suites that span the crates; they are in `suite/`.

/// The examples of the README and of the pages must run.
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
    Evaluating "../docs/how-to/comparing-providers.md"
    Hcaptcha "../docs/providers/hcaptcha.md"
    Migrating "../docs/how-to/migrate-providers.md"
    Outages "../docs/failure-modes.md"
    Recaptcha "../docs/providers/recaptcha.md"
    Rocket "../docs/tutorial/rocket.md"
    SeveralMachines "../docs/how-to/multi-node.md"
    Siteverify "../docs/providers/siteverify.md"
    Turnstile "../docs/providers/turnstile.md"
    WritingAnAdapter "../docs/how-to/writing-an-adapter.md"
}
