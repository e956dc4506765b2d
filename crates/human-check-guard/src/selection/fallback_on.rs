/// Which troubles of an account, apart from being down, lead to a fallback.
///
/// An account that is down always does. The default has none of these, because a client can cause
/// each of them. Build one with [`FallbackOn::default`] and set the fields.
///
/// ```
/// use human_check_guard::FallbackOn;
///
/// let mut fallback_on = FallbackOn::default();
/// fallback_on.declined = true; // also when the quota is exhausted
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct FallbackOn {
    /// The provider's reply declines to verify, for example because the quota is exhausted. Risk: an
    /// attacker who exhausts the quota makes visitors meet the next account.
    pub declined: bool,
    /// Most verifications fail for thirty seconds and none passes, after ten minutes in which
    /// tokens passed steadily. Risk: a farm of solvers can stage it at a quiet site.
    pub failures: bool,
    /// The provider's reply is 429. Risk: as for `declined`.
    pub rate_limited: bool,
}
