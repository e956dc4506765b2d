/// Returns whether a token that was refused for this reason says nothing about its visitor.
pub(crate) fn proves_nothing(reason: &str) -> bool {
    matches!(
        reason,
        "expired" | "expired-or-replayed" | "malformed" | "missing" | "replayed" | "too-old"
    )
}
