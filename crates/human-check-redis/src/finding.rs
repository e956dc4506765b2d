use std::fmt;

/// Something about a server that breaks, or may break, what is built on it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// It forgets keys when memory runs out, so a spent token may pass again.
    Evicts {
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// It is a replica: nothing can be claimed there.
    Replica,
    /// It is older than Redis 6.
    TooOld {
        /// What it calls itself.
        version: String,
    },
    /// It does not say, as hosted servers often do not.
    Unknown {
        /// What could not be read.
        what: &'static str,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evicts { policy } => write!(
                f,
                "the server's maxmemory-policy is {policy}, so it may forget spent tokens; set it to noeviction"
            ),
            Self::Replica => f.write_str(
                "the server is a replica and takes no claims; name the primary in the URL",
            ),
            Self::TooOld { version } => {
                write!(
                    f,
                    "the server is Redis {version}; use 6 or later, or Valkey"
                )
            }
            Self::Unknown { what } => write!(
                f,
                "the server does not tell its {what}; see to it in its own settings"
            ),
        }
    }
}
