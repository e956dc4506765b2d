use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use human_check_core::{
    Capabilities, CheckError, Clock, ConfigError, ErrorKind, Health, HumanCheck, Provider,
    Submission, SystemClock, Verdict,
};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::counter::set;
use crate::policy::uncounted;
use crate::{AttemptKey, AttemptStore, AttemptStoreError};

/// The reason of the error of a check whose quota is nearly used up. The calls of all machines tell it, so
/// it is a trouble of the account, unlike a limit of this process.
pub(crate) const OWN_QUOTA: &str = "own-quota";

/// How long the count of a month is kept.
const KEPT: Duration = Duration::from_secs(40 * 86_400);

/// How long the store may take. No visitor waits for it.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// The share of the quota from which on a warning is due.
const WARNING: f64 = 0.8;

/// How much of a month must be over before it says something about the rest.
const FORECAST_AFTER: Duration = Duration::from_secs(2 * 86_400);

/// A check whose calls are counted by month, on all machines that share a store.
///
/// A provider that bills calls, or stops at a quota, counts them in months; these are months of UTC. At
/// 80 % of the quota, and when the calls so far lead beyond it by the end of the month, one `WARN` event
/// of the target `human_check_guard` says so. With [`with_stop_at`](Self::with_stop_at) the check
/// declines from a share on, so that a fallback takes over.
///
/// A call counts once it may have reached the provider, also if the visitor has left. A check that repeats
/// its request counts once. Health probes count. The count is written after the call, so no visitor waits
/// for the store, and calls under way go beyond the limit. While the store fails, calls are not counted,
/// and the check goes on.
///
/// **An attacker can use the quota up** by sending tokens, and so lead all visitors to the fallback.
///
/// With the feature `metrics` it sets the gauges `human_check_quota_calls`, `human_check_quota_limit`
/// and `human_check_quota_forecast`, each with the label `account`.
///
/// ```
/// use std::sync::Arc;
///
/// use human_check_core::{ConfigError, HumanCheck};
/// use human_check_guard::{MemoryAttemptStore, MonthlyQuota};
///
/// fn counted(hcaptcha: impl HumanCheck) -> Result<impl HumanCheck, ConfigError> {
///     let store = Arc::new(MemoryAttemptStore::new(100));
///     MonthlyQuota::new(hcaptcha, "hcaptcha", store, 100_000)?.with_stop_at(0.95)
/// }
/// ```
#[derive(Clone)]
pub struct MonthlyQuota<C> {
    check: C,
    count: Arc<Count>,
    /// The number of calls from which on it declines.
    stop_at: Option<u32>,
}

/// The count of one account, which the calls under way share.
struct Count {
    account: Arc<str>,
    store: Arc<dyn AttemptStore>,
    quota: u32,
    clock: Arc<dyn Clock>,
    /// The month and the calls of it that are known.
    known: AtomicU64,
    /// The month and the warnings that were logged in it.
    warned: AtomicU64,
}

/// A month of UTC.
#[derive(Clone, Copy)]
struct Month {
    first: Date,
    /// How much of it is over.
    over: Duration,
    length: Duration,
}

impl Month {
    fn at(now: SystemTime) -> Self {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
        let first = TimeZone::UTC.to_datetime(now).date().first_of_month();
        let next = first.saturating_add(1.month());
        let start = |date: Date| {
            let start = TimeZone::UTC.to_timestamp(date.to_datetime(Time::midnight()));
            start.unwrap_or(now)
        };
        let between = |from: Timestamp, until: Timestamp| {
            Duration::try_from(until.duration_since(from)).unwrap_or_default()
        };
        Self {
            first,
            over: between(start(first), now),
            length: between(start(first), start(next)),
        }
    }

    /// Returns a number that grows from month to month.
    fn number(self) -> u32 {
        let year = u32::try_from(self.first.year()).unwrap_or_default();
        year * 12 + u32::try_from(self.first.month()).unwrap_or_default()
    }

    /// Returns the key of an account's calls, with the name of the month, such as `2026-11`.
    fn key(self, account: &str) -> AttemptKey {
        let (year, month) = (self.first.year(), self.first.month());
        AttemptKey::named(format!("quota:{account}:{year:04}-{month:02}"))
    }

    /// Returns how many calls the whole month has at the rate so far. `None` in its first two days.
    fn forecast(self, calls: u32) -> Option<f64> {
        let share = self.length.as_secs_f64() / self.over.as_secs_f64();
        (self.over >= FORECAST_AFTER).then_some(f64::from(calls) * share)
    }
}

/// How many calls of this month an account with a [`MonthlyQuota`] has used.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct QuotaUse {
    /// The calls of this month (UTC) so far, of all machines that share the store.
    pub calls: u32,
    /// The calls of the whole month at the rate so far. `None` in its first two days.
    pub forecast: Option<f64>,
}

impl QuotaUse {
    /// Reads the calls of an account from the store that its [`MonthlyQuota`] counts them in.
    ///
    /// # Errors
    ///
    /// [`AttemptStoreError`] when the store fails, or does not reply within five seconds.
    pub async fn read(store: &dyn AttemptStore, account: &str) -> Result<Self, AttemptStoreError> {
        let month = Month::at(SystemClock.now());
        let key = month.key(account);
        let counted = timeout(STORE_TIMEOUT, store.count(&key)).await;
        let calls = counted.unwrap_or_else(|late| Err(AttemptStoreError::new(late)))?;
        Ok(Self {
            calls,
            forecast: month.forecast(calls),
        })
    }

    /// Returns how much of a quota is used or will be: whether it is used up, and otherwise whether a
    /// warning is due, at 80 % or because it does not last until the end of the month.
    pub fn of_quota(&self, quota: u32) -> QuotaState {
        let (used, quota) = (f64::from(self.calls), f64::from(quota));
        match used {
            used if used >= quota => QuotaState::UsedUp,
            used if used >= quota * WARNING => QuotaState::NearlyUsedUp,
            _ if self.forecast.is_some_and(|forecast| forecast > quota) => QuotaState::WillNotLast,
            _ => QuotaState::Lasts,
        }
    }
}

/// How far a monthly quota is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum QuotaState {
    /// It lasts until the end of the month, as far as can be told.
    Lasts,
    /// At the rate so far it does not last until the end of the month.
    WillNotLast,
    /// 80 % of it are used, or more.
    NearlyUsedUp,
    /// All of it is used.
    UsedUp,
}

impl<C: HumanCheck> MonthlyQuota<C> {
    /// Creates a check that counts the calls of `account` in `store`, for a quota of `calls` a month.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `calls` is 0.
    pub fn new(
        check: C,
        account: impl Into<Arc<str>>,
        store: Arc<dyn AttemptStore>,
        calls: u32,
    ) -> Result<Self, ConfigError> {
        if calls == 0 {
            return Err(ConfigError::new(
                "monthly_quota",
                "is 0, so no call would be left",
                "write how many calls of a month the account has, or leave it out",
            ));
        }
        let count = Count {
            account: account.into(),
            store,
            quota: calls,
            clock: Arc::new(SystemClock),
            known: AtomicU64::new(0),
            warned: AtomicU64::new(0),
        };
        set!("human_check_quota_limit", f64::from(calls), "account" => &*count.account);
        Ok(Self {
            check,
            count: Arc::new(count),
            stop_at: None,
        })
    }

    /// Sets the share of the quota from which on the check declines, above 0 and at most 1: the error is
    /// [`ErrorKind::Declined`], `own-quota`. Default: never.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the share is outside of that, or no number.
    pub fn with_stop_at(mut self, share: f64) -> Result<Self, ConfigError> {
        if !(share > 0.0 && share <= 1.0) {
            return Err(ConfigError::new(
                "quota_stop_at",
                format!("is {share}, and not above 0 and at most 1"),
                "write a share of the quota, such as 0.95, or leave it out",
            ));
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most the quota"
        )]
        let stop_at = (f64::from(self.count.quota) * share).ceil() as u32;
        self.stop_at = Some(stop_at);
        Ok(self)
    }

    /// Sets the clock that tells the month. Default [`SystemClock`].
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        let count = &*self.count;
        self.count = Arc::new(Count {
            account: Arc::clone(&count.account),
            store: Arc::clone(&count.store),
            quota: count.quota,
            clock: Arc::new(clock),
            known: AtomicU64::new(0),
            warned: AtomicU64::new(0),
        });
        self
    }

    /// Begins a call, which counts when the result is dropped.
    fn call(&self) -> Call {
        Call(Some(Arc::clone(&self.count)))
    }
}

/// A call under way.
struct Call(Option<Arc<Count>>);

impl Call {
    /// Ends a call that did not reach the provider.
    fn was_not_sent(mut self) {
        self.0 = None;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(count) = self.0.take() else { return };
        // Also where the visitor has left, which drops the call.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move { count.add().await })),
            Err(_) => uncounted("quota"),
        }
    }
}

impl Count {
    fn month(&self) -> Month {
        Month::at(self.clock.now())
    }

    /// Returns the calls of a month that are known.
    fn known(&self, month: Month) -> u32 {
        let known = self.known.load(Ordering::Relaxed);
        match known >> 32 == u64::from(month.number()) {
            true => u32::try_from(known & u64::from(u32::MAX)).unwrap_or(u32::MAX),
            false => 0,
        }
    }

    /// Counts one call on all machines.
    async fn add(&self) {
        let month = self.month();
        let key = month.key(&self.account);
        let added = timeout(STORE_TIMEOUT, self.store.add(&key, KEPT)).await;
        match added {
            // The highest number is that of a store without room.
            Ok(Ok(calls)) if calls != u32::MAX => self.learn(month, calls),
            _ => uncounted("quota"),
        }
    }

    /// Notes the calls of a month.
    fn learn(&self, month: Month, calls: u32) {
        let number = u64::from(month.number()) << 32;
        self.known
            .fetch_max(number | u64::from(calls), Ordering::Relaxed);
        let quota = f64::from(self.quota);
        let used = f64::from(calls);
        let forecast = month.forecast(calls).unwrap_or(used);
        set!("human_check_quota_calls", used, "account" => &*self.account);
        set!("human_check_quota_limit", quota, "account" => &*self.account);
        set!("human_check_quota_forecast", forecast, "account" => &*self.account);
        let so_far = QuotaUse {
            calls,
            forecast: month.forecast(calls),
        };
        let (due, text) = match so_far.of_quota(self.quota) {
            QuotaState::Lasts => return,
            QuotaState::WillNotLast => (
                1,
                "at this rate the monthly quota of the account does not last until the end of the month",
            ),
            QuotaState::NearlyUsedUp => (2, "80 % of the monthly quota of the account is used"),
            QuotaState::UsedUp => (3, "the monthly quota of the account is used up"),
        };
        // Each warning once a month.
        let before = self.warned.fetch_max(number | due, Ordering::Relaxed);
        if before >= number | due {
            return;
        }
        tracing::warn!(
            target: "human_check_guard",
            account = &*self.account,
            calls,
            quota = self.quota,
            forecast = forecast.round(),
            "{text}"
        );
    }
}

#[async_trait]
impl<C: HumanCheck> HumanCheck for MonthlyQuota<C> {
    fn providers(&self) -> &[Provider] {
        self.check.providers()
    }

    fn capabilities(&self) -> Capabilities {
        self.check.capabilities()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let used_up = |stop_at: u32| self.count.known(self.count.month()) >= stop_at;
        if self.stop_at.is_some_and(used_up)
            && let Some(provider) = self.check.providers().first()
        {
            let error = CheckError::new(ErrorKind::Declined, provider, OWN_QUOTA);
            return Err(error.with_token_unused());
        }
        // A submission without a usable token is refused without a call.
        if submission.precheck(self.check.providers()).is_err() {
            return self.check.check(submission).await;
        }
        let call = self.call();
        let outcome = self.check.check(submission).await;
        if outcome
            .as_ref()
            .is_err_and(|error| !error.token_may_be_used())
        {
            call.was_not_sent();
        }
        outcome
    }

    async fn probe_health(&self) -> Health {
        let _call = self.call();
        self.check.probe_health().await
    }
}

impl<C: fmt::Debug> fmt::Debug for MonthlyQuota<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonthlyQuota")
            .field("check", &self.check)
            .field("account", &self.count.account)
            .field("quota", &self.count.quota)
            .finish_non_exhaustive()
    }
}
