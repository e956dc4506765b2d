use std::fmt;
use std::sync::Arc;

use human_check_core::{Provider, Widget};

use crate::judges::Shown;
use crate::selection::{OFFER_FIELD, OFFER_HEADER, Why};
use crate::{CspSources, Html, WidgetRenderer};

/// The account that a visitor meets, and what a page needs to show it.
///
/// [`Guard::select`](crate::Guard::select) creates it for a page, and a refusal page receives one.
/// The page needs the headers that [`headers`](Self::headers) returns, so that no cache gives it to
/// visitors who meet another account.
#[derive(Clone)]
pub struct Selected {
    pub(crate) shown: Arc<Shown>,
    pub(crate) why: Why,
    pub(crate) offer: String,
    pub(crate) csp_sources: Arc<CspSources>,
    /// Whether the account depends on the country of the client.
    pub(crate) is_by_country: bool,
}

impl Selected {
    /// Returns the name of the account.
    pub fn account(&self) -> &str {
        &self.shown.account
    }

    /// Returns the provider of the account.
    pub fn provider(&self) -> &Provider {
        &self.shown.provider
    }

    /// Returns why this account was selected.
    pub fn why(&self) -> Why {
        self.why
    }

    /// Returns the widget of the account, with the action of the route. `None` if it has none.
    pub fn widget(&self) -> Option<&Widget> {
        self.shown.widget.as_ref()
    }

    /// Returns the offer, for a script that sends it in the header
    /// [`offer_header`](Self::offer_header).
    pub fn offer(&self) -> &str {
        &self.offer
    }

    /// Returns the name of the header that carries an offer: `x-captcha-offer`.
    pub fn offer_header(&self) -> &'static str {
        OFFER_HEADER
    }

    /// Returns the widget as HTML with its scripts, and the offer as a hidden field, to be placed
    /// inside of a form that leads to the route.
    pub fn html(&self) -> Html {
        self.html_with(&WidgetRenderer::new())
    }

    /// Returns the same HTML, with the nonce and the texts of a renderer.
    ///
    /// A renderer writes each script once, so use one for all forms of a page.
    pub fn html_with(&self, renderer: &WidgetRenderer) -> Html {
        let widget = self
            .widget()
            .map(|widget| renderer.html(widget).to_string());
        let mut html = widget.unwrap_or_default();
        html.push_str(&self.offer_html().to_string());
        Html::trusted(html)
    }

    /// Returns the hidden field with the offer as HTML, for a page that writes the widget itself.
    pub fn offer_html(&self) -> Html {
        // An offer has letters, digits, `-` and `_` only.
        Html::trusted(format!(
            "<input type=\"hidden\" name=\"{OFFER_FIELD}\" value=\"{}\" autocomplete=\"off\">",
            self.offer
        ))
    }

    /// Returns the headers that the page needs: `Cache-Control: private, no-store` while another
    /// account than the primary is shown, and always on a route with a list for a country. Otherwise
    /// there are none, and a cache may keep the page for up to a day.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        match (self.why, self.is_by_country) {
            (Why::Primary, false) => Vec::new(),
            _ => vec![("cache-control", "private, no-store".to_owned())],
        }
    }

    /// Returns the sources that a content security policy must allow for the page: those of every
    /// account that the route can select, because a script may show another one without a reload.
    pub fn csp_sources(&self) -> CspSources {
        CspSources::clone(&self.csp_sources)
    }

    /// Returns the member of `captcha.options` in a refusal, as JSON.
    pub(crate) fn option(&self) -> String {
        self.shown.option(&self.offer)
    }
}

impl fmt::Debug for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selected")
            .field("account", &self.account())
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}
