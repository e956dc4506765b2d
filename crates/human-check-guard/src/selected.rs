use std::fmt;
use std::sync::Arc;

use human_check_core::{Provider, Widget};

use crate::judges::Shown;
use crate::page::{LanguageIndex, attribute};
use crate::selection::{OFFER_FIELD, OFFER_HEADER, Why};
use crate::{CspSources, Html, Texts, WidgetRenderer};

/// The account that a visitor meets, and what a page needs to show it.
///
/// [`Guard::select`](crate::Guard::select) creates it for a page, and a refusal page receives one.
/// The page needs the headers that [`headers`](Self::headers) returns, so that no cache gives it to
/// visitors who meet another account.
#[derive(Clone)]
pub struct Selected {
    pub(crate) shown: Arc<Shown>,
    pub(crate) why: Why,
    /// The language of the texts of the page script.
    pub(crate) language: LanguageIndex,
    pub(crate) offer: String,
    pub(crate) page: Arc<RoutePage>,
    /// Whether the account depends on the country of the client.
    pub(crate) is_by_country: bool,
    /// The value of `Set-Cookie` that keeps a visitor of an experiment in the arm.
    pub(crate) cookie: Option<Arc<str>>,
}

/// What every page of a route needs, whatever account is selected.
#[derive(Debug)]
pub(crate) struct RoutePage {
    route: String,
    /// The origins that the page script may load from, each after a space.
    origins: String,
    /// The sources of all widgets that the route can select.
    pub(crate) csp_sources: CspSources,
    texts: Texts,
}

impl RoutePage {
    pub(crate) fn new(route: &str, widgets: &[&Widget], texts: Texts) -> Self {
        let mut origins: Vec<&str> = widgets.iter().flat_map(|widget| widget.origins()).collect();
        origins.sort_unstable();
        origins.dedup();
        Self {
            route: route.to_owned(),
            origins: origins.join(" "),
            csp_sources: CspSources::of(widgets.iter().copied()),
            texts,
        }
    }

    /// Returns the place of the page script for the route. It begins with `option`, or asks for one.
    pub(crate) fn place(&self, option: Option<&str>, language: LanguageIndex) -> Html {
        let mut html = "<div".to_owned();
        attribute(&mut html, "data-human-check", &self.route);
        if !self.origins.is_empty() {
            attribute(&mut html, "data-origins", &self.origins);
        }
        if let Some(option) = option {
            attribute(&mut html, "data-option", option);
        }
        if let Some(texts) = self.texts.script(language) {
            attribute(&mut html, "data-texts", texts);
        }
        html.push_str("></div>");
        Html::trusted(html)
    }
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

    /// Returns the place at which the page script shows this account, and any later one, without a
    /// request. It belongs into a form that leads to the route, or anywhere into a page that sends
    /// by `humanCheck.fetch`.
    ///
    /// The page also needs [`WidgetRenderer::page_script`], once.
    ///
    /// ```
    /// use human_check_guard::{Guard, RequestHead, WidgetRenderer};
    ///
    /// fn page(guard: &Guard, head: &dyn RequestHead) -> String {
    ///     let place = guard.select(head).place();
    ///     let script = WidgetRenderer::new().page_script("/human-check");
    ///     format!("<form method=\"post\">{place}<button>Sign up</button></form>{script}")
    /// }
    /// ```
    pub fn place(&self) -> Html {
        self.page.place(Some(&self.option()), self.language)
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
    /// account than the primary is shown, always on a route with a list for a country, and for every
    /// visitor of an experiment, whose arm a `Set-Cookie` keeps. Otherwise a cache may keep the page for
    /// up to a day, for each language: `Vary: Accept-Language`.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = match (self.why, self.is_by_country) {
            (Why::Primary, false) => vec![("vary", "Accept-Language".to_owned())],
            _ => vec![("cache-control", "private, no-store".to_owned())],
        };
        headers.extend(
            self.cookie
                .iter()
                .map(|cookie| ("set-cookie", cookie.to_string())),
        );
        headers
    }

    /// Returns the sources that a content security policy must allow for the page: those of every
    /// account that the route can select, because a script may show another one without a reload.
    pub fn csp_sources(&self) -> CspSources {
        self.page.csp_sources.clone()
    }

    /// Returns the member of `captcha.options` in a refusal, as JSON.
    pub(crate) fn option(&self) -> String {
        self.shown.option(self.why, &self.offer)
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
