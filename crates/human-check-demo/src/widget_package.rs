//! The widget of the demo's proof of work, from npm, and kept for the next time.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs};

use human_check_altcha::WidgetFiles;
use human_check_core::ConfigError;
use tokio::process::Command;

/// What npm is told to install: exactly one version, whose content the lock file knows.
const MANIFEST: &str = include_str!("../widget/package.json");
const LOCK: &str = include_str!("../widget/package-lock.json");

/// Where there is a network this takes a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

/// The widget: from `node_modules` where it is given, or else from the cache, or else from npm.
///
/// # Errors
///
/// One sentence for people that says what to install. The demo goes on without.
pub(crate) async fn find(
    node_modules: Option<&Path>,
    out: &mut impl Write,
) -> Result<WidgetFiles, ConfigError> {
    if let Some(folder) = node_modules {
        return WidgetFiles::from_npm(folder);
    }
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    match cache() {
        Some(cache) => kept_or_fetched(&cache, npm.as_ref(), out).await,
        // Not in a folder that others can write to: what is found there is served as scripts.
        None => Err(absent("there is no home folder to keep it in")),
    }
}

async fn kept_or_fetched(
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
        "Fetching ALTCHA's widget with npm, once, into {} ...",
        folder.display()
    )
    .and_then(|()| out.flush());
    fetch(folder, npm).await.map_err(|why| absent(&why))?;
    WidgetFiles::from_npm(&node_modules)
}

fn absent(why: &str) -> ConfigError {
    ConfigError::new(
        "widget",
        format!("of ALTCHA is not here, and {why}"),
        "install Node.js with npm, or run `npm install altcha@3` anywhere and name its folder \
         node_modules with --widget; the other providers work without",
    )
}

/// Into a folder beside the last one first, so that no half of it is ever found. One of its own name,
/// since others may be at it, on another machine that shares the cache too.
async fn fetch(folder: &Path, npm: &OsStr) -> Result<(), String> {
    let kept = |error: io::Error| format!("it cannot be kept ({error})");
    let around = folder.parent().unwrap_or(folder);
    fs::create_dir_all(around).map_err(kept)?;
    // Gone when this ends, however it does.
    let beside = tempfile::Builder::new()
        .prefix("widget-")
        .tempdir_in(around)
        .map_err(kept)?;
    install(beside.path(), npm).await?;
    let is_whole = |folder: &Path| WidgetFiles::from_npm(folder.join("node_modules")).is_ok();
    if !is_whole(beside.path()) {
        return Err("npm installed something else".to_owned());
    }
    // Somebody else was quicker.
    if is_whole(folder) {
        return Ok(());
    }
    // Of another version, or torn.
    let _ = fs::remove_dir_all(folder);
    match fs::rename(beside.path(), folder) {
        Err(_) if is_whole(folder) => Ok(()),
        moved => moved.map_err(kept),
    }
}

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
    match tokio::time::timeout(PATIENCE, npm).await {
        Err(_) => Err("npm did not finish within a minute".to_owned()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err("npm is not installed".to_owned())
        }
        Ok(Err(error)) => Err(format!("npm cannot be started ({error})")),
        Ok(Ok(status)) if !status.success() => Err(format!("npm failed ({status})")),
        Ok(Ok(_)) => Ok(()),
    }
}

fn cache() -> Option<PathBuf> {
    // What is relative is to be ignored, says the specification.
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

    /// A program in the place of npm, which notes that it ran.
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
            let mut said = Vec::new();
            let files = kept_or_fetched(&cache, npm.as_ref(), &mut said)
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
        let files = kept_or_fetched(&cache, npm.as_ref(), &mut Vec::new()).await;
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
            let error = kept_or_fetched(&cache, npm.as_ref(), &mut Vec::new()).await;
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
