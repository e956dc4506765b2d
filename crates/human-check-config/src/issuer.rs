use std::sync::Arc;

use human_check_core::ChallengeIssuer;

/// An issuer of challenges that several guards and endpoints share.
pub(crate) type Issuer = Arc<dyn ChallengeIssuer>;
