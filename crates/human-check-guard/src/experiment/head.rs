use std::sync::Arc;

use crate::RequestHead;
use crate::clearance::read_cookie;
use crate::selection::{NameDigest, OfferKeys};

use super::Carried;
use super::arm_cookie::{ArmCookie, NAME};

/// What the head of a request says about the experiment. Without an experiment it is empty, because
/// every request carries one.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExperimentHead(Option<Box<Said>>);

/// What the head of a request to an experiment says.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) cookie: Option<ArmCookie>,
    /// Whether the browser fetches the page before the visitor asks for it, who may never see it.
    pub(super) is_prefetch: bool,
    /// Whether the page says that the visitor has allowed cookies.
    pub(super) has_consent: bool,
    pub(super) segment: Option<Arc<str>>,
    /// What a valid offer of the request says.
    pub(super) carried: Option<Carried>,
}

impl ExperimentHead {
    /// Reads the head of a request to an experiment.
    pub(super) fn read(
        experiment: &NameDigest,
        segment: Option<Arc<str>>,
        keys: &OfferKeys,
        head: &dyn RequestHead,
    ) -> Self {
        let mut cookies = Vec::new();
        head.header("cookie", &mut |line| {
            read_cookie(line, NAME, &mut |text| {
                // Two of one name contradict each other, so more than two say no more.
                if cookies.len() < 2 {
                    cookies.push(ArmCookie::verify(text, keys, experiment));
                }
            });
        });
        // Such a page may never be seen.
        let mut is_prefetch = head.method().eq_ignore_ascii_case("HEAD");
        for name in ["sec-purpose", "purpose"] {
            head.header(name, &mut |line| {
                is_prefetch |= line
                    .windows(8)
                    .any(|part| part.eq_ignore_ascii_case(b"prefetch"));
            });
        }
        Self(Some(Box::new(Said {
            cookie: match &cookies[..] {
                [cookie] => *cookie,
                _ => None,
            },
            is_prefetch,
            has_consent: false,
            segment,
            carried: None,
        })))
    }

    /// Notes what a valid offer of the request says, so that the visitor keeps the arm and the receipt.
    pub(crate) fn carry(&mut self, carried: Option<Carried>) {
        if let Some(said) = &mut self.0 {
            said.carried = carried;
        }
    }

    /// Returns what a valid offer of the request says.
    pub(crate) fn carried(&self) -> Option<&Carried> {
        self.0.as_ref()?.carried.as_ref()
    }

    /// Notes that the visitor has allowed cookies.
    pub(crate) fn allow_cookies(&mut self) {
        if let Some(said) = &mut self.0 {
            said.has_consent = true;
        }
    }

    /// Returns what the head says. `None` without an experiment.
    pub(super) fn said(&self) -> Option<&Said> {
        self.0.as_deref()
    }
}
