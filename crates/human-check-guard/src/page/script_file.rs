use std::sync::LazyLock;

/// The files of the page script, by their names without `.js`. They are those of the npm package. The
/// first one loads the others when it needs them.
pub(crate) const FILES: [(&str, &str); 3] = [
    ("human-check", include_str!("script/human-check.js")),
    ("requests", include_str!("script/requests.js")),
    ("widgets", include_str!("script/widgets.js")),
];

/// A digest of all files, which is a part of their names.
pub(crate) static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = blake3::Hasher::new();
    for (_, text) in FILES {
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
});

static FILE_NAME: LazyLock<String> = LazyLock::new(|| format!("human-check-{}.js", *DIGEST));

/// Returns the file name of the page script, which changes with its text: `human-check-` and a digest.
///
/// [`page_script_response`](crate::page_script_response) serves it. `page_routes` of the framework crates
/// do so below the path at which they are mounted.
///
/// ```
/// use human_check_guard::page_script_file_name;
///
/// let url = format!("/human-check/{}", page_script_file_name());
/// assert!(url.starts_with("/human-check/human-check-") && url.ends_with(".js"));
/// ```
pub fn page_script_file_name() -> &'static str {
    &FILE_NAME
}
