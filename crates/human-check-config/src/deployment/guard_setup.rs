use std::sync::Arc;

use human_check_guard::GuardBuilder;

/// Sets a guard up with what no configuration can say.
pub(crate) type GuardSetup = Arc<dyn Fn(&str, GuardBuilder) -> GuardBuilder + Send + Sync>;
