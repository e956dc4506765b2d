use std::sync::Arc;

use human_check_core::ChallengeIssuer;

/// What issues challenges for pages.
pub(crate) type Issuer = Arc<dyn ChallengeIssuer>;
