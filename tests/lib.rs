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
    ActixWeb "../docs/actix-web.md"
    Axum "../docs/axum.md"
    CaptchaLa "../docs/providers/captchala.md"
    Configuration "../docs/configuration.md"
    Evaluating "../docs/evaluating.md"
    Hcaptcha "../docs/providers/hcaptcha.md"
    Migrating "../docs/migrating.md"
    Outages "../docs/outages.md"
    Recaptcha "../docs/providers/recaptcha.md"
    Rocket "../docs/rocket.md"
    SeveralMachines "../docs/several-machines.md"
    Siteverify "../docs/providers/siteverify.md"
    Turnstile "../docs/providers/turnstile.md"
    WritingAnAdapter "../docs/writing-an-adapter.md"
}
