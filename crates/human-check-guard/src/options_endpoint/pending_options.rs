use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use human_check_core::FunnelStep;

use super::note::Note;
use super::{REPORT_WINDOW, REPORTS};
use crate::experiment::ExperimentHead;
use crate::page::LanguageIndex;
use crate::policy::{add_attempt, uncounted};
use crate::selected::Selected;
use crate::selection::Why;
use crate::snapshot::Snapshot;
use crate::{AttemptKey, AttemptStore, GuardResponse};

/// A request for the options of a route that has no response yet.
///
/// [`OptionsEndpoint::prepare`](crate::OptionsEndpoint::prepare) creates it.
#[derive(Debug)]
#[must_use = "the client gets no response until `respond` is awaited"]
pub struct PendingOptions {
    pub(super) allowed: bool,
    /// The origin whose pages may read the response, if it is another one.
    pub(super) cors: Option<String>,
    /// `None` if the route is unknown.
    pub(super) guard: Option<Snapshot>,
    pub(super) list: usize,
    pub(super) client_ip: Option<IpAddr>,
    /// The account whose widget failed, by the report of the browser.
    pub(super) failed: Option<String>,
    pub(super) language: LanguageIndex,
    /// What the request says about the experiment.
    pub(super) experiment: ExperimentHead,
    pub(super) attempts: Arc<dyn AttemptStore>,
    /// A step of the funnel that the page reports.
    pub(super) note: Option<Note>,
}

/// A step that took longer says nothing about a widget.
const MAX_STEP: Duration = Duration::from_secs(600);

impl PendingOptions {
    /// Selects the account and returns the response, see
    /// [`OptionsEndpoint`](crate::OptionsEndpoint).
    ///
    /// Dropping the future sends no response. A report may be counted or not.
    pub async fn respond(self) -> GuardResponse {
        if !self.allowed {
            return self.response(
                403,
                r#"{"error":"This page may not read the options."}"#.into(),
            );
        }
        let Some(guard) = &self.guard else {
            return self.response(404, r#"{"error":"There is no such route."}"#.into());
        };
        if let Some(note) = &self.note {
            self.record(guard, note);
            return self.response(204, String::new());
        }
        let after_failure = self.after_widget_failure(guard).await;
        let selected = match after_failure {
            Some(selected) => Ok(selected),
            None => guard.select(self.list, &self.experiment),
        };
        let selected = match selected {
            Ok(selected) => selected,
            Err(cookie) => {
                let body = r#"{"captcha":{"required":false,"reset":false,"retry":false}}"#;
                let mut response = self.response(503, body.into());
                response.headers.push(("retry-after", "5".into()));
                // The visitor counts once, however often the page asks.
                let cookie = cookie.map(|cookie| ("set-cookie", cookie.to_string().into()));
                response.headers.extend(cookie);
                return response;
            }
        };
        let route = serde_json::Value::from(guard.policy().name());
        let texts = guard.site().texts.script(self.language);
        let texts = texts.map(|texts| format!(r#","texts":{texts}"#));
        let body = format!(
            r#"{{"why":"{}","captcha":{{"required":true,"reset":true,"route":{route},"options":[{}]{}}}}}"#,
            selected.why(),
            selected.option(),
            texts.unwrap_or_default(),
        );
        let mut response = self.response(200, body);
        if let Some(cookie) = &selected.cookie {
            response
                .headers
                .push(("set-cookie", cookie.to_string().into()));
        }
        response
    }

    /// Records a step that a page reports, if its offer is that of a visitor of the experiment.
    fn record(&self, guard: &Snapshot, note: &Note) {
        let (Some(experiment), Some(carried)) = (guard.experiment(), self.experiment.carried())
        else {
            return;
        };
        let after = note.after;
        let step = match &*note.event {
            "loaded" => FunnelStep::Loaded { after },
            "solved" => FunnelStep::Solved { after },
            _ => return,
        };
        if note.is_of_page
            && after <= MAX_STEP
            && experiment.is_first_note(&carried.nonce(), &note.event)
        {
            experiment.record(&carried.receipt(), step, guard.now());
        }
    }

    /// Returns the account to show after a report that counts.
    async fn after_widget_failure(&self, guard: &Snapshot) -> Option<Selected> {
        let failed = self.failed.as_deref()?;
        let selection = &guard.site().selection;
        if !selection.falls_back_on_widget_failure {
            return None;
        }
        let (on, judges) = (selection.fallback_on, guard.judges());
        // A visitor of an experiment goes on in the list of the arm.
        let list = match self.experiment.carried() {
            Some(carried) if self.list == 0 => selection.list_of_arm(carried.place()),
            _ => self.list,
        };
        let (shown, _) = judges.select(list, on)?;
        if judges.get(shown).account.name() != failed {
            return None;
        }
        let next = judges.select_after_widget_failure(list, shown, on)?;
        let key = match self.client_ip {
            Some(ip) => AttemptKey::widget_failures(ip),
            None => AttemptKey::named("widget-failures:unknown address"),
        };
        // A store that fails counts nothing, so that no report counts.
        let reports = add_attempt(&*self.attempts, &key, REPORT_WINDOW)
            .await
            .inspect_err(|_| uncounted("report"))
            .ok()?;
        if reports > REPORTS || !selection.report_limit.admit() {
            return None;
        }
        Some(guard.selected(next, Why::WidgetFailure, self.experiment.carried()))
    }

    /// Returns a response that no cache may keep.
    fn response(&self, status: u16, body: String) -> GuardResponse {
        let mut headers = vec![
            ("content-type", "application/json".into()),
            ("cache-control", "no-store".into()),
            ("vary", "Accept-Language, Origin".into()),
            ("x-content-type-options", "nosniff".into()),
        ];
        if let Some(origin) = &self.cors {
            headers.push(("access-control-allow-origin", origin.clone().into()));
        }
        GuardResponse {
            status,
            headers,
            body,
        }
    }
}
