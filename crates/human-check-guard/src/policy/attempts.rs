use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use human_check_core::{Clock, SystemClock};

/// Whose attempts are counted: a visitor's address, an account, both.
///
/// Only a keyed digest of it is kept in memory, and `Debug` shows nothing.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct AttemptKey(String);

impl AttemptKey {
    /// The attempts from one address. An IPv6 visitor has a whole /64 and is counted by it.
    pub fn address(ip: IpAddr) -> Self {
        Self(format!("ip:{}", network(ip)))
    }

    /// The challenges that one address took, which are no attempts at anything else.
    pub(crate) fn challenges(ip: IpAddr) -> Self {
        Self(format!("challenges:{}", network(ip)))
    }

    /// The attempts on one account, or of whatever else you name.
    pub fn named(name: impl fmt::Display) -> Self {
        Self(format!("name:{name}"))
    }

    /// The key as text, for stores that live elsewhere. It may hold an address or a name: digest it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
    }
}

impl fmt::Debug for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptKey([redacted])")
    }
}

/// A store that could not count. The guard then asks for a challenge.
#[derive(Debug)]
pub struct AttemptStoreError(Box<dyn std::error::Error + Send + Sync>);

impl AttemptStoreError {
    /// Says why. The cause must not show a key.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for AttemptStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("attempts could not be counted")
    }
}

impl std::error::Error for AttemptStoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// Counts attempts per key. A window begins with a key's first attempt and ends after its length.
#[async_trait]
pub trait AttemptStore: fmt::Debug + Send + Sync + 'static {
    /// Counts one more attempt and says how many there are now in this window.
    ///
    /// Atomic: of two callers each sees its own number. Dropping the future may leave the attempt
    /// counted or not.
    ///
    /// # Errors
    ///
    /// [`AttemptStoreError`] when the store cannot be reached.
    async fn add(&self, key: &AttemptKey, window: Duration) -> Result<u32, AttemptStoreError>;

    /// How many attempts there were in this window.
    ///
    /// # Errors
    ///
    /// [`AttemptStoreError`] when the store cannot be reached.
    async fn count(&self, key: &AttemptKey) -> Result<u32, AttemptStoreError>;

    /// Forgets a key's attempts, for example after a login that succeeded.
    ///
    /// # Errors
    ///
    /// [`AttemptStoreError`] when the store cannot be reached.
    async fn clear(&self, key: &AttemptKey) -> Result<(), AttemptStoreError>;
}

#[async_trait]
impl<S: AttemptStore + ?Sized> AttemptStore for Arc<S> {
    async fn add(&self, key: &AttemptKey, window: Duration) -> Result<u32, AttemptStoreError> {
        (**self).add(key, window).await
    }

    async fn count(&self, key: &AttemptKey) -> Result<u32, AttemptStoreError> {
        (**self).count(key).await
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), AttemptStoreError> {
        (**self).clear(key).await
    }
}

/// Attempts counted in this process, for so many keys and no more.
///
/// When it is full, ended windows are dropped; if that frees nothing, keys it does not know count
/// as having tried very often. Whoever floods it makes more visitors solve a challenge and lets
/// nobody past one.
#[derive(Clone)]
pub struct MemoryAttemptStore {
    counts: Arc<Mutex<Counts>>,
    capacity: usize,
    digest: [RandomState; 2],
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Counts {
    by_key: HashMap<u128, Count>,
    /// When a full store looks for ended windows again. Looking at all of them for every request
    /// would let whoever floods it stop the rest.
    swept_again: Option<SystemTime>,
}

#[derive(Clone, Copy)]
struct Count {
    attempts: u32,
    ends: SystemTime,
}

impl MemoryAttemptStore {
    /// Room for `capacity` keys, about 64 bytes each.
    pub fn new(capacity: usize) -> Self {
        Self {
            counts: Arc::default(),
            capacity,
            digest: [RandomState::new(), RandomState::new()],
            clock: Arc::new(SystemClock),
        }
    }

    /// Tells the end of windows by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    fn digest(&self, key: &AttemptKey) -> u128 {
        let [high, low] = self.digest.each_ref().map(|hash| hash.hash_one(key));
        u128::from(high) << 64 | u128::from(low)
    }

    fn with_counts<R>(&self, work: impl FnOnce(&mut Counts, SystemTime) -> R) -> R {
        let now = self.clock.now();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut counts, now)
    }

    fn is_full(&self, counts: &mut Counts, now: SystemTime) -> bool {
        if counts.by_key.len() < self.capacity {
            return false;
        }
        let second = Duration::from_secs(1);
        // Much later than a second from now it is when the clock was set back.
        let waits = |again: SystemTime| again > now && again <= now + second;
        if !counts.swept_again.is_some_and(waits) {
            counts.by_key.retain(|_, count| count.ends > now);
            counts.swept_again = Some(now + second);
        }
        counts.by_key.len() >= self.capacity
    }
}

/// No window is longer, so that its end can be told.
const MAX_WINDOW: Duration = Duration::from_secs(366 * 24 * 3_600);

/// What a key counts that there was no room for.
const UNCOUNTED: u32 = u32::MAX;

#[async_trait]
impl AttemptStore for MemoryAttemptStore {
    async fn add(&self, key: &AttemptKey, window: Duration) -> Result<u32, AttemptStoreError> {
        let key = self.digest(key);
        Ok(self.with_counts(|counts, now| {
            if let Some(count) = counts.by_key.get_mut(&key).filter(|count| count.ends > now) {
                count.attempts = count.attempts.saturating_add(1);
                return count.attempts;
            }
            counts.by_key.remove(&key);
            if self.is_full(counts, now) {
                return UNCOUNTED;
            }
            let ends = now + window.min(MAX_WINDOW);
            counts.by_key.insert(key, Count { attempts: 1, ends });
            1
        }))
    }

    async fn count(&self, key: &AttemptKey) -> Result<u32, AttemptStoreError> {
        let key = self.digest(key);
        Ok(
            self.with_counts(|counts, now| match counts.by_key.get(&key).copied() {
                Some(count) if count.ends > now => count.attempts,
                _ if self.is_full(counts, now) => UNCOUNTED,
                _ => 0,
            }),
        )
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), AttemptStoreError> {
        let key = self.digest(key);
        self.with_counts(|counts, _| counts.by_key.remove(&key));
        Ok(())
    }
}

impl fmt::Debug for MemoryAttemptStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryAttemptStore")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use human_check_testkit::ManualClock;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_window_begins_with_the_first_attempt_and_ends() {
        let clock = ManualClock::starting_now();
        let attempts = MemoryAttemptStore::new(10).with_clock(clock.clone());
        let key = AttemptKey::named("ada");
        assert_eq!(attempts.add(&key, MINUTE).await.unwrap(), 1);
        clock.advance(MINUTE / 2);
        assert_eq!(attempts.add(&key, MINUTE).await.unwrap(), 2);
        assert_eq!(attempts.count(&AttemptKey::named("bob")).await.unwrap(), 0);
        clock.advance(MINUTE / 2);
        assert_eq!(attempts.count(&key).await.unwrap(), 0);
        assert_eq!(attempts.add(&key, MINUTE).await.unwrap(), 1);
        attempts.clear(&key).await.unwrap();
        assert_eq!(attempts.count(&key).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_full_store_forgets_nothing_and_lets_nothing_past() {
        let clock = ManualClock::starting_now();
        let attempts = MemoryAttemptStore::new(2).with_clock(clock.clone());
        let key = |n: u32| AttemptKey::named(n);
        assert_eq!(attempts.add(&key(1), MINUTE).await.unwrap(), 1);
        assert_eq!(attempts.add(&key(2), MINUTE).await.unwrap(), 1);
        assert_eq!(attempts.add(&key(3), MINUTE).await.unwrap(), UNCOUNTED);
        assert_eq!(attempts.count(&key(4)).await.unwrap(), UNCOUNTED);
        assert_eq!(attempts.add(&key(1), MINUTE).await.unwrap(), 2);
        clock.advance(MINUTE);
        assert_eq!(attempts.count(&key(4)).await.unwrap(), 0);
        assert_eq!(attempts.add(&key(3), MINUTE).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_full_store_is_swept_once_a_second_at_most() {
        let clock = ManualClock::starting_now();
        let attempts = MemoryAttemptStore::new(1).with_clock(clock.clone());
        let millis = Duration::from_millis;
        attempts
            .add(&AttemptKey::named(1), millis(10))
            .await
            .unwrap();
        let other = AttemptKey::named(2);
        let count = || attempts.count(&other);
        assert_eq!(count().await.unwrap(), UNCOUNTED);
        clock.advance(millis(500));
        assert_eq!(
            count().await.unwrap(),
            UNCOUNTED,
            "ended, and not yet noticed"
        );
        clock.advance(millis(500));
        assert_eq!(count().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_window_without_end_ends() {
        let attempts = MemoryAttemptStore::new(1);
        let key = AttemptKey::named("ada");
        assert_eq!(attempts.add(&key, Duration::MAX).await.unwrap(), 1);
    }

    #[test]
    fn an_ipv6_visitor_is_a_network_and_a_wrapped_address_itself() {
        let key = |ip: &str| AttemptKey::address(ip.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::3"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::3"), key("2001:db8:1:3::3"));
        assert_eq!(key("::ffff:203.0.113.7"), key("203.0.113.7"));
        assert_ne!(key("203.0.113.7"), key("203.0.113.8"));
        assert!(!format!("{:?}", key("203.0.113.7")).contains("203"));
    }
}
