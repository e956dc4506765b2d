use std::ffi::OsString;
use std::sync::Arc;

use human_check::ConfigError;
use human_check::altcha::{ALTCHA, WidgetFile, WidgetFiles};
use human_check_guard::ChallengeEndpoint;

/// What pages with ALTCHA's widget load from the application, below `/human-check-altcha/`.
#[derive(Clone, Debug)]
pub struct ProofOfWork {
    /// The endpoint of `/human-check-altcha/challenge`.
    pub challenges: ChallengeEndpoint,
    files: Arc<WidgetFiles>,
}

impl ProofOfWork {
    /// Returns `None` when ALTCHA is not the provider.
    pub(crate) fn from_env(
        challenges: Option<ChallengeEndpoint>,
    ) -> Result<Option<Self>, ConfigError> {
        // CaptchaLa issues server tokens in this way, which the pages of the examples do not use.
        let Some(challenges) = challenges.filter(|endpoint| endpoint.provider() == &ALTCHA) else {
            return Ok(None);
        };
        let folder = std::env::var_os("HUMAN_CHECK_WIDGET");
        Self::new(challenges, folder.unwrap_or_default()).map(Some)
    }

    /// Reads the files of the widget from a folder `node_modules`, once.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] when the folder name is empty, or when the widget is not in the folder.
    pub fn new(challenges: ChallengeEndpoint, node_modules: OsString) -> Result<Self, ConfigError> {
        let field = "HUMAN_CHECK_WIDGET";
        if node_modules.is_empty() {
            return Err(ConfigError::new(
                field,
                "is not set, and the pages need the widget of ALTCHA",
                "run `npm install altcha@3`, and set the variable to the folder node_modules",
            ));
        }
        let files = WidgetFiles::from_npm(node_modules).map_err(|error| {
            let (problem, remedy) = (error.problem().to_owned(), error.remedy().to_owned());
            ConfigError::new(field, problem, remedy)
        })?;
        Ok(Self {
            challenges,
            files: Arc::new(files),
        })
    }

    /// Returns a file of the widget, such as `widget.js`, or `None` for another name.
    pub fn file(&self, name: &str) -> Option<&WidgetFile> {
        self.files.get(name)
    }
}
