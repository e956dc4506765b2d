//! What a renderer writes into a page for a widget.

use super::Widget;
use super::address::{origin, percent_encode, split_origin};

impl Widget {
    /// Returns the URL of the script, with its query.
    ///
    /// It is not escaped for HTML.
    pub fn script_src(&self) -> String {
        let spec = self.spec;
        let fixed = spec.parameters.iter().copied();
        let site_key = spec
            .site_key_parameter
            .map(|name| (name, self.site_key.as_str()));
        let language = spec.language_parameter.zip(self.language.as_deref());
        let mut src = self.script_url().to_owned();
        for (place, (name, value)) in fixed.chain(site_key).chain(language).enumerate() {
            src.push(if place == 0 { '?' } else { '&' });
            src.push_str(name);
            src.push('=');
            percent_encode(value, &mut src);
        }
        src
    }

    /// Returns the URL of the style sheet, if the widget has one. It is in the folder of the
    /// script.
    pub fn stylesheet_href(&self) -> Option<String> {
        let name = self.spec.stylesheet?;
        let script = self.script_url();
        let folder = script.rfind('/').map_or("", |end| &script[..=end]);
        Some(format!("{folder}{name}"))
    }

    /// Returns the names and values of the element's attributes: the class first, then the site
    /// key.
    ///
    /// The values are not escaped for HTML.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let spec = self.spec;
        let options = [
            Some(("class", spec.class)),
            Some((spec.site_key_attribute, self.site_key.as_str())),
            spec.action.map(|a| a.attribute).zip(self.action()),
            spec.binding.map(|b| b.attribute).zip(self.binding()),
            spec.language_attribute.zip(self.language()),
            spec.theme.map(|t| t.attribute).zip(self.theme),
            spec.size.map(|s| s.attribute).zip(self.size),
            spec.field_attribute.zip(self.field.as_deref()),
        ];
        let data = self.data.iter();
        let data = data.map(|(name, value)| (name.as_str(), value.as_str()));
        options.into_iter().flatten().chain(data)
    }

    /// Returns the other origins that the widget's script and its site key name, such as
    /// `https://cap.example.com`. A page script loads nothing from others.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        let addresses = [self.script_url(), self.site_key()].into_iter();
        addresses.filter_map(|address| split_origin(address).map(|(origin, _)| origin))
    }

    /// Returns what a content security policy must allow: directives and their sources.
    ///
    /// A site key that is an address, as Cap has one, is allowed as a connection.
    /// If [`with_script_url`](Self::with_script_url) moved the script, its new origin replaces the
    /// provider's.
    pub fn csp_sources(&self) -> Vec<(&'static str, Vec<&str>)> {
        let moved = self.script_url.as_deref().map(origin);
        let usual = origin(self.spec.script);
        // The widget of a self-hosted provider connects to the address in its site key.
        let server = split_origin(&self.site_key).map(|(origin, _)| origin);
        let directives = self.spec.sources.directives().into_iter();
        let policy = directives.map(|(directive, sources)| {
            let kept = sources.iter().copied();
            let kept = kept.filter(|source| moved.is_none() || origin(source) != usual);
            let moved = moved.filter(|_| !sources.is_empty());
            let server = server.filter(|_| directive == "connect-src");
            let mut sources: Vec<_> = moved.into_iter().chain(kept).collect();
            sources.extend(server.filter(|server| !sources.contains(server)));
            (directive, sources)
        });
        policy.filter(|(_, sources)| !sources.is_empty()).collect()
    }
}
