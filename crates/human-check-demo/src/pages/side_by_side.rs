//! The comparison page: two providers judge the same visitors. The first decides, the second is a
//! shadow.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::StreamExt;
use futures_util::stream::iter;
use human_check_axum::{HumanError, HumanForm};
use human_check_compare::{Agreement, Kappa, ProviderStatistics, Statistics};
use human_check_core::{
    Comparison, ComparisonSink, ConfigError, HumanCheck, HumanCheckExt, Shadow, Submission,
};
use human_check_emulator::Emulator;
use human_check_guard::{Guard, Html, Rejection, RoutePolicy, Visitor, WidgetRenderer};
use human_check_http::{HyperTransport, ProviderClient};
use serde::Deserialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::app::App;
use crate::headers::Nonce;
use crate::page::{ErrorPage, Frame, PAGES, show};
use crate::providers::{DemoProvider, ProviderCheck, Solver, Work, limits};
use crate::visitor_view::{Advice, Operator, advice, malformed_form, status};

/// How many visitors one click of the button simulates.
const VISITORS: usize = 50;

/// Receives the comparisons of one request.
#[derive(Debug)]
struct Sink(Sender<Comparison>);

impl ComparisonSink for Sink {
    fn record(&self, comparison: Comparison) {
        // The channel has room for one comparison of each visitor.
        let _ = self.0.try_send(comparison);
    }

    fn lost(&self, _: &'static str) {}
}

/// The query of the page: the names of the two providers.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Choice {
    first: Option<String>,
    second: Option<String>,
}

/// The two providers to compare.
#[derive(Clone, Copy, Debug)]
struct Pair {
    first: DemoProvider,
    second: DemoProvider,
}

impl Pair {
    /// Returns the chosen providers, or the default ones. `None` for an unknown name.
    fn of(app: &App, choice: &Choice) -> Option<Self> {
        let mut defaults = app.with_widget();
        let mut named = |name: &Option<String>| {
            let default = defaults.next();
            name.as_ref()
                .map_or(default, |name| DemoProvider::named(name))
        };
        Some(Self {
            first: named(&choice.first)?,
            second: named(&choice.second)?,
        })
    }

    fn query(self) -> String {
        format!("first={}&second={}", self.first.name(), self.second.name())
    }
}

type Compared = Shadow<Arc<dyn HumanCheck>, Arc<dyn HumanCheck>, Sink>;

/// Returns a check by the first provider with the second as its shadow, and the receiver of
/// comparisons.
///
/// The receiver ends when the check and all its running shadow checks are dropped.
fn compared(
    first: Arc<dyn HumanCheck>,
    second: Arc<dyn HumanCheck>,
) -> Result<(Compared, Receiver<Comparison>), ConfigError> {
    let (sink, comparisons) = channel(VISITORS);
    Ok((first.shadow(second, Sink(sink))?, comparisons))
}

/// Creates a guard for one request.
///
/// A guard of its own has a receiver of its own, so that the page can wait for this request's
/// shadow check before it shows the statistics.
fn guard(app: &App, pair: Pair) -> Result<(Guard, Receiver<Comparison>), ConfigError> {
    let form = |provider| {
        app.form(provider)
            .ok_or_else(|| ConfigError::new("provider", "has no form", "choose another"))
    };
    let (first, second) = (form(pair.first)?, form(pair.second)?);
    let (check, comparisons) = compared(
        Arc::clone(&first.provider_check.check),
        Arc::clone(&second.provider_check.check),
    )?;
    let mut builder = Guard::builder(check).with_observer(app.log().clone());
    for form in [first, second] {
        for widget in form.guard.widgets() {
            builder = builder.with_widget(widget.clone());
        }
    }
    // The policy requires no action: a provider that reports none would refuse every visitor.
    let guard = builder.build(RoutePolicy::fail_closed("side-by-side"))?;
    Ok((guard, comparisons))
}

#[derive(Template)]
#[template(path = "side_by_side.html")]
struct Shown {
    frame: Frame,
    pair: Pair,
    query: String,
    /// Both widgets, or why the two providers cannot share a form.
    widgets: Result<Html, String>,
    result: Option<(Advice, Operator)>,
    numbers: Numbers,
}

/// The statistics of a pair, for the template.
struct Numbers {
    records: u64,
    matrix: Option<Matrix>,
    lines: Vec<Line>,
    warnings: Vec<String>,
}

/// The agreement of the two providers.
struct Matrix {
    both: u64,
    first_only: u64,
    second_only: u64,
    neither: u64,
    agreed: String,
    kappa: String,
    kappa_range: String,
}

/// The verdicts of one provider, and its latency.
struct Line {
    name: String,
    human: u64,
    refused: Vec<(String, u64)>,
    failed: u64,
    no_token: u64,
    passed: String,
    median: String,
    slowest: String,
}

impl Numbers {
    fn new(statistics: &Statistics) -> Self {
        Self {
            records: statistics.records,
            matrix: statistics.pairs.first().map(Matrix::new),
            lines: statistics.providers.iter().map(Line::new).collect(),
            warnings: match statistics.records {
                // Without records, the template shows a text of its own.
                0 => Vec::new(),
                _ => statistics
                    .warnings
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            },
        }
    }
}

impl Matrix {
    fn new(agreement: &Agreement) -> Self {
        let table = agreement.table;
        let (kappa, kappa_range) = match agreement.kappa {
            Kappa::Undefined => (
                "undefined".to_owned(),
                "One provider gave every visitor the same verdict so far.".to_owned(),
            ),
            Kappa::Estimate { kappa, interval } => (
                format!("{kappa:.2}"),
                format!(
                    "95 % interval: {:.2} to {:.2}.",
                    interval.low, interval.high
                ),
            ),
        };
        Self {
            both: table.both_human,
            first_only: table.first_only,
            second_only: table.second_only,
            neither: table.both_not,
            agreed: percent(agreement.agreed.map(|agreed| agreed.share)),
            kappa,
            kappa_range,
        }
    }
}

impl Line {
    fn new(provider: &ProviderStatistics) -> Self {
        let latency = |of: fn(&human_check_compare::Latency) -> f64| {
            let latency = provider.latency.as_ref().map(of);
            latency.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1} ms"))
        };
        let refused = provider.not_human.iter();
        Self {
            name: provider.provider.clone(),
            human: provider.human,
            refused: refused.map(|(why, count)| (why.clone(), *count)).collect(),
            failed: provider.failures(),
            no_token: provider.no_token,
            passed: percent(provider.pass_rate.map(|passed| passed.share)),
            median: latency(|latency| latency.p50),
            slowest: latency(|latency| latency.p95),
        }
    }
}

/// Formats a share as a percentage, or a dash for none.
fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// `GET /side-by-side?first=…&second=…`
pub(crate) async fn page(
    State(app): State<App>,
    Query(choice): Query<Choice>,
    Extension(nonce): Extension<Nonce>,
) -> Response {
    match Pair::of(&app, &choice) {
        Some(pair) => shown(StatusCode::OK, &app, pair, nonce, None),
        None => unknown(nonce),
    }
}

/// `POST /side-by-side?first=…&second=…`
pub(crate) async fn submit(
    State(app): State<App>,
    Query(choice): Query<Choice>,
    Extension(nonce): Extension<Nonce>,
    mut request: Request,
) -> Response {
    let Some(pair) = Pair::of(&app, &choice) else {
        return unknown(nonce);
    };
    let (guard, comparisons) = match guard(&app, pair) {
        Ok(guard) => guard,
        Err(error) => return no_pair(nonce, &error),
    };
    request.extensions_mut().insert(guard);
    // The form has no fields but the tokens.
    let form = HumanForm::<Empty, Result<Visitor, Rejection>>::from_request(request, &app).await;
    let form: Result<_, HumanError<FormRejection>> = form;
    let (Empty {}, checked) = match form {
        Ok(form) => form.into_parts(),
        Err(rejection) => return malformed_form(nonce, &rejection),
    };
    app.records().collect(comparisons).await;
    let (status, advice) = match &checked {
        Ok(_) => (
            StatusCode::OK,
            Advice {
                title: "The first provider accepted you",
                detail: "Its verdict decided. The verdict of the second is counted below.",
            },
        ),
        Err(refused) => (status(refused.reason()), advice(refused.reason())),
    };
    let facts = checked.as_ref().ok().and_then(|visitor| visitor.human());
    let operator = Operator::new(status, facts.map(|human| human.facts()));
    shown(status, &app, pair, nonce, Some((advice, operator)))
}

#[derive(Deserialize)]
struct Empty {}

/// `POST /side-by-side/simulate?first=…&second=…`: simulates humans and bots. Each provider is
/// wrong about some of them.
pub(crate) async fn simulate(
    State(app): State<App>,
    Query(choice): Query<Choice>,
    Extension(nonce): Extension<Nonce>,
) -> Response {
    let Some(pair) = Pair::of(&app, &choice) else {
        return unknown(nonce);
    };
    let _permit = app.stages().enter().await;
    match simulate_visitors(&app, pair).await {
        Ok(()) => Redirect::to(&format!("/side-by-side?{}#numbers", pair.query())).into_response(),
        Err(error) => ErrorPage::page(StatusCode::CONFLICT, nonce, error.to_string()),
    }
}

/// Mints tokens of both providers for each simulated visitor, and checks all of them.
async fn simulate_visitors(
    app: &App,
    pair: Pair,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Dropping this emulator also drops the tokens of the simulation.
    let emulator = Emulator::start().await?;
    let client = ProviderClient::new(HyperTransport::new()?).with_limits(limits());
    let provider_check =
        |provider| ProviderCheck::new(provider, &emulator, &client, Work::simulated()?);
    let (first, second) = (provider_check(pair.first)?, provider_check(pair.second)?);
    let (check, comparisons) = compared(Arc::clone(&first.check), Arc::clone(&second.check))?;
    let mut visitors = Vec::with_capacity(VISITORS);
    for visitor in simulated_visitors() {
        let mut submission = Submission::new();
        for (provider_check, solver) in [(&first, visitor.0), (&second, visitor.1)] {
            let token = provider_check.token(&emulator, solver).await?;
            submission = submission.with_token(provider_check.provider.provider(), token);
        }
        visitors.push(submission);
    }
    iter(&visitors)
        .for_each_concurrent(8, async |visitor| {
            // The comparison has the result.
            let _ = check.check(visitor).await;
        })
        .await;
    drop(check);
    app.records().collect(comparisons).await;
    Ok(())
}

/// Returns how each visitor looks to the first and to the second provider.
///
/// Seven of ten visitors are human. Each provider is wrong about one in twelve at random,
/// independently of the other.
fn simulated_visitors() -> impl Iterator<Item = (Solver, Solver)> {
    let looks = |human: bool| {
        if human == (fastrand::u8(..12) > 0) {
            Solver::Human
        } else {
            Solver::Bot
        }
    };
    (0..VISITORS).map(move |number| {
        let human = number % 10 < 7;
        (looks(human), looks(human))
    })
}

/// The page for an unknown provider.
fn unknown(nonce: Nonce) -> Response {
    ErrorPage::page(
        StatusCode::NOT_FOUND,
        nonce,
        "The demo has no provider of that name.",
    )
}

/// The page for two providers that cannot share a form.
fn no_pair(nonce: Nonce, error: &ConfigError) -> Response {
    ErrorPage::page(StatusCode::CONFLICT, nonce, error.to_string())
}

/// Creates the page.
fn shown(
    status: StatusCode,
    app: &App,
    pair: Pair,
    nonce: Nonce,
    result: Option<(Advice, Operator)>,
) -> Response {
    let guard = guard(app, pair).map(|(guard, _)| guard);
    let page = WidgetRenderer::new().with_nonce(nonce.as_str());
    let widgets = guard
        .as_ref()
        .map_err(ToString::to_string)
        .and_then(|guard| {
            let page = page.map_err(|error| error.to_string())?;
            Ok(page.html_of(guard.widgets()))
        });
    let needed = guard.as_ref().map_or(&[][..], |guard| guard.widgets());
    let shown = Shown {
        frame: Frame::new("Compare two providers", "/side-by-side", nonce),
        query: pair.query(),
        pair,
        widgets,
        result,
        numbers: Numbers::new(&app.records().of([pair.first.name(), pair.second.name()])),
    };
    show(status, &shown, needed)
}
