use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::{Clock, SystemClock};

use super::attempts::{AttemptKey, AttemptStore, AttemptStoreError};

/// An [`AttemptStore`] in the memory of this process, for a limited number of keys.
///
/// Clones share the counts. When the store is full, it drops windows that have ended, a part of the
/// store at a time and each part at most once a second. If that frees no room, every key that it does not hold has the count [`u32::MAX`]. So
/// an attacker who floods the store causes more challenges, and no request avoids one.
///
/// ```
/// use std::time::Duration;
///
/// use human_check_guard::{AttemptKey, AttemptStore, MemoryAttemptStore};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let failures = MemoryAttemptStore::new(100_000);
/// let account = AttemptKey::named("ada@example.com");
/// assert_eq!(failures.add(&account, Duration::from_secs(600)).await?, 1);
/// failures.clear(&account).await?;
/// assert_eq!(failures.count(&account).await?, 0);
/// # Ok::<(), human_check_guard::AttemptStoreError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryAttemptStore {
    shared: Arc<Shared>,
    capacity: usize,
    digest: [RandomState; 2],
    clock: Arc<dyn Clock>,
}

/// The counts, in parts with a lock each. So threads seldom wait for each other, and a part is small
/// enough to be searched or to grow while a request waits.
struct Shared {
    parts: Box<[Mutex<Counts>]>,
    /// The number of keys in all parts.
    keys: AtomicUsize,
    /// The part that a full store looks through next.
    next_part: AtomicUsize,
}

#[derive(Default)]
struct Counts {
    by_key: HashMap<u128, Count>,
    /// The time from which a full store may look for ended windows again. A search visits every
    /// key; one search for each request would let a flood slow down all other requests.
    next_sweep: Option<Duration>,
}

/// How many keys a part has at most on average. A search through so many takes a fraction of a
/// millisecond.
const KEYS_OF_A_PART: usize = 1_024;

#[derive(Clone, Copy)]
struct Count {
    attempts: u32,
    /// The uptime at which the window ends.
    ends: Duration,
}

impl Count {
    /// Adds an attempt, to a new window if this one has ended. Returns the number of attempts.
    fn add(&mut self, now: Duration, ends: Duration) -> u32 {
        if self.ends > now {
            self.attempts = self.attempts.saturating_add(1);
        } else {
            *self = Self { attempts: 1, ends };
        }
        self.attempts
    }
}

impl MemoryAttemptStore {
    /// Creates a store for `capacity` keys. It needs about 64 bytes for each key.
    pub fn new(capacity: usize) -> Self {
        let parts = (capacity / KEYS_OF_A_PART).clamp(1, 4_096);
        Self {
            shared: Arc::new(Shared {
                parts: (0..parts).map(|_| Mutex::default()).collect(),
                keys: AtomicUsize::new(0),
                next_part: AtomicUsize::new(0),
            }),
            capacity,
            digest: [RandomState::new(), RandomState::new()],
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the clock by which windows end. Default [`SystemClock`]. Tests use another one.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    fn digest(&self, key: &AttemptKey) -> u128 {
        let [high, low] = self.digest.each_ref().map(|hash| hash.hash_one(key));
        u128::from(high) << 64 | u128::from(low)
    }

    /// Locks the part that has the count of a key.
    fn part_of(&self, key: u128) -> MutexGuard<'_, Counts> {
        // The lower bits select the place in the part's table.
        let index = (key >> 64) as usize % self.shared.parts.len();
        lock(&self.shared.parts[index])
    }

    /// Takes the place of a further key. Returns `false` if the store is full, also after a search
    /// for ended windows if one is due. Call it without a lock.
    fn take_place(&self, now: Duration) -> bool {
        let places = &self.shared.keys;
        let take = || {
            let taken = places.fetch_add(1, Ordering::Relaxed) < self.capacity;
            if !taken {
                places.fetch_sub(1, Ordering::Relaxed);
            }
            taken
        };
        take() || (self.sweep(now) && take())
    }

    /// Drops the ended windows of the next parts, until there was one. Returns whether there was.
    fn sweep(&self, now: Duration) -> bool {
        // A request pays for a few parts. The next requests look through the others.
        let parts = self.shared.parts.len().min(4);
        (0..parts).any(|_| self.sweep_next(now))
    }

    /// Drops the ended windows of the next part, if its last search is long enough ago. Returns
    /// whether there were any.
    fn sweep_next(&self, now: Duration) -> bool {
        let next = self.shared.next_part.fetch_add(1, Ordering::Relaxed);
        let mut counts = lock(&self.shared.parts[next % self.shared.parts.len()]);
        if counts.next_sweep.is_some_and(|next| next > now) {
            return false;
        }
        counts.next_sweep = Some(now + Duration::from_secs(1));
        let before = counts.by_key.len();
        counts.by_key.retain(|_, count| count.ends > now);
        let ended = before - counts.by_key.len();
        self.shared.keys.fetch_sub(ended, Ordering::Relaxed);
        ended > 0
    }
}

fn lock(part: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The longest window. A longer one could end at a time that the clock cannot represent.
const MAX_WINDOW: Duration = Duration::from_secs(366 * 24 * 3_600);

/// The count of a key for which there is no room.
const UNCOUNTED: u32 = u32::MAX;

#[async_trait]
impl AttemptStore for MemoryAttemptStore {
    async fn add(&self, key: &AttemptKey, window: Duration) -> Result<u32, AttemptStoreError> {
        let (key, now) = (self.digest(key), self.clock.uptime());
        let ends = now + window.min(MAX_WINDOW);
        if let Some(count) = self.part_of(key).by_key.get_mut(&key) {
            return Ok(count.add(now, ends));
        }
        if !self.take_place(now) {
            return Ok(UNCOUNTED);
        }
        match self.part_of(key).by_key.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(Count { attempts: 1, ends });
                Ok(1)
            }
            // Another thread has begun the window meanwhile.
            Entry::Occupied(mut occupied) => {
                self.shared.keys.fetch_sub(1, Ordering::Relaxed);
                Ok(occupied.get_mut().add(now, ends))
            }
        }
    }

    async fn count(&self, key: &AttemptKey) -> Result<u32, AttemptStoreError> {
        let (key, now) = (self.digest(key), self.clock.uptime());
        let count = self.part_of(key).by_key.get(&key).copied();
        if let Some(count) = count.filter(|count| count.ends > now) {
            return Ok(count.attempts);
        }
        // A key with an ended window keeps its place.
        if count.is_some() || self.shared.keys.load(Ordering::Relaxed) < self.capacity {
            return Ok(0);
        }
        Ok(if self.sweep(now) { 0 } else { UNCOUNTED })
    }

    async fn clear(&self, key: &AttemptKey) -> Result<(), AttemptStoreError> {
        let key = self.digest(key);
        if self.part_of(key).by_key.remove(&key).is_some() {
            self.shared.keys.fetch_sub(1, Ordering::Relaxed);
        }
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
    use crate::policy::attempts::add_attempt;
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
            "ended, and the next sweep is not due"
        );
        clock.advance(millis(500));
        assert_eq!(count().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_keeps_no_window_open() {
        let clock = ManualClock::starting_now();
        let attempts = MemoryAttemptStore::new(1).with_clock(clock.clone());
        let key = AttemptKey::named("ada");
        assert_eq!(attempts.add(&key, MINUTE).await.unwrap(), 1);
        clock.set(clock.now() - Duration::from_secs(3 * 3_600));
        clock.advance(MINUTE);
        assert_eq!(attempts.count(&key).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_window_without_end_ends() {
        let attempts = MemoryAttemptStore::new(1);
        let key = AttemptKey::named("ada");
        assert_eq!(attempts.add(&key, Duration::MAX).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn one_wide_network_cannot_fill_a_store() {
        let attempts = MemoryAttemptStore::new(5_000);
        let add = async |ip: String| {
            let key = AttemptKey::address(ip.parse().unwrap());
            add_attempt(&attempts, &key, MINUTE).await.unwrap()
        };
        for network in 0..40_765_u32 {
            let count = add(format!("2001:db8:1:{network:x}::1")).await;
            let expected = if network < 1_000 { 1 } else { UNCOUNTED };
            assert_eq!(count, expected, "{network}");
        }
        assert_eq!(
            add("2001:db8:2:1::1".to_owned()).await,
            1,
            "another network has room"
        );
        assert_eq!(add("203.0.113.7".to_owned()).await, 1);
        assert!(attempts.shared.keys.load(Ordering::Relaxed) < 1_010);
    }

    #[tokio::test]
    async fn a_large_full_store_finds_room_in_all_of_its_parts() {
        const KEYS: u32 = 40_000;
        let clock = ManualClock::starting_now();
        let attempts = MemoryAttemptStore::new(KEYS as usize).with_clock(clock.clone());
        let add = async |n: u32| attempts.add(&AttemptKey::named(n), MINUTE).await.unwrap();
        assert!(attempts.shared.parts.len() > 1);
        for n in 0..KEYS {
            assert_eq!(add(n).await, 1, "{n}");
        }
        assert_eq!(add(KEYS).await, UNCOUNTED);
        assert_eq!(add(7).await, 2, "a key that it holds goes on");
        clock.advance(MINUTE);
        let uncounted = async |keys: std::ops::Range<u32>| {
            let mut uncounted = 0;
            for n in keys {
                uncounted += u32::from(add(n).await == UNCOUNTED);
            }
            uncounted
        };
        assert_eq!(uncounted(KEYS..2 * KEYS).await, 0, "all windows have ended");
        assert_eq!(uncounted(2 * KEYS..2 * KEYS + 100).await, 100, "full again");
    }

    #[test]
    fn threads_that_begin_one_window_count_together() {
        let attempts = MemoryAttemptStore::new(100);
        let counts: Vec<_> = (0..8)
            .map(|_| {
                let attempts = attempts.clone();
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build();
                    runtime.unwrap().block_on(async {
                        for n in 0..1_000 {
                            let key = AttemptKey::named(n % 50);
                            attempts.add(&key, MINUTE).await.unwrap();
                        }
                    });
                })
            })
            .collect();
        counts.into_iter().for_each(|thread| thread.join().unwrap());
        let total: u32 = attempts.shared.parts.iter().map(lock).fold(0, |sum, part| {
            sum + part
                .by_key
                .values()
                .map(|count| count.attempts)
                .sum::<u32>()
        });
        assert_eq!(total, 8_000);
        assert_eq!(attempts.shared.keys.load(Ordering::Relaxed), 50);
    }
}
