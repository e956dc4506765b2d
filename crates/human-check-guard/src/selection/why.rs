use std::fmt;

/// Why an account was selected for a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// It is the arm of an experiment that the visitor was assigned to.
    Arm,
    /// The accounts before it in the list are down.
    Fallback,
    /// It is the first account of the list.
    Primary,
    /// The score of the visitor was slightly too low, and this account shows a stronger challenge.
    StepUp,
    /// The visitor's browser reported that the widget of the account before it failed.
    WidgetFailure,
}

impl Why {
    /// Returns the name, for logs and metric labels: `primary`, `fallback`, `step-up`, `arm` or
    /// `widget-failure`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arm => "arm",
            Self::Fallback => "fallback",
            Self::Primary => "primary",
            Self::StepUp => "step-up",
            Self::WidgetFailure => "widget-failure",
        }
    }

    /// Returns the byte that stands for it in an offer.
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Self::Primary => 1,
            Self::Fallback => 2,
            Self::StepUp => 3,
            Self::Arm => 4,
            Self::WidgetFailure => 5,
        }
    }

    /// Returns what a byte of an offer stands for.
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        let all = [
            Self::Primary,
            Self::Fallback,
            Self::StepUp,
            Self::Arm,
            Self::WidgetFailure,
        ];
        all.into_iter().find(|why| why.to_byte() == byte)
    }

    /// Returns whether an offer for this reason counts once: those that a client can obtain by what
    /// it sends.
    pub(crate) fn is_single_use(self) -> bool {
        matches!(self, Self::StepUp | Self::WidgetFailure)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
