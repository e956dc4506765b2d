//! What all pages share: the emulator, and a guarded form for each provider.

use std::io;
use std::sync::Arc;

use axum::extract::FromRef;
use human_check_altcha::WidgetFiles;
use human_check_core::{ConfigError, FactKind, HumanCheck, Support, Widget};
use human_check_emulator::Emulator;
use human_check_guard::{Guard, MetricsObserver, RoutePolicy};
use human_check_http::{HyperTransport, ProviderClient};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::log::Log;
use crate::providers::{ACTION, DemoProvider, ProviderCheck, Work, limits};
use crate::recorder;
use crate::records::Records;
use crate::stages::Stages;

/// What all handlers share.
#[derive(Clone, Debug)]
pub(crate) struct App(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Runs as long as the demo.
    _emulator: Emulator,
    forms: Vec<GuardedForm>,
    /// The files of the proof of work's widget, or why there are none.
    widget: Result<WidgetFiles, String>,
    log: Log,
    records: Records,
    recorder: PrometheusHandle,
    stages: Stages,
}

/// A doorkeeper in front of a form.
#[derive(Clone, Debug)]
pub(crate) struct GuardedForm {
    pub(crate) provider_check: ProviderCheck,
    pub(crate) guard: Guard,
}

impl GuardedForm {
    /// `route` is what the form is called in the log. Without a widget the form can be posted by
    /// whoever has an answer from elsewhere.
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
        let mut guard = Guard::builder(Arc::clone(&provider_check.check))
            .with_observer(log.clone())
            .with_observer(MetricsObserver);
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
        // Its risk is what the demo judges by, and other load_accounts have none.
        emulator.configure(|knobs| knobs.hcaptcha_enterprise = true);
        let log = Log::new();
        let forms = || -> Result<Vec<GuardedForm>, ConfigError> {
            let client = ProviderClient::new(HyperTransport::new()?).with_limits(limits());
            let form = |provider: DemoProvider| {
                let provider_check = ProviderCheck::new(provider, &emulator, &client, work)?;
                // A provider's comes from its emulator.
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
            widget,
            log,
            records: Records::new(),
            recorder: recorder::recorder()?,
            stages: Stages::new(),
        })))
    }

    pub(crate) fn form(&self, provider: DemoProvider) -> Option<&GuardedForm> {
        let mut forms = self.0.forms.iter();
        forms.find(|form| form.provider() == provider)
    }

    /// Whom a new visitor meets, the first of them alone or with the next.
    pub(crate) fn usual(&self) -> impl Iterator<Item = DemoProvider> {
        let forms = self.0.forms.iter();
        forms
            .filter(|form| form.has_widget())
            .map(GuardedForm::provider)
    }

    /// Why the proof of work has no widget.
    pub(crate) fn no_widget(&self) -> Option<&str> {
        self.0.widget.as_ref().err().map(String::as_str)
    }

    /// The files of the proof of work's widget.
    pub(crate) fn widget(&self) -> Option<&WidgetFiles> {
        self.0.widget.as_ref().ok()
    }

    pub(crate) fn forms(&self) -> &[GuardedForm] {
        &self.0.forms
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

    pub(crate) fn stages(&self) -> &Stages {
        &self.0.stages
    }
}

/// For extractors. Every route that takes one names its own guard, which comes first.
impl FromRef<App> for Guard {
    fn from_ref(app: &App) -> Self {
        app.0.forms[0].guard.clone()
    }
}
