//! The experiment page: simulated visitors whose truth is shown beside what the report concludes.

use askama::Template;
use axum::Extension;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use human_check_compare::{Conclusion, ConfidenceInterval, ExperimentStatistics};
use serde::Deserialize;

use crate::app::App;
use crate::headers::Nonce;
use crate::page::{ErrorPage, Frame, PAGES, show};
use crate::trial::{ARMS, DAYS, PER_DAY, TRUTH, Trial};

/// A step of the visitor of the page.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Step {
    Day,
    Week,
    Break,
    Mend,
    Again,
}

/// The form of the page.
#[derive(Debug, Deserialize)]
pub(crate) struct Chosen {
    step: Step,
}

/// One arm: its name, its truth, and what was counted.
struct ArmRow {
    name: &'static str,
    truth: String,
    shown: u64,
    completed: u64,
    share: String,
}

/// One day: the difference of all visitors up to it.
struct DayRow {
    day: usize,
    visitors: u64,
    difference: String,
    interval: String,
    /// Whether the interval holds the truth. `None` without an interval, or after the truth changed.
    holds: Option<bool>,
}

#[derive(Template)]
#[template(path = "experiment.html")]
struct Shown {
    frame: Frame,
    day: usize,
    is_broken: bool,
    is_over: bool,
    stopped: Option<(usize, String)>,
    headline: String,
    detail: String,
    tone: &'static str,
    truth: String,
    arms: Vec<ArmRow>,
    days: Vec<DayRow>,
}

/// `GET /experiment`
pub(crate) async fn page(State(app): State<App>, Extension(nonce): Extension<Nonce>) -> Response {
    let mut shared = app.trial().lock().await;
    if shared.is_none() {
        match Trial::new().await {
            Ok(trial) => *shared = Some(trial),
            Err(error) => return failed(nonce, &*error),
        }
    }
    match &*shared {
        Some(trial) => show(StatusCode::OK, &shown(nonce, trial), &[]),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `POST /experiment`
pub(crate) async fn step(
    State(app): State<App>,
    Extension(nonce): Extension<Nonce>,
    Form(chosen): Form<Chosen>,
) -> Response {
    let mut shared = app.trial().lock().await;
    let days = match chosen.step {
        Step::Day => 1,
        Step::Week => 7,
        Step::Break | Step::Mend => 0,
        Step::Again => {
            *shared = None;
            0
        }
    };
    if let Some(trial) = &mut *shared {
        match chosen.step {
            Step::Break => trial.is_broken = true,
            Step::Mend => trial.is_broken = false,
            _ => {}
        }
        for _ in 0..days {
            if let Err(error) = trial.next_day().await {
                return failed(nonce, &*error);
            }
        }
    }
    Redirect::to("/experiment").into_response()
}

fn failed(nonce: Nonce, error: &(dyn std::error::Error + Send + Sync)) -> Response {
    ErrorPage::page(StatusCode::INTERNAL_SERVER_ERROR, nonce, error.to_string())
}

fn points(share: f64) -> String {
    format!("{:.1}", share * 100.0).replace('-', "−")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn between(interval: ConfidenceInterval) -> String {
    format!("{} to {}", points(interval.low), points(interval.high))
}

fn shown(nonce: Nonce, trial: &Trial) -> Shown {
    let statistics = trial.statistics();
    let truth = TRUTH[1] - TRUTH[0];
    let (headline, detail, tone) = conclusion(&statistics);
    let arm = |(place, provider): (usize, &crate::providers::DemoProvider)| {
        let counted = statistics.arms.get(place);
        ArmRow {
            name: provider.title(),
            truth: match (place, trial.is_broken) {
                (1, true) => format!("{}, broken", percent(TRUTH[2])),
                (place, _) => percent(TRUTH[place]),
            },
            shown: counted.map_or(0, |arm| arm.shown),
            completed: counted.map_or(0, |arm| arm.completed),
            share: counted
                .and_then(|arm| arm.completion)
                .map_or("–".to_owned(), |completion| percent(completion.share)),
        }
    };
    let was_broken = trial.is_broken || trial.stopped.is_some();
    let by_day = statistics
        .comparisons
        .first()
        .map_or(&[][..], |comparison| &comparison.by_day);
    let days = by_day.iter().enumerate().map(|(nth, day)| DayRow {
        day: nth + 1,
        visitors: day.visitors,
        difference: day.difference.map_or("–".to_owned(), points),
        interval: day.any_time.map_or("too few visitors".to_owned(), between),
        holds: day
            .any_time
            .filter(|_| !was_broken)
            .map(|interval| interval.low <= truth && truth <= interval.high),
    });
    Shown {
        frame: Frame::new("Experiment", "/experiment", nonce),
        day: trial.day,
        is_broken: trial.is_broken,
        is_over: trial.day == DAYS,
        stopped: trial.stopped.clone(),
        headline,
        detail,
        tone,
        truth: points(truth),
        arms: ARMS.iter().enumerate().map(arm).collect(),
        days: days.collect(),
    }
}

/// Returns what the report concludes: a headline, a sentence, and its tone.
fn conclusion(statistics: &ExperimentStatistics) -> (String, String, &'static str) {
    let [current, new] = ARMS.map(|arm| arm.title());
    let said = |difference: f64, interval: ConfidenceInterval| {
        format!(
            "{} percentage points, between {} and {}, at any time you look.",
            points(difference),
            points(interval.low),
            points(interval.high)
        )
    };
    let conclusion = statistics
        .comparisons
        .first()
        .map(|comparison| &comparison.conclusion);
    match conclusion {
        Some(Conclusion::Better {
            difference,
            interval,
        }) => (
            format!("{new} completes more than {current}"),
            said(*difference, *interval),
            "good",
        ),
        Some(Conclusion::Worse {
            difference,
            interval,
        }) => (
            format!("{new} completes less than {current}"),
            said(*difference, *interval),
            "bad",
        ),
        Some(Conclusion::CannotCompare) => (
            "The arms cannot be compared".to_owned(),
            "They do not have the planned shares of visitors.".to_owned(),
            "bad",
        ),
        Some(Conclusion::NotYet {
            difference: Some(difference),
            interval: Some(interval),
            ..
        }) => (
            "Not decided yet".to_owned(),
            said(*difference, *interval),
            "unsure",
        ),
        _ => (
            "Not decided yet".to_owned(),
            "Let some days go by.".to_owned(),
            "unsure",
        ),
    }
}
