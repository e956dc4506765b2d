use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::counter::count;

/// The key under which attempts are counted: a client's address, an account, or both.
///
/// [`MemoryAttemptStore`](crate::MemoryAttemptStore) keeps only a keyed digest of it, and `Debug` does not show it.
///
/// ```
/// use human_check_guard::AttemptKey;
///
/// let by_address = AttemptKey::address("203.0.113.7".parse().unwrap());
/// let by_account = AttemptKey::named("ada@example.com");
/// assert_ne!(by_address, by_account);
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct AttemptKey {
    text: String,
    /// The key of the /48 network, for an IPv6 address.
    wide: Option<String>,
}

impl AttemptKey {
    /// Creates the key of a client's address. All IPv6 addresses of one /64 network have the same
    /// key, because a single client often has the whole network.
    ///
    /// A trigger and a challenge endpoint also count the /48 network, in which one client can have
    /// 65,536 networks: beyond 1,000 attempts of a /48 in a window they count no further network of
    /// it, so it cannot fill a store.
    pub fn address(ip: IpAddr) -> Self {
        Self::of_network("ip", ip)
    }

    /// Creates the key for the challenges that an address fetches. They are counted apart from all
    /// other attempts.
    pub(crate) fn challenges(ip: IpAddr) -> Self {
        Self::of_network("challenges", ip)
    }

    /// Returns the key of the reports of failed widgets by one address.
    pub(crate) fn widget_failures(ip: IpAddr) -> Self {
        Self::of_network("widget-failures", ip)
    }

    fn of_network(kind: &str, ip: IpAddr) -> Self {
        Self {
            text: format!("{kind}:{}", network(ip)),
            wide: wide_network(ip).map(|wide| format!("{kind}:{wide}")),
        }
    }

    /// Returns the key of the wide network that an IPv6 address is in.
    fn wide(&self) -> Option<Self> {
        self.wide.clone().map(|text| Self { text, wide: None })
    }

    /// Creates a key from a name, for example of an account.
    pub fn named(name: impl fmt::Display) -> Self {
        Self {
            text: format!("name:{name}"),
            wide: None,
        }
    }

    /// Returns the key as text, for stores outside of the process. It may contain an address or a
    /// name, so a store should keep only a keyed digest of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Returns the address, or the /64 network of an IPv6 address.
fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
    }
}

/// Returns the /48 network of an IPv6 address.
fn wide_network(ip: IpAddr) -> Option<String> {
    match ip.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            Some(format!("{a:x}:{b:x}:{c:x}::/48"))
        }
    }
}

/// How many attempts of one wide network are counted by its narrow networks.
const MAX_WIDE_ATTEMPTS: u32 = 1_000;

/// Counts one attempt as [`AttemptStore::add`] does, and that of the wide network of an IPv6 address
/// before it. If the wide network has too many, the count is [`u32::MAX`], and no key is added.
pub(crate) async fn add_attempt(
    store: &dyn AttemptStore,
    key: &AttemptKey,
    window: Duration,
) -> Result<u32, AttemptStoreError> {
    if let Some(wide) = key.wide()
        && store.add(&wide, window).await? > MAX_WIDE_ATTEMPTS
    {
        return Ok(u32::MAX);
    }
    store.add(key, window).await
}

/// Counts that an attempt store could not count, and what for.
pub(crate) fn uncounted(usage: &'static str) {
    count!("human_check_attempt_store_unavailable_total", "use" => usage);
}

impl fmt::Debug for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptKey([redacted])")
    }
}

/// The error of an [`AttemptStore`] that could not count. A trigger then challenges the request.
#[derive(Debug)]
pub struct AttemptStoreError(Box<dyn std::error::Error + Send + Sync>);

impl AttemptStoreError {
    /// Creates an error with its cause. The text of the cause must not contain a key.
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

/// Counts attempts by key, for [`Trigger`](crate::Trigger) and
/// [`ChallengeEndpoint`](crate::ChallengeEndpoint).
///
/// [`MemoryAttemptStore`](crate::MemoryAttemptStore) counts in one process; `human-check-redis` has a store for several
/// machines. Implement the trait for another database.
///
/// # Contract
///
/// - The window of a key begins with its first attempt and ends after its length. Later attempts do
///   not extend it.
/// - [`add`](Self::add) is atomic: of two callers at the same time, each gets a number of its own.
/// - A store without room for a new key returns an error or a high count, so that the request is
///   challenged. It does not forget another key.
#[async_trait]
pub trait AttemptStore: fmt::Debug + Send + Sync + 'static {
    /// Counts one attempt, and returns the number of attempts in the window, this one included.
    ///
    /// `window` is the length of a window that this attempt begins. It has no effect on a window
    /// that has begun. Dropping the future may leave the attempt counted or not.
    ///
    /// # Errors
    ///
    /// [`AttemptStoreError`] when the store cannot be reached.
    async fn add(&self, key: &AttemptKey, window: Duration) -> Result<u32, AttemptStoreError>;

    /// Returns the number of attempts in the window of `key`. 0 if there is no window.
    ///
    /// # Errors
    ///
    /// [`AttemptStoreError`] when the store cannot be reached.
    async fn count(&self, key: &AttemptKey) -> Result<u32, AttemptStoreError>;

    /// Removes the attempts of `key`, for example after a login that succeeded.
    ///
    /// # Errors
    ///
    /// [`AttemptStoreError`] when the store cannot be reached.
    async fn clear(&self, key: &AttemptKey) -> Result<(), AttemptStoreError>;
}

/// Finds out whether an attempt store works: it counts one request under a key of its own. Returns
/// whether the store has room for a new key.
///
/// # Errors
///
/// [`AttemptStoreError`] when the store cannot be reached.
pub async fn probe_attempt_store(store: &dyn AttemptStore) -> Result<bool, AttemptStoreError> {
    let key = AttemptKey::named(format!("human-check-probe:{:016x}", fastrand::u64(..)));
    let count = store.add(&key, Duration::from_secs(10)).await?;
    Ok(count != u32::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

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
