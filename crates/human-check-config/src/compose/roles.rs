use crate::source::KeyPath;

/// What a configuration uses an account for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Its tokens are accepted, too.
    DualAccept,
    /// It judges while the primary account is unavailable, by a second token.
    Failover,
    /// It judges.
    Primary,
    /// Visitors of a route may meet it. The path is that of the key which names it.
    Route(KeyPath),
    /// It judges without effect, for a comparison.
    Shadow,
}

impl Role {
    /// Returns the path of the key that gives an account this role.
    pub(crate) fn path(&self) -> KeyPath {
        match self {
            Self::DualAccept => "check.dual_accept.use".into(),
            Self::Failover => "check.failover".into(),
            Self::Primary => "check.use".into(),
            Self::Route(path) => path.clone(),
            Self::Shadow => "check.shadow.use".into(),
        }
    }
}
