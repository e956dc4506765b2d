//! The files of ALTCHA's widget: fetched with npm, and stored in the user's cache.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs};

use human_check_altcha::WidgetFiles;
use human_check_core::ConfigError;
use tokio::process::Command;

/// The package for npm to install. The lock file has the version and the hash of its content.
const MANIFEST: &str = include_str!("../widget/package.json");
const LOCK: &str = include_str!("../widget/package-lock.json");

/// How long npm may take. With a network it takes some seconds.
const NPM_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns the widget from `node_modules`; with `None`, from the user's cache, or else from npm.
///
/// # Errors
///
/// A [`ConfigError`] that says what to install. The demo then starts without the widget.
pub(crate) async fn find(
    node_modules: Option<&Path>,
    out: &mut impl Write,
) -> Result<WidgetFiles, ConfigError> {
    if let Some(folder) = node_modules {
        return WidgetFiles::from_npm(folder);
    }
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    match cache() {
        Some(cache) => cached_or_fetched(&cache, npm.as_ref(), out).await,
        // A shared folder is no alternative: other users could place scripts there, which the demo
        // would serve.
        None => Err(missing("there is no home folder to store it in")),
    }
}

/// Returns the widget in the cache folder, and fetches it first when it is not there.
async fn cached_or_fetched(
    folder: &Path,
    npm: &OsStr,
    out: &mut impl Write,
) -> Result<WidgetFiles, ConfigError> {
    let node_modules = folder.join("node_modules");
    if let Ok(files) = WidgetFiles::from_npm(&node_modules) {
        return Ok(files);
    }
    let _ = writeln!(
        out,
        "Fetching the widget of ALTCHA with npm into {} ...",
        folder.display()
    )
    .and_then(|()| out.flush());
    fetch(folder, npm).await.map_err(|why| missing(&why))?;
    WidgetFiles::from_npm(&node_modules)
}

/// Creates the error of a missing widget. `why` is a part of a sentence.
fn missing(why: &str) -> ConfigError {
    ConfigError::new(
        "widget",
        format!("of ALTCHA is missing, because {why}"),
        "install Node.js with npm, or run `npm install altcha@3` and name its folder node_modules \
         with --widget; all other providers work without it",
    )
}

/// Installs the widget in a temporary folder beside `folder`, then renames that folder.
///
/// So `folder` never holds an incomplete widget. The temporary folder has a unique name, because
/// another process, or another machine with the same cache, may install the widget at the same
/// time.
async fn fetch(folder: &Path, npm: &OsStr) -> Result<(), String> {
    let cannot_store = |error: io::Error| format!("it cannot be stored ({error})");
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(cannot_store)?;
    // Dropping the temporary folder deletes it.
    let temporary = tempfile::Builder::new()
        .prefix("widget-")
        .tempdir_in(parent)
        .map_err(cannot_store)?;
    install(temporary.path(), npm).await?;
    let is_complete = |folder: &Path| WidgetFiles::from_npm(folder.join("node_modules")).is_ok();
    if !is_complete(temporary.path()) {
        return Err("npm installed another package".to_owned());
    }
    // Another process installed it in the meantime.
    if is_complete(folder) {
        return Ok(());
    }
    // The folder has another version, or is incomplete.
    let _ = fs::remove_dir_all(folder);
    match fs::rename(temporary.path(), folder) {
        Err(_) if is_complete(folder) => Ok(()),
        renamed => renamed.map_err(cannot_store),
    }
}

/// Runs npm in a folder.
async fn install(folder: &Path, npm: &OsStr) -> Result<(), String> {
    let written = fs::write(folder.join("package.json"), MANIFEST)
        .and_then(|()| fs::write(folder.join("package-lock.json"), LOCK));
    written.map_err(|error| format!("{} cannot be written ({error})", folder.display()))?;
    let npm = Command::new(npm)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    match tokio::time::timeout(NPM_TIMEOUT, npm).await {
        Err(_) => Err("npm did not finish within a minute".to_owned()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err("npm is not installed".to_owned())
        }
        Ok(Err(error)) => Err(format!("npm cannot be started ({error})")),
        Ok(Ok(status)) if !status.success() => Err(format!("npm failed ({status})")),
        Ok(Ok(_)) => Ok(()),
    }
}

/// Returns the cache folder of the widget, or `None` without a home folder.
fn cache() -> Option<PathBuf> {
    // The XDG specification says to ignore relative paths.
    let named = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let folder = named
        .filter(|path| path.is_absolute())
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))?;
    Some(folder.join("human-check").join("widget"))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Writes a program that replaces npm, and counts its runs in a file.
    fn npm(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("npm");
        let text = format!(
            "#!/bin/sh\necho ran >> {}/ran\n{script}\n",
            folder.display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    const INSTALLS: &str = r#"
        test "$1" = ci && test -f package-lock.json || exit 9
        for file in external/altcha.min.js external/altcha.css workers/pbkdf2.js workers/sha.js \
            workers/scrypt.js workers/argon2id.js; do
            mkdir -p "node_modules/altcha/dist/$(dirname $file)"
            echo "$file" > "node_modules/altcha/dist/$file"
        done
        touch node_modules/altcha/LICENSE.txt
        echo '{"version":"3.2.2"}' > node_modules/altcha/package.json"#;

    #[tokio::test]
    async fn it_is_fetched_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let npm = npm(folder.path(), INSTALLS);
        let cache = folder.path().join("cache/widget");
        for _ in 0..2 {
            let mut output = Vec::new();
            let files = cached_or_fetched(&cache, npm.as_ref(), &mut output)
                .await
                .unwrap();
            assert_eq!(files.version(), "3.2.2");
        }
        let ran = fs::read_to_string(folder.path().join("ran")).unwrap();
        assert_eq!(ran, "ran\n");
        let kept: Vec<_> = fs::read_dir(cache.parent().unwrap()).unwrap().collect();
        assert_eq!(kept.len(), 1, "nothing is left beside it: {kept:?}");
    }

    #[tokio::test]
    async fn one_of_another_version_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let npm = npm(folder.path(), INSTALLS);
        let cache = folder.path().join("widget");
        fs::create_dir_all(cache.join("node_modules/altcha")).unwrap();
        fs::write(
            cache.join("node_modules/altcha/package.json"),
            r#"{"version":"2.3.0"}"#,
        )
        .unwrap();
        let files = cached_or_fetched(&cache, npm.as_ref(), &mut Vec::new()).await;
        assert_eq!(files.unwrap().version(), "3.2.2");
    }

    #[tokio::test]
    async fn without_npm_a_sentence_says_what_to_install() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("widget");
        let failing = npm(folder.path(), "exit 1");
        for (npm, why) in [
            (Path::new("/nowhere/npm"), "npm is not installed"),
            (&*failing, "npm failed"),
        ] {
            let error = cached_or_fetched(&cache, npm.as_ref(), &mut Vec::new()).await;
            let error = error.unwrap_err();
            assert!(error.problem().contains(why), "{error}");
            assert!(
                error.remedy().contains("install Node.js with npm"),
                "{error}"
            );
            assert!(!cache.exists());
        }
    }
}
