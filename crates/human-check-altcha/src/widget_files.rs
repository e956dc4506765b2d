use std::path::Path;
use std::{fs, io};

use human_check_core::ConfigError;
use serde::Deserialize;

/// The files that the widget loads. The site serves them from one folder of its own origin.
///
/// They come from the npm package `altcha`, version 3, which is not a part of this crate. All files
/// are held in memory, about half a megabyte with all languages. [`get`](Self::get) returns one of
/// them for a handler; [`write_to`](Self::write_to) fills a folder for a server of static files.
///
/// ```no_run
/// use human_check_altcha::WidgetFiles;
///
/// // After `npm install altcha@3` in this folder.
/// let files = WidgetFiles::from_npm("node_modules")?;
/// let script = files.get("widget.js").unwrap();
/// assert_eq!(script.content_type(), "text/javascript");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/altcha.md#challenge-endpoint.
#[derive(Clone, Debug)]
pub struct WidgetFiles {
    files: Vec<WidgetFile>,
    version: String,
}

/// One file of [`WidgetFiles`]: its name, its content, and what a response for it needs.
#[derive(Clone)]
pub struct WidgetFile {
    name: String,
    content: Vec<u8>,
}

const FILES: [(&str, &str); 7] = [
    ("altcha.min.js", "dist/external/altcha.min.js"),
    ("altcha.css", "dist/external/altcha.css"),
    ("workers/pbkdf2.js", "dist/workers/pbkdf2.js"),
    ("workers/sha.js", "dist/workers/sha.js"),
    ("workers/scrypt.js", "dist/workers/scrypt.js"),
    ("workers/argon2id.js", "dist/workers/argon2id.js"),
    // The licence requires a copy of itself with the files.
    ("LICENSE.txt", "LICENSE.txt"),
];

impl WidgetFiles {
    /// Reads the files of the package `altcha` from a folder `node_modules`. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the package is missing, has another major version than 3, or lacks a
    /// file.
    pub fn from_npm(node_modules: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let package = node_modules.as_ref().join("altcha");
        let read = |name: &str| {
            fs::read(package.join(name)).map_err(|error| {
                ConfigError::new(
                    "widget",
                    format!("lacks {} ({error})", package.join(name).display()),
                    "run `npm install altcha@3` in the folder that holds `node_modules`",
                )
            })
        };
        let version = version(&read("package.json")?);
        let version = version.filter(|version| version.starts_with("3."));
        let version = version.ok_or_else(|| {
            ConfigError::new(
                "widget",
                format!("has another major version than 3 in {}", package.display()),
                "run `npm install altcha@3`: other major versions use another protocol",
            )
        })?;
        let mut files = vec![WidgetFile {
            name: "widget.js".to_owned(),
            content: include_bytes!("widget.js").to_vec(),
        }];
        for (name, source) in FILES {
            files.push(WidgetFile {
                name: name.to_owned(),
                content: read(source)?,
            });
        }
        // Versions of the package have different languages. A page in English needs none of them.
        let languages = fs::read_dir(package.join("dist/i18n"))
            .into_iter()
            .flatten();
        for entry in languages.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_language = name
                .strip_suffix(".js")
                .is_some_and(|language| matches!(language.len(), 2 | 5));
            if is_language {
                files.push(WidgetFile {
                    content: read(&format!("dist/i18n/{name}"))?,
                    name: format!("i18n/{name}"),
                });
            }
        }
        Ok(Self { files, version })
    }

    /// Returns the file of this name, or `None` where there is none. Names are relative to the
    /// folder, such as `widget.js` or `workers/sha.js`.
    pub fn get(&self, name: &str) -> Option<&WidgetFile> {
        self.files.iter().find(|file| file.name == name)
    }

    /// Returns all files.
    pub fn iter(&self) -> impl Iterator<Item = &WidgetFile> {
        self.files.iter()
    }

    /// Writes the files into a folder, for a server of static files. Creates the folder, and
    /// overwrites files of the same names. Blocks while it writes.
    ///
    /// # Errors
    ///
    /// [`io::Error`] when a folder or file cannot be written. Files that were written before
    /// remain.
    pub fn write_to(&self, folder: impl AsRef<Path>) -> io::Result<()> {
        for file in &self.files {
            let path = folder.as_ref().join(&file.name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, &file.content)?;
        }
        Ok(())
    }

    /// Returns the version of the npm package, such as `3.2.2`.
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl WidgetFile {
    /// Returns the path of the file in the folder, such as `workers/sha.js`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the bytes of the file.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Returns the `Content-Security-Policy` that the response for this file needs, or `None` for
    /// most files.
    ///
    /// The workers of scrypt and Argon2id compile WebAssembly. A worker obeys the policy of its own
    /// response and not the page's. So a server that sends `default-src 'self'` with every response
    /// has to send this policy with these workers instead.
    pub fn policy(&self) -> Option<&'static str> {
        let compiles = ["workers/argon2id.js", "workers/scrypt.js"].contains(&&*self.name);
        compiles.then_some("default-src 'none'; script-src 'wasm-unsafe-eval'")
    }

    /// Returns the value for the header `Content-Type`, such as `text/javascript`.
    pub fn content_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            _ => "text/plain; charset=utf-8",
        }
    }
}

impl std::fmt::Debug for WidgetFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.content.len())
    }
}

fn version(package: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Package {
        version: String,
    }
    let package: Package = serde_json::from_slice(package).ok()?;
    Some(package.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(version: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("altcha");
        for (_, source) in FILES {
            let path = package.join(source);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, source).unwrap();
        }
        let manifest = format!(r#"{{"name":"altcha","version":"{version}"}}"#);
        fs::write(package.join("package.json"), manifest).unwrap();
        fs::create_dir_all(package.join("dist/i18n")).unwrap();
        for name in ["de.js", "pt-br.js", "all.js", "de.d.ts", "de.umd.cjs"] {
            fs::write(package.join("dist/i18n").join(name), name).unwrap();
        }
        folder
    }

    #[test]
    fn what_is_served_is_what_was_installed() {
        let folder = installed("3.2.2");
        let files = WidgetFiles::from_npm(folder.path()).unwrap();
        assert_eq!(files.version(), "3.2.2");
        let mut names: Vec<_> = files.iter().map(WidgetFile::name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "LICENSE.txt",
                "altcha.css",
                "altcha.min.js",
                "i18n/de.js",
                "i18n/pt-br.js",
                "widget.js",
                "workers/argon2id.js",
                "workers/pbkdf2.js",
                "workers/scrypt.js",
                "workers/sha.js",
            ]
        );
        let style = files.get("altcha.css").unwrap();
        assert_eq!(style.content_type(), "text/css");
        assert_eq!(style.content(), b"dist/external/altcha.css");
        assert!(files.get("../package.json").is_none());
        let written = tempfile::tempdir().unwrap();
        let served = written.path().join("static/captcha");
        files.write_to(&served).unwrap();
        for file in files.iter() {
            let content = fs::read(served.join(file.name())).unwrap();
            assert_eq!(content, file.content(), "{}", file.name());
        }
    }

    #[test]
    fn a_package_that_is_missing_or_of_another_version_says_what_to_install() {
        let nothing = tempfile::tempdir().unwrap();
        let old = installed("2.3.0");
        let torn = installed("3.0.0");
        fs::remove_file(torn.path().join("altcha/dist/workers/sha.js")).unwrap();
        for folder in [nothing, old, torn] {
            let error = WidgetFiles::from_npm(folder.path()).unwrap_err();
            assert!(error.remedy().contains("npm install altcha@3"), "{error}");
        }
    }
}
