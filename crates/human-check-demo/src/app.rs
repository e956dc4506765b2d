//! The state that all pages share: the emulator, the log, and a guarded form for each provider.

use std::io;
use std::sync::Arc;

use axum::extract::FromRef;
use human_check_altcha::WidgetFiles;
use human_check_core::{ConfigError, FactKind, HumanCheck, Support, Widget};
use human_check_emulator::Emulator;
use human_check_guard::{Guard, RoutePolicy};
use human_check_http::{HyperTransport, ProviderClient};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::log::Log;
use crate::outage::OutageForm;
use crate::providers::{ACTION, DemoProvider, ProviderCheck, Work, limits};
use crate::recorder;
use crate::records::Records;
use crate::stages::Stages;
use crate::trial::Shared;

/// The state of the demo. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct App(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Kept because dropping it stops the emulator.
    _emulator: Emulator,
    forms: Vec<GuardedForm>,
    outage: OutageForm,
    /// The files of ALTCHA's widget, or why there are none.
    widget: Result<WidgetFiles, String>,
    log: Log,
    records: Records,
    recorder: PrometheusHandle,
    stages: Stages,
    trial: Shared,
}

/// A form and the guard in front of it.
#[derive(Clone, Debug)]
pub(crate) struct GuardedForm {
    pub(crate) provider_check: ProviderCheck,
    pub(crate) guard: Guard,
}

impl GuardedForm {
    /// Creates the guard of a form. `route` names the form in the log and in metrics.
    ///
    /// The policy fails closed, and requires the action `signup` from a provider that reports
    /// actions. Without a widget, the page of the form shows none; a token from elsewhere still
    /// passes.
    pub(crate) fn new(
        provider_check: ProviderCheck,
        widget: Option<Widget>,
        route: &'static str,
        log: &Log,
    ) -> Result<Self, ConfigError> {
        let mut policy = RoutePolicy::fail_closed(route);
        if provider_check.check.capabilities().of(FactKind::Action) != Support::Never {
            policy = policy.with_action(ACTION);
        }
        let mut guard =
            Guard::builder(Arc::clone(&provider_check.check)).with_observer(log.clone());
        if let Some(widget) = widget {
            guard = guard.with_widget(widget);
        }
        Ok(Self {
            provider_check,
            guard: guard.build(policy)?,
        })
    }

    pub(crate) fn provider(&self) -> DemoProvider {
        self.provider_check.provider
    }

    pub(crate) fn has_widget(&self) -> bool {
        !self.guard.widgets().is_empty()
    }
}

impl App {
    pub(crate) async fn new(widget: Result<WidgetFiles, String>, work: Work) -> io::Result<Self> {
        let emulator = Emulator::start().await?;
        // The demo's policy needs a score, which hCaptcha reports for Enterprise accounts only.
        emulator.configure(|knobs| knobs.hcaptcha_enterprise = true);
        let log = Log::new();
        let forms = || -> Result<Vec<GuardedForm>, ConfigError> {
            let client = ProviderClient::new(HyperTransport::new()?).with_limits(limits());
            let form = |provider: DemoProvider| {
                let provider_check = ProviderCheck::new(provider, &emulator, &client, work)?;
                // The emulator serves the widget of every provider but ALTCHA.
                let shown = provider.is_remote() || widget.is_ok();
                let shown = shown.then(|| provider.widget(&emulator)).transpose()?;
                GuardedForm::new(provider_check, shown, "signup", &log)
            };
            DemoProvider::ALL.into_iter().map(form).collect()
        };
        let forms = forms().map_err(io::Error::other)?;
        Ok(Self(Arc::new(Parts {
            _emulator: emulator,
            forms,
            outage: OutageForm::new(&log).await?,
            widget,
            log,
            records: Records::new(),
            recorder: recorder::recorder()?,
            stages: Stages::new(),
            trial: Shared::default(),
        })))
    }

    pub(crate) fn form(&self, provider: DemoProvider) -> Option<&GuardedForm> {
        let mut forms = self.0.forms.iter();
        forms.find(|form| form.provider() == provider)
    }

    /// Returns the providers that have a widget. The first is the default of the sign-up page, the
    /// first two are the default of the comparison.
    pub(crate) fn with_widget(&self) -> impl Iterator<Item = DemoProvider> {
        let forms = self.0.forms.iter();
        forms
            .filter(|form| form.has_widget())
            .map(GuardedForm::provider)
    }

    /// Returns why ALTCHA has no widget, or `None` when it has one.
    pub(crate) fn no_widget(&self) -> Option<&str> {
        self.0.widget.as_ref().err().map(String::as_str)
    }

    /// Returns the files of ALTCHA's widget.
    pub(crate) fn widget(&self) -> Option<&WidgetFiles> {
        self.0.widget.as_ref().ok()
    }

    pub(crate) fn forms(&self) -> &[GuardedForm] {
        &self.0.forms
    }

    pub(crate) fn outage(&self) -> &OutageForm {
        &self.0.outage
    }

    pub(crate) fn log(&self) -> &Log {
        &self.0.log
    }

    pub(crate) fn records(&self) -> &Records {
        &self.0.records
    }

    pub(crate) fn recorder(&self) -> &PrometheusHandle {
        &self.0.recorder
    }

    /// Returns the experiment, if its page was visited.
    pub(crate) fn trial(&self) -> &Shared {
        &self.0.trial
    }

    pub(crate) fn stages(&self) -> &Stages {
        &self.0.stages
    }
}

/// The extractors require this. It is not used, because every route with an extractor has a guard
/// of its own as an extension, which takes precedence.
impl FromRef<App> for Guard {
    fn from_ref(app: &App) -> Self {
        app.0.forms[0].guard.clone()
    }
}
