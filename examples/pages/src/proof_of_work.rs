use std::ffi::OsString;
use std::sync::Arc;

use human_check_altcha::{ALTCHA, WidgetFile, WidgetFiles};
use human_check_core::ConfigError;
use human_check_guard::ChallengeEndpoint;

/// What pages with altcha's widget fetch from this application, all of it below `/human-check-altcha/`.
#[derive(Clone, Debug)]
pub struct ProofOfWork {
    /// For `challenge`.
    pub challenges: ChallengeEndpoint,
    files: Arc<WidgetFiles>,
}

impl ProofOfWork {
    pub(crate) fn from_env(
        challenges: Option<ChallengeEndpoint>,
    ) -> Result<Option<Self>, ConfigError> {
        // CaptchaLa issues something, too, but its pages here do without.
        let Some(challenges) = challenges.filter(|it| it.provider() == &ALTCHA) else {
            return Ok(None);
        };
        let folder = std::env::var_os("HUMAN_CHECK_WIDGET");
        Self::new(challenges, folder.unwrap_or_default()).map(Some)
    }

    /// With the widget from a folder `node_modules`, which is not looked at again.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when no folder is named, or the widget is not in it.
    pub fn new(challenges: ChallengeEndpoint, node_modules: OsString) -> Result<Self, ConfigError> {
        let field = "HUMAN_CHECK_WIDGET";
        if node_modules.is_empty() {
            return Err(ConfigError::new(
                field,
                "is not set, and pages show altcha's widget",
                "run `npm install altcha@3`, and set it to the folder node_modules",
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

    /// A file of the widget, such as `widget.js`. Only what was read at the start has a name here.
    pub fn file(&self, name: &str) -> Option<&WidgetFile> {
        self.files.get(name)
    }
}
