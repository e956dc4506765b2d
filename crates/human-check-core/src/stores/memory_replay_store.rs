use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::sync::{AtomicUsize, Mutex, Ordering, lock};
use crate::{ClaimError, Claimed, Clock, DigestKey, ReplayStore, SystemClock, TokenId};

/// Spent tokens remembered in this process, so many and no more.
///
/// When it is full it refuses new claims instead of forgetting old ones. Only tokens that a provider
/// called human's are claimed, so junk cannot fill it. About 36 bytes a token while claims are
/// steady, up to twice that just after a table has grown.
///
/// One process knows nothing of another: behind a load balancer, share a store instead.
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

/// Two sets instead of a time for every token: a token goes into the young one, and a whole
/// generation is dropped when everything in it is older than the longest ttl.
#[derive(Default)]
struct Generations {
    young: Digests,
    old: Digests,
    /// When the young one was begun.
    since: Duration,
}

type Digests = HashSet<u128, BuildHasherDefault<AsItIs>>;

/// Digests are as good as random already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
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

/// So that threads seldom wait for one another. Loom tries them all, and one is enough for that.
const SHARDS: usize = if cfg!(loom) { 1 } else { 16 };

impl MemoryReplayStore {
    /// Room for `capacity` tokens that live up to ten minutes, longer than any provider's.
    pub fn new(capacity: usize) -> Self {
        Self::build(capacity, Duration::from_secs(600), Arc::new(SystemClock))
    }

    /// Sets the longest ttl that a claim can have. Default ten minutes.
    ///
    /// The returned store is empty: call it before the store is used.
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        Self::build(self.0.capacity, ttl, Arc::clone(&self.0.clock))
    }

    /// Sets the clock. Default [`SystemClock`].
    ///
    /// The returned store is empty: call it before the store is used.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self::build(self.0.capacity, self.0.ttl, Arc::new(clock))
    }

    fn build(capacity: usize, ttl: Duration, clock: Arc<dyn Clock>) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Generations::default()));
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
        // Shards that nobody asked lately may still hold what has ended.
        for shard in &self.shards {
            self.age(&mut lock(shard), now);
        }
        self.try_claim(digest, now)
            .ok_or_else(|| ClaimError::new("store-full"))
    }

    /// `None` when there is no room.
    fn try_claim(&self, digest: u128, now: Duration) -> Option<Claimed> {
        // Bits that do not choose the place within a table.
        let shard = (digest >> 64) as usize % self.shards.len();
        let mut shard = lock(&self.shards[shard]);
        self.age(&mut shard, now);
        if shard.young.contains(&digest) || shard.old.contains(&digest) {
            return Some(Claimed::Duplicate);
        }
        if self.live.fetch_add(1, Ordering::Relaxed) >= self.capacity {
            self.live.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        shard.young.insert(digest);
        Some(Claimed::First)
    }

    fn age(&self, shard: &mut Generations, now: Duration) {
        let age = now.saturating_sub(shard.since);
        if age < self.ttl {
            return;
        }
        let gone = std::mem::replace(&mut shard.old, std::mem::take(&mut shard.young));
        let mut gone = gone.len();
        shard.since = now;
        if age >= self.ttl.saturating_mul(2) {
            gone += std::mem::take(&mut shard.old).len();
        }
        self.live.fetch_sub(gone, Ordering::Relaxed);
    }
}

#[async_trait]
impl ReplayStore for MemoryReplayStore {
    fn max_ttl(&self) -> Duration {
        self.0.ttl
    }

    async fn claim(&self, claim: TokenId<'_>, ttl: Duration) -> Result<Claimed, ClaimError> {
        if ttl > self.0.ttl {
            return Err(ClaimError::new("ttl-too-long"));
        }
        let digest = claim.digest(&self.0.key);
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

/// All interleavings.
#[cfg(all(test, loom))]
mod interleaved {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::time::SystemTime;

    use loom::thread;

    use super::*;

    /// Each look is a second later than the one before, so that claims race with generations.
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
        // The first look is at second 3, and the generation that it claims in ends before the second.
        // Four looks are within the ttl of the claim.
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
