use std::sync::LazyLock;

/// The text of the script. It is the same file as in the npm package.
pub(crate) const SOURCE: &str = include_str!("human-check.js");

/// A digest of the text, which is a part of the file name.
pub(crate) static DIGEST: LazyLock<String> =
    LazyLock::new(|| blake3::hash(SOURCE.as_bytes()).to_hex()[..16].to_owned());

static FILE_NAME: LazyLock<String> = LazyLock::new(|| format!("human-check-{}.js", *DIGEST));

/// Returns the file name of the page script, which changes with its text: `human-check-` and a digest.
///
/// [`page_script_response`] serves it. `page_routes` of the framework crates do so below the path at
/// which they are mounted.
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
