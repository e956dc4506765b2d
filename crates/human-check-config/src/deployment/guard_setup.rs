use std::sync::Arc;

use human_check_guard::GuardBuilder;

/// Adds settings in code to the guard of a route: receives the route's name and the guard's
/// builder.
pub(crate) type GuardSetup = Arc<dyn Fn(&str, GuardBuilder) -> GuardBuilder + Send + Sync>;
