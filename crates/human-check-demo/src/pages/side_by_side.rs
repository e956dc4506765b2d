//! Two providers about the same visitors: the first decides, the second is compared.

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
use human_check_guard::{
    Guard, Html, MetricsObserver, Rejection, RoutePolicy, Visitor, WidgetRenderer,
};
use human_check_http::{HyperTransport, ProviderClient};
use serde::Deserialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::app::App;
use crate::headers::Nonce;
use crate::page::{ErrorPage, Frame, PAGES, show};
use crate::providers::{DemoProvider, ProviderCheck, Solver, Work, limits};
use crate::visitor_view::{Advice, Operator, advice, status, unread};

/// How many visitors one press of the button brings.
const VISITORS: usize = 50;

/// Where the comparisons of one request go.
#[derive(Debug)]
struct Sink(Sender<Comparison>);

impl ComparisonSink for Sink {
    fn record(&self, comparison: Comparison) {
        // There is room for as many as there are visitors.
        let _ = self.0.try_send(comparison);
    }
}

/// Who is compared, in an address.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Choice {
    first: Option<String>,
    second: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    first: DemoProvider,
    second: DemoProvider,
}

impl Pair {
    fn of(app: &App, choice: &Choice) -> Option<Self> {
        let mut usual = app.usual();
        let mut named = |name: &Option<String>| {
            let usual = usual.next();
            name.as_ref()
                .map_or(usual, |name| DemoProvider::named(name))
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

/// A check by the first, and what will be said beside it once the check is gone.
fn compared(
    first: Arc<dyn HumanCheck>,
    second: Arc<dyn HumanCheck>,
) -> Result<(Compared, Receiver<Comparison>), ConfigError> {
    let (sink, comparisons) = channel(VISITORS);
    Ok((first.shadow(second, Sink(sink))?, comparisons))
}

/// The guard of one request: a fresh sink knows when that request's second opinion is there.
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
    let mut builder = Guard::builder(check)
        .with_observer(app.log().clone())
        .with_observer(MetricsObserver);
    for form in [first, second] {
        for widget in form.guard.widgets() {
            builder = builder.with_widget(widget.clone());
        }
    }
    // No action is asked for: where one of the two reports none, it would refuse everybody.
    let guard = builder.build(RoutePolicy::fail_closed("side-by-side"))?;
    Ok((guard, comparisons))
}

#[derive(Template)]
#[template(path = "side_by_side.html")]
struct Shown {
    frame: Frame,
    pair: Pair,
    query: String,
    /// Both widgets, or why there can be none.
    widgets: Result<Html, String>,
    answered: Option<(Advice, Operator)>,
    numbers: Numbers,
}

/// What the records come to, for a template.
struct Numbers {
    records: u64,
    matrix: Option<Matrix>,
    lines: Vec<Line>,
    warnings: Vec<String>,
}

struct Matrix {
    both: u64,
    first_only: u64,
    second_only: u64,
    neither: u64,
    agreed: String,
    kappa: String,
    kappa_range: String,
}

/// What one of the two said, in counts.
struct Line {
    name: String,
    human: u64,
    refused: Vec<(String, u64)>,
    failed: u64,
    without_call: u64,
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
                // The page says so itself.
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
                "One of the two said the same of everybody so far.".to_owned(),
            ),
            Kappa::Estimate {
                kappa, interval, ..
            } => (
                format!("{kappa:.2}"),
                interval.map_or_else(
                    || "They never disagreed, so there is no interval.".to_owned(),
                    |range| format!("95 %: {:.2} to {:.2}", range.low, range.high),
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
            without_call: provider.no_token,
            passed: percent(provider.pass_rate.map(|passed| passed.share)),
            median: latency(|latency| latency.p50),
            slowest: latency(|latency| latency.p95),
        }
    }
}

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
    // The form has no field but the answers.
    let form = HumanForm::<Empty, Result<Visitor, Rejection>>::from_request(request, &app).await;
    let form: Result<_, HumanError<FormRejection>> = form;
    let (Empty {}, checked) = match form {
        Ok(form) => form.into_parts(),
        Err(rejection) => return unread(nonce, &rejection),
    };
    app.records().gather(comparisons).await;
    let (status, advice) = match &checked {
        Ok(_) => (
            StatusCode::OK,
            Advice {
                title: "You would be in",
                detail: "The first one decided. What the second said is counted below.",
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

/// `POST /side-by-side/simulate?first=…&second=…`: visitors of both kinds, of whom each provider
/// misjudges some.
pub(crate) async fn simulate(
    State(app): State<App>,
    Query(choice): Query<Choice>,
    Extension(nonce): Extension<Nonce>,
) -> Response {
    let Some(pair) = Pair::of(&app, &choice) else {
        return unknown(nonce);
    };
    // An emulator of their own, so that their tokens are gone with it.
    let _stage = app.stages().enter().await;
    match crowd(&app, pair).await {
        Ok(()) => Redirect::to(&format!("/side-by-side?{}#numbers", pair.query())).into_response(),
        Err(problem) => ErrorPage::page(StatusCode::CONFLICT, nonce, problem.to_string()),
    }
}

async fn crowd(app: &App, pair: Pair) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let emulator = Emulator::start().await?;
    let client = ProviderClient::new(HyperTransport::new()?).with_limits(limits());
    let provider_check =
        |provider| ProviderCheck::new(provider, &emulator, &client, Work::made_up()?);
    let (first, second) = (provider_check(pair.first)?, provider_check(pair.second)?);
    let (check, comparisons) = compared(Arc::clone(&first.check), Arc::clone(&second.check))?;
    let mut visitors = Vec::with_capacity(VISITORS);
    for visitor in visitors_at_hand() {
        let mut submission = Submission::new();
        for (provider_check, looks) in [(&first, visitor.0), (&second, visitor.1)] {
            let answer = provider_check.answer(&emulator, looks).await?;
            submission = submission.with_token(provider_check.provider.provider(), answer);
        }
        visitors.push(submission);
    }
    iter(&visitors)
        .for_each_concurrent(8, async |visitor| {
            // What comes of it is in the comparison.
            let _ = check.check(visitor).await;
        })
        .await;
    drop(check);
    app.records().gather(comparisons).await;
    Ok(())
}

/// Seven of ten are human. How each looks to the first and to the second, who are wrong about every
/// twelfth or so, and not about the same ones.
fn visitors_at_hand() -> impl Iterator<Item = (Solver, Solver)> {
    let looks = |human: bool| {
        if human == (fastrand::u8(..12) > 0) {
            Solver::Human
        } else {
            Solver::Bot
        }
    };
    (0..VISITORS).map(move |place| {
        let human = place % 10 < 7;
        (looks(human), looks(human))
    })
}

fn unknown(nonce: Nonce) -> Response {
    ErrorPage::page(
        StatusCode::NOT_FOUND,
        nonce,
        "The demo has no provider of that name.",
    )
}

fn no_pair(nonce: Nonce, error: &ConfigError) -> Response {
    ErrorPage::page(StatusCode::CONFLICT, nonce, error.to_string())
}

fn shown(
    status: StatusCode,
    app: &App,
    pair: Pair,
    nonce: Nonce,
    answered: Option<(Advice, Operator)>,
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
        frame: Frame::new("Side by side", "/side-by-side", nonce),
        query: pair.query(),
        pair,
        widgets,
        answered,
        numbers: Numbers::new(&app.records().of([pair.first.name(), pair.second.name()])),
    };
    show(status, &shown, needed)
}
