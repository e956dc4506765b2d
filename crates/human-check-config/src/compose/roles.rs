use crate::source::KeyPath;

/// What an account is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    DualAccept,
    Failover,
    Primary,
    /// It judges without effect.
    Shadow,
}

impl Role {
    /// The key that gives an account this role.
    pub(crate) fn path(self) -> KeyPath {
        match self {
            Self::DualAccept => "check.dual_accept.use".into(),
            Self::Failover => "check.failover".into(),
            Self::Primary => "check.use".into(),
            Self::Shadow => "check.shadow.use".into(),
        }
    }
}
