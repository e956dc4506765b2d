use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use human_check_core::{
    Assignment, ConfigError, EventSink, ExperimentEvent, FunnelStep, Receipt, ReceiptError,
};

use super::receipt::hex;

use crate::counter::{count, set};
use crate::selection::{NameDigest, OfferKeys, UsedOffers, fill_random, name_digest};
use crate::{Account, RequestHead};

use super::arm_cookie::ArmCookie;
use super::share_limit::ShareLimit;
use super::{Assigned, Carried, ExperimentHead, ExperimentReceipt, ExperimentSwitch};

/// The maximum number of arms, and of steps of a ramp.
const MAX_ENTRIES: usize = 16;

/// The least and the greatest weight, so that no share is lost by rounding.
const MIN_WEIGHT: f64 = 0.001;
const MAX_WEIGHT: f64 = 1_000.0;

/// How long a cookie lasts if the experiment has no end.
const COOKIE_TTL: Duration = Duration::from_secs(90 * 86_400);

/// A randomised experiment: each visitor meets one account, drawn at random, and what becomes of the
/// visitor is recorded.
///
/// [`Selection::with_experiment`](crate::Selection::with_experiment) takes one. The arm is kept in a
/// signed cookie and in the offer of the challenge, never derived from an address or a user agent. It
/// applies to requests without a list of their own for a host or a country. While the account of an arm
/// is down, the visitors of the arm meet the next account that works, and still count for their arm.
///
/// ```
/// use human_check_guard::{Account, AccountList, Experiment, ExperimentArm, Guard, RoutePolicy, Selection};
///
/// # use human_check_core::{EventSink, ExperimentEvent, Provider};
/// # use human_check_testkit::Scripted;
/// # static OTHER: Provider = Provider::new("other", &["other-response"]);
/// # let (turnstile, hcaptcha) = (Scripted::human(), Scripted::human().with_provider(&OTHER));
/// # #[derive(Debug)] struct File;
/// # impl EventSink for File { fn record(&self, _: ExperimentEvent) {} }
/// # let file = File;
/// let (current, candidate) = (Account::new("hcaptcha", hcaptcha), Account::new("turnstile", turnstile));
/// let arms = [ExperimentArm::new(current.clone(), 0.5), ExperimentArm::new(candidate, 0.5)];
/// let experiment = Experiment::new("signup-2026", arms, file)?;
/// let selection = Selection::new(AccountList::new(current)).with_experiment(experiment);
/// let guard = Guard::builder_for(selection).build(RoutePolicy::fail_closed("signup"))?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/how-to/comparing-providers.md.
#[derive(Clone)]
pub struct Experiment(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    name: Arc<str>,
    digest: NameDigest,
    arms: Vec<Arm>,
    /// What stands for each arm, step and kind of visit in offers.
    digests: Vec<(NameDigest, ArmVisit)>,
    ramp: Vec<RampStep>,
    until: Option<SystemTime>,
    sink: Arc<dyn EventSink>,
    switch: ExperimentSwitch,
    /// Whether the gauge says that it has stopped.
    is_told: Arc<AtomicBool>,
    cookie: bool,
    consent: bool,
    max_share: Option<f64>,
    shares: Arc<ShareLimit>,
    /// The steps that pages have reported, so that a repetition does not fill the file.
    notes: Arc<UsedOffers>,
    segment: Option<SegmentOf>,
}

/// Returns the segment of a visitor.
type SegmentOf = Arc<dyn Fn(&dyn RequestHead) -> Option<Arc<str>> + Send + Sync>;

#[derive(Clone)]
struct Arm {
    account: Account,
    name: Arc<str>,
    /// What stands for its name in cookies.
    digest: NameDigest,
    weight: f64,
}

/// An arm, the step of the ramp, and whether it is a first visit.
#[derive(Clone, Copy, Eq, PartialEq)]
struct ArmVisit {
    place: usize,
    ramp_step: u8,
    first: Option<bool>,
}

/// An arm of an [`Experiment`]: an account, and its weight.
#[derive(Clone, Debug)]
pub struct ExperimentArm {
    account: Account,
    weight: f64,
}

impl ExperimentArm {
    /// Creates an arm. Its name is that of the account. Its share of visitors is `weight`, divided by
    /// the sum of all weights.
    pub fn new(account: Account, weight: f64) -> Self {
        Self { account, weight }
    }
}

/// A step of a ramp: from a time on, which share of the visitors all arms but the first have together.
///
/// A new step changes the weights for new visitors only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RampStep {
    /// When the step begins.
    pub from: SystemTime,
    /// The share of all arms but the first, from 0 to 1.
    pub share: f64,
}

impl Experiment {
    /// Creates an experiment whose events go to `sink`. The first arm is the current account, which
    /// visitors meet without the experiment.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when there are fewer than two arms or more than 16, two of them are one account,
    /// or a weight is not from 0.001 to 1,000.
    pub fn new(
        name: impl Into<Arc<str>>,
        arms: impl IntoIterator<Item = ExperimentArm>,
        sink: impl EventSink,
    ) -> Result<Self, ConfigError> {
        let name = name.into();
        let arms: Vec<Arm> = arms
            .into_iter()
            .map(|arm| Arm {
                name: arm.account.name().into(),
                digest: name_digest(&[arm.account.name()]),
                account: arm.account,
                weight: arm.weight,
            })
            .collect();
        if !(2..=MAX_ENTRIES).contains(&arms.len()) {
            return Err(ConfigError::new(
                "arms",
                format!("has {} entries", arms.len()),
                "name 2 to 16 accounts with their weights, the current one first",
            ));
        }
        for (place, arm) in arms.iter().enumerate() {
            if arms[..place].iter().any(|other| other.name == arm.name) {
                return Err(ConfigError::new(
                    "arms",
                    format!("names {:?} twice", arm.name),
                    "name each account once",
                ));
            }
            if !(MIN_WEIGHT..=MAX_WEIGHT).contains(&arm.weight) {
                return Err(ConfigError::new(
                    "arms",
                    format!("gives {:?} the weight {}", arm.name, arm.weight),
                    "write a number from 0.001 to 1000, or leave the arm out",
                ));
            }
        }
        let experiment = Inner {
            digest: name_digest(&["experiment", &name]),
            digests: Vec::new(),
            shares: Arc::new(ShareLimit::new(arms.len())),
            name,
            arms,
            ramp: Vec::new(),
            until: None,
            sink: Arc::new(sink),
            switch: ExperimentSwitch::default(),
            is_told: Arc::default(),
            cookie: true,
            consent: false,
            max_share: None,
            notes: Arc::default(),
            segment: None,
        };
        Ok(Self(Arc::new(experiment)).with_digests())
    }

    /// Computes what stands for arms in offers. The weights are part of it, so that a receipt of other
    /// weights counts for none of these.
    fn with_digests(self) -> Self {
        let weights = self.weights();
        let step_text = |step: usize| {
            let weights = weights.iter().map(|arm| format!("{:.6}", arm[step]));
            weights.collect::<Vec<_>>().join(",")
        };
        let texts: Vec<String> = (0..self.0.ramp.len().max(1)).map(step_text).collect();
        self.configure(|inner| {
            let mut digests = Vec::new();
            for (place, arm) in inner.arms.iter().enumerate() {
                for (ramp_step, weights) in texts.iter().enumerate() {
                    for (word, first) in [
                        ("first", Some(true)),
                        ("later", Some(false)),
                        ("unknown", None),
                    ] {
                        let step = format!("{ramp_step}:{weights}");
                        let digest = name_digest(&["arm", &inner.name, &arm.name, &step, word]);
                        let visit = ArmVisit {
                            place,
                            ramp_step: u8::try_from(ramp_step).unwrap_or(u8::MAX),
                            first,
                        };
                        digests.push((digest, visit));
                    }
                }
            }
            inner.digests = digests;
        })
    }

    /// Changes a setting. Clones of before keep theirs.
    fn configure(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Sets the steps of a ramp, by their times. Before the first step, visitors meet the first arm and
    /// take no part. Default: the weights of the arms from the start.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when there are more than 16 steps, they are not in the order of their times, or a
    /// share is not between 0 and 1.
    pub fn with_ramp(self, steps: impl IntoIterator<Item = RampStep>) -> Result<Self, ConfigError> {
        let steps: Vec<RampStep> = steps.into_iter().collect();
        let is_ordered = steps.is_sorted_by(|one, next| one.from < next.from);
        let is_share = |step: &RampStep| step.share > 0.0 && step.share < 1.0;
        if steps.len() > MAX_ENTRIES || !is_ordered || !steps.iter().all(is_share) {
            return Err(ConfigError::new(
                "ramp",
                "is not a list of shares between 0 and 1 in the order of their times",
                "write up to 16 steps, for example 1%, 10%, 50%",
            ));
        }
        Ok(self.configure(|inner| inner.ramp = steps).with_digests())
    }

    /// Sets when the experiment ends: from then on visitors meet the first arm and take no part.
    /// Default: never.
    #[must_use]
    pub fn with_until(self, until: SystemTime) -> Self {
        self.configure(|inner| inner.until = Some(until))
    }

    /// Sets the switch that stops the experiment. Default: one of its own.
    #[must_use]
    pub fn with_switch(self, switch: ExperimentSwitch) -> Self {
        self.configure(|inner| inner.switch = switch)
    }

    /// Sets that no cookie keeps visitors in their arm: each showing is drawn anew, and no visit is known
    /// to be a first one. Default: a cookie.
    #[must_use]
    pub fn without_cookie(self) -> Self {
        self.configure(|inner| inner.cookie = false)
    }

    /// Sets that the cookie needs consent: visitors take part from the moment on at which the page says,
    /// by `humanCheck.allow()`, that they have allowed cookies. Others meet the first arm and are not
    /// counted. Default: no consent is needed.
    #[must_use]
    pub fn with_consent(self) -> Self {
        self.configure(|inner| inner.consent = true)
    }

    /// Sets the share of the latest visits of this process beyond which cookies of an arm count as none,
    /// above 0 and at most 1. Default: no limit.
    ///
    /// A client that sends the cookie of one arm each time chooses its provider.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is 0, above 1 or no number.
    pub fn with_max_share(self, share: f64) -> Result<Self, ConfigError> {
        if share > 0.0 && share <= 1.0 {
            return Ok(self.configure(|inner| inner.max_share = Some(share)));
        }
        Err(ConfigError::new(
            "max_share",
            format!("is {share}, and not above 0 and at most 1"),
            "write a share, such as 0.7, or leave it out",
        ))
    }

    /// Sets a function that returns the segment of a visitor, such as `mobile`, from the head of the
    /// request. Use few and fixed words: a segment must not tell who a visitor is. Default: none.
    #[must_use]
    pub fn with_segment(
        self,
        segment: impl Fn(&dyn RequestHead) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        let segment = move |head: &dyn RequestHead| segment(head).map(Arc::from);
        self.configure(|inner| inner.segment = Some(Arc::new(segment)))
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the switch that stops it.
    pub fn switch(&self) -> &ExperimentSwitch {
        &self.0.switch
    }

    /// Returns the shares of the arms in each step of the ramp, in the order of the arms.
    pub fn weights(&self) -> Vec<Vec<f64>> {
        let arms = 0..self.0.arms.len();
        arms.map(|arm| {
            let steps = 0..self.0.ramp.len().max(1);
            steps.map(|step| self.shares(step)[arm]).collect()
        })
        .collect()
    }

    /// Returns the accounts of the arms in their order.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.0.arms.iter().map(|arm| &arm.account)
    }

    /// Reads the head of a request.
    pub(crate) fn read(&self, keys: &OfferKeys, head: &dyn RequestHead) -> ExperimentHead {
        let segment = self.0.segment.as_ref().and_then(|segment| segment(head));
        ExperimentHead::read(&self.0.digest, segment, keys, head)
    }

    /// Sets the gauge when the switch has changed.
    fn tell_stop(&self) {
        let is_stopped = self.0.switch.is_stopped();
        if is_stopped && !self.0.is_told.swap(true, Ordering::Relaxed) {
            set!("human_check_experiment_stopped", 1.0, "experiment" => &*self.0.name);
        }
    }

    /// Returns whether visitors take part now, and in which step of the ramp.
    fn step_at(&self, now: SystemTime) -> Option<usize> {
        let inner = &self.0;
        let is_over = inner.until.is_some_and(|until| now >= until);
        if is_over || inner.switch.is_stopped() {
            return None;
        }
        match inner.ramp.is_empty() {
            true => Some(0),
            false => inner.ramp.iter().rposition(|step| step.from <= now),
        }
    }

    /// Returns the share of each arm in a step of the ramp.
    fn shares(&self, step: usize) -> Vec<f64> {
        let arms = &self.0.arms;
        let all: f64 = arms.iter().map(|arm| arm.weight).sum();
        let others = all - arms[0].weight;
        let share = |place: usize, arm: &Arm| match self.0.ramp.get(step) {
            None => arm.weight / all,
            Some(step) if place == 0 => 1.0 - step.share,
            Some(step) => step.share * arm.weight / others,
        };
        arms.iter()
            .enumerate()
            .map(|(place, arm)| share(place, arm))
            .collect()
    }

    /// Draws an arm at random.
    fn draw(&self, step: usize) -> usize {
        let mut bytes = [0; 8];
        fill_random(&mut bytes);
        #[allow(clippy::cast_precision_loss, reason = "53 bits")]
        let mut at = (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64;
        let shares = self.shares(step);
        let place = shares.iter().position(|share| {
            at -= share;
            at < 0.0
        });
        place.unwrap_or(0)
    }

    /// Returns what stands for an arm in offers.
    fn digest_of(&self, visit: ArmVisit) -> NameDigest {
        let known = self.0.digests.iter().find(|(_, other)| *other == visit);
        known.map_or_else(NameDigest::default, |(digest, _)| *digest)
    }

    /// Returns what a valid offer for a route says about the visitor. `None` if it is of no arm, or of
    /// one that was removed.
    pub(crate) fn carried(
        &self,
        route: &Arc<str>,
        nonce: [u8; 16],
        arm: NameDigest,
    ) -> Option<Carried> {
        let (_, visit) = self.0.digests.iter().find(|(digest, _)| *digest == arm)?;
        let assignment = self.assignment(route, *visit, None, None);
        Some(Carried::new(nonce, arm, visit.place, assignment))
    }

    fn assignment(
        &self,
        route: &Arc<str>,
        visit: ArmVisit,
        bucket: Option<u8>,
        segment: Option<Arc<str>>,
    ) -> Assignment {
        Assignment {
            route: Arc::clone(route),
            arm: Arc::clone(&self.0.arms[visit.place].name),
            ramp_step: visit.ramp_step,
            first: visit.first,
            bucket,
            segment,
        }
    }

    /// Assigns a visitor of a route. `None` if the visitor takes no part.
    pub(crate) fn assign(
        &self,
        route: &Arc<str>,
        head: &ExperimentHead,
        keys: &OfferKeys,
        now: SystemTime,
    ) -> Option<Assigned> {
        self.tell_stop();
        let step = self.step_at(now)?;
        let head = head.said()?;
        if let Some(carried) = &head.carried {
            return Some(Assigned {
                carried: carried.clone(),
                is_new: false,
                cookie: None,
            });
        }
        // A receipt that was not recorded as shown must not count later.
        if head.is_prefetch {
            return None;
        }
        let inner = &self.0;
        let known = head.cookie.filter(|_| inner.cookie).and_then(|cookie| {
            let place = inner.arms.iter().position(|arm| arm.digest == cookie.arm)?;
            let max = inner.max_share.unwrap_or(1.0);
            (!inner.shares.is_above(place, max)).then_some((place, cookie))
        });
        if known.is_none() && inner.consent && !head.has_consent {
            return None;
        }
        let (visit, bucket, cookie) = match known {
            Some((place, cookie)) => {
                let visit = ArmVisit {
                    place,
                    ramp_step: cookie.ramp_step.min(u8::try_from(step).unwrap_or(u8::MAX)),
                    first: Some(false),
                };
                (visit, Some(cookie.bucket), None)
            }
            None => {
                let place = self.draw(step);
                let mut bucket = [0];
                fill_random(&mut bucket);
                let visit = ArmVisit {
                    place,
                    ramp_step: u8::try_from(step).unwrap_or(u8::MAX),
                    // A cookie that does not count any more tells that it is no first visit.
                    first: inner.cookie.then_some(head.cookie.is_none()),
                };
                let cookie = ArmCookie {
                    experiment: inner.digest,
                    arm: inner.arms[place].digest,
                    ramp_step: visit.ramp_step,
                    bucket: bucket[0],
                };
                let ttl = match inner.until {
                    Some(until) => until.duration_since(now).unwrap_or_default(),
                    None => COOKIE_TTL,
                };
                let cookie = inner.cookie.then(|| cookie.set(keys, now, ttl));
                (visit, inner.cookie.then_some(bucket[0]), cookie)
            }
        };
        let mut nonce = [0; 16];
        fill_random(&mut nonce);
        inner.shares.count(visit.place);
        Some(Assigned {
            carried: Carried::new(
                nonce,
                self.digest_of(visit),
                visit.place,
                self.assignment(route, visit, bucket, head.segment.clone()),
            ),
            is_new: true,
            cookie: cookie.map(Arc::from),
        })
    }

    /// Returns whether a page reports a step of a receipt for the first time.
    pub(crate) fn is_first_note(&self, nonce: &[u8; 16], event: &str) -> bool {
        let mut id = *nonce;
        // Receipts are random, so no other one is likely to be this.
        id.iter_mut()
            .zip(event.bytes())
            .for_each(|(byte, letter)| *byte ^= letter);
        let is_first = !self.0.notes.has(&id);
        if is_first {
            self.0.notes.add(id);
        }
        is_first
    }

    /// Records what happened to a visitor.
    pub(crate) fn record(&self, receipt: &ExperimentReceipt, step: FunnelStep, at: SystemTime) {
        count!(
            "human_check_experiment_steps_total",
            "experiment" => &*self.0.name, "arm" => &*receipt.assignment.arm, "step" => step.as_str(),
        );
        self.0.sink.record(ExperimentEvent {
            at,
            receipt: receipt.receipt,
            assignment: Some(receipt.assignment.clone()),
            step,
        });
    }

    /// Returns the receipt that [`ExperimentReceipt`] wrote as text, and its arm if it is still known.
    pub(crate) fn parse(
        &self,
        route: &Arc<str>,
        text: &str,
    ) -> Result<(Receipt, Option<ExperimentReceipt>), ReceiptError> {
        let (receipt, arm) = text.split_once('.').unwrap_or((text, ""));
        let receipt: Receipt = receipt.parse()?;
        let known = self.0.digests.iter().find(|(digest, _)| hex(digest) == arm);
        let carried =
            known.and_then(|(digest, _)| self.carried(route, *receipt.as_bytes(), *digest));
        Ok((receipt, carried.map(|carried| carried.receipt())))
    }

    /// Records what became of a receipt whose arm is not known here.
    pub(crate) fn record_receipt(&self, receipt: Receipt, step: FunnelStep, at: SystemTime) {
        self.0.sink.record(ExperimentEvent {
            at,
            receipt,
            assignment: None,
            step,
        });
    }
}

impl fmt::Debug for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Experiment")
            .field("name", &self.0.name)
            .field("stopped", &self.0.switch.is_stopped())
            .finish_non_exhaustive()
    }
}
