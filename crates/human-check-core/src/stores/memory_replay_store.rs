use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::sync::{AtomicUsize, Mutex, Ordering, lock};
use crate::{ClaimError, Claimed, Clock, DigestKey, ReplayStore, SystemClock, TokenId};

/// A replay store in the memory of one process, with a fixed capacity.
///
/// A full store returns an error (`store-full`) for new claims and keeps the old ones. A
/// `ReplayGuard` claims only tokens that passed, so invalid tokens cannot fill the store. A token
/// takes about 36 bytes at a steady rate of claims, and up to twice that just after a table has
/// grown.
///
/// Processes do not share it, and a restart empties it. Behind a load balancer use a store that all
/// processes share.
///
/// ```
/// use human_check_core::{HumanCheck, HumanCheckExt, MemoryReplayStore};
///
/// fn without_replays(check: impl HumanCheck) -> impl HumanCheck {
///     check.replay_guard(MemoryReplayStore::new(100_000))
/// }
/// ```
///
/// Clones share one store.
#[derive(Clone)]
pub struct MemoryReplayStore(Arc<Inner>);

struct Inner {
    shards: Box<[Mutex<Generations>]>,
    live: AtomicUsize,
    capacity: usize,
    ttl: Duration,
    key: DigestKey,
    clock: Arc<dyn Clock>,
}

/// Two sets of digests, which save a time for each token.
///
/// A claim goes into `current`. After a ttl, `current` becomes `previous`, and the previous set, in
/// which every claim is older than the ttl, is dropped.
#[derive(Default)]
struct Generations {
    current: Digests,
    previous: Digests,
    /// When `current` was started.
    started: Duration,
}

type Digests = HashSet<u128, BuildHasherDefault<DigestHasher>>;

/// A hasher that returns bits of the digest, which is uniformly distributed already.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, digest: u128) {
        self.0 = digest as u64;
    }
}

/// Returns how many locks a store has. There are several, so that threads seldom wait for each other
/// and a table that grows is small: growing one of 2,048 digests takes a fraction of a millisecond.
/// One is enough for loom, which tries all interleavings and would need longer with more.
fn shards(capacity: usize) -> usize {
    if cfg!(loom) {
        return 1;
    }
    (capacity / 2_048).clamp(16, 1_024).next_power_of_two()
}

impl MemoryReplayStore {
    /// Creates a store for up to `capacity` tokens, with a ttl of ten minutes.
    ///
    /// That is longer than the tokens of most providers live; see the heading "Tokens" of the pages
    /// in docs/providers.
    pub fn new(capacity: usize) -> Self {
        Self::build(capacity, Duration::from_secs(600), Arc::new(SystemClock))
    }

    /// Sets the longest ttl that a claim can have. Default ten minutes.
    ///
    /// The store keeps every claim at least that long, and at most twice as long.
    ///
    /// The returned store is empty. Call it before the store is used.
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        Self::build(self.0.capacity, ttl, Arc::clone(&self.0.clock))
    }

    /// Sets the clock. Default [`SystemClock`].
    ///
    /// The returned store is empty. Call it before the store is used.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self::build(self.0.capacity, self.0.ttl, Arc::new(clock))
    }

    fn build(capacity: usize, ttl: Duration, clock: Arc<dyn Clock>) -> Self {
        let shards = (0..shards(capacity)).map(|_| Mutex::new(Generations::default()));
        Self(Arc::new(Inner {
            shards: shards.collect(),
            live: AtomicUsize::new(0),
            capacity,
            ttl,
            key: DigestKey::random(),
            clock,
        }))
    }
}

impl Inner {
    fn claim(&self, digest: u128) -> Result<Claimed, ClaimError> {
        let now = self.clock.uptime();
        if let Some(claimed) = self.try_claim(digest, now) {
            return Ok(claimed);
        }
        // Shards without recent claims may still hold claims that have expired.
        for shard in &self.shards {
            self.expire(&mut lock(shard), now);
        }
        self.try_claim(digest, now)
            .ok_or_else(|| ClaimError::new("store-full"))
    }

    /// Claims `digest`. Returns `None` if the store is full.
    fn try_claim(&self, digest: u128, now: Duration) -> Option<Claimed> {
        // The upper bits choose the shard, because the lower bits choose the place in a table.
        let shard = (digest >> 64) as usize % self.shards.len();
        let mut shard = lock(&self.shards[shard]);
        self.expire(&mut shard, now);
        if shard.current.contains(&digest) || shard.previous.contains(&digest) {
            return Some(Claimed::Duplicate);
        }
        if self.live.fetch_add(1, Ordering::Relaxed) >= self.capacity {
            self.live.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        shard.current.insert(digest);
        Some(Claimed::First)
    }

    /// Starts a new generation in `shard` when the current one is as old as the ttl.
    fn expire(&self, shard: &mut Generations, now: Duration) {
        let age = now.saturating_sub(shard.started);
        if age < self.ttl {
            return;
        }
        let expired = std::mem::replace(&mut shard.previous, std::mem::take(&mut shard.current));
        let mut expired = expired.len();
        shard.started = now;
        if age >= self.ttl.saturating_mul(2) {
            expired += std::mem::take(&mut shard.previous).len();
        }
        self.live.fetch_sub(expired, Ordering::Relaxed);
    }
}

#[async_trait]
impl ReplayStore for MemoryReplayStore {
    fn max_ttl(&self) -> Duration {
        self.0.ttl
    }

    async fn claim(&self, token: TokenId<'_>, ttl: Duration) -> Result<Claimed, ClaimError> {
        if ttl > self.0.ttl {
            return Err(ClaimError::new("ttl-too-long"));
        }
        let digest = token.digest(&self.0.key);
        self.0.claim(u128::from_le_bytes(digest))
    }
}

impl fmt::Debug for MemoryReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayStore")
            .field("capacity", &self.0.capacity)
            .field("ttl", &self.0.ttl)
            .finish_non_exhaustive()
    }
}

/// Tests of all interleavings of two threads.
#[cfg(all(test, loom))]
mod interleaved {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::time::SystemTime;

    use loom::thread;

    use super::*;

    /// A clock that advances by a second each time it is read, so that a generation ends between
    /// claims.
    #[derive(Debug)]
    struct Ticking(AtomicU64);

    impl Clock for Ticking {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }

        fn uptime(&self) -> Duration {
            Duration::from_secs(self.0.fetch_add(1, Relaxed))
        }
    }

    fn claims(store: &MemoryReplayStore, digests: &[u128]) -> [usize; 2] {
        let outcomes = digests.iter().map(|digest| store.0.claim(*digest));
        outcomes.fold([0, 0], |[first, full], outcome| match outcome {
            Ok(Claimed::First) => [first + 1, full],
            Ok(Claimed::Duplicate) => [first, full],
            Err(_) => [first, full + 1],
        })
    }

    fn two(capacity: usize, start: u64, ttl: u64, digests: &'static [u128]) -> [usize; 2] {
        let clock = Ticking(AtomicU64::new(start));
        let store = MemoryReplayStore::new(capacity)
            .with_ttl(Duration::from_secs(ttl))
            .with_clock(clock);
        let other = {
            let store = store.clone();
            thread::spawn(move || claims(&store, digests))
        };
        let [first, full] = claims(&store, digests);
        let [others_first, others_full] = other.join().unwrap();
        let live = store.0.live.load(Ordering::Relaxed);
        assert!(live <= capacity, "{live} places are taken of {capacity}");
        [first + others_first, full + others_full]
    }

    #[test]
    fn loom_of_two_claims_of_one_token_one_is_the_first() {
        loom::model(|| assert_eq!(two(4, 0, 600, &[7]), [1, 0]));
    }

    #[test]
    fn loom_a_claim_holds_while_generations_change() {
        // The first reading of the clock is 3 s. The generation of that claim ends at 4 s. All four
        // readings are within the ttl of the claim.
        loom::model(|| assert_eq!(two(4, 3, 4, &[7, 7])[0], 1));
    }

    #[test]
    fn loom_no_place_is_lost_or_taken_twice() {
        loom::model(|| {
            let [first, _] = two(1, 0, 600, &[7, 8]);
            assert_eq!(first, 1);
        });
    }
}
