use std::borrow::Cow;
use std::sync::Arc;

use human_check_core::ConfigError;

use super::Text;
use super::text::LANGUAGES;

/// The texts that visitors read, in several languages.
///
/// Refusals, their pages and the page script have the language that the header `Accept-Language`
/// prefers, and English if none of its languages is there. human-check knows `de`, `en`, `es`, `fr`,
/// `ja`, `pt` and `zh`.
///
/// ```
/// use human_check_guard::{Text, Texts};
///
/// let texts = Texts::new()
///     .with_text("en", Text::ChallengeDetail, "One more step: are you human?")?
///     .with_text("nl", Text::ChallengeDetail, "Nog één stap: bent u een mens?")?;
/// assert_eq!(texts.get("nl", Text::ChallengeDetail), "Nog één stap: bent u een mens?");
/// assert_eq!(texts.get("nl", Text::ScriptCancel), "Cancel", "a new language begins with English");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Texts(Arc<Vec<Language>>);

#[derive(Clone, Debug)]
struct Language {
    tag: String,
    /// In the order of [`Text::ALL`].
    texts: Vec<Cow<'static, str>>,
    /// The texts of the page script as JSON. Empty if it has them itself.
    script: String,
}

/// The language of a visitor, as a place in the list.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct LanguageIndex(usize);

impl Texts {
    /// Creates the texts that human-check has.
    pub fn new() -> Self {
        let languages = LANGUAGES.iter().map(|(tag, texts)| {
            let texts = texts.iter().map(|text| Cow::Borrowed(*text));
            Language::new((*tag).to_owned(), texts.collect())
        });
        Self(Arc::new(languages.collect()))
    }

    /// Sets the languages that visitors get. Default: all that are known. The first one is for
    /// visitors who prefer none of them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the list is empty, or names a language without texts.
    pub fn with_languages(mut self, tags: &[&str]) -> Result<Self, ConfigError> {
        let kept = tags.iter().map(|tag| {
            let known = self
                .0
                .iter()
                .find(|language| language.tag.eq_ignore_ascii_case(tag));
            known.cloned().ok_or_else(|| {
                let known: Vec<_> = self.0.iter().map(|language| &*language.tag).collect();
                ConfigError::new(
                    "languages",
                    format!("names {tag:?}, which has no texts"),
                    format!(
                        "write one of {}, or give the language texts first",
                        known.join(", ")
                    ),
                )
            })
        });
        let kept: Vec<_> = kept.collect::<Result<_, _>>()?;
        if kept.is_empty() {
            let remedy = "name a language, such as \"en\", or leave the list out";
            return Err(ConfigError::new("languages", "is empty", remedy));
        }
        self.0 = Arc::new(kept);
        Ok(self)
    }

    /// Sets one text of a language. A language that is not known yet begins with the English texts.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `language` is not a tag such as `nl` or `pt-BR`, or the text is blank, has
    /// more than 500 characters, or has control characters.
    pub fn with_text(
        mut self,
        language: &str,
        text: Text,
        value: impl Into<String>,
    ) -> Result<Self, ConfigError> {
        let value = value.into();
        let is_tag = (2..=35).contains(&language.len())
            && language
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_tag {
            return Err(ConfigError::new(
                "texts",
                format!("names the language {language:?}, which is not a tag"),
                "write a tag such as `nl` or `pt-BR`",
            ));
        }
        if value.trim().is_empty()
            || value.chars().count() > 500
            || value.contains(char::is_control)
        {
            return Err(ConfigError::new(
                format!("texts.{language}.{}", text.as_str()),
                "is blank, too long or has control characters",
                "write a sentence of up to 500 characters",
            ));
        }
        let languages = Arc::make_mut(&mut self.0);
        let known = languages
            .iter()
            .position(|known| known.tag.eq_ignore_ascii_case(language));
        let place = known.unwrap_or_else(|| {
            let english = LANGUAGES[0].1.iter().map(|text| Cow::Borrowed(*text));
            languages.push(Language::new(language.to_owned(), english.collect()));
            languages.len() - 1
        });
        let mut texts = std::mem::take(&mut languages[place].texts);
        texts[text as usize] = Cow::Owned(value);
        languages[place] = Language::new(languages[place].tag.clone(), texts);
        Ok(self)
    }

    /// Returns a text in the language with this tag, or else in the first one.
    pub fn get(&self, language: &str, text: Text) -> &str {
        self.of(self.find(language).unwrap_or_default(), text)
    }

    /// Returns the best language for a header line `Accept-Language`. It is the first language for a
    /// line that is not UTF-8.
    pub(crate) fn preferred(&self, accept_language: &[u8]) -> LanguageIndex {
        let accept_language = std::str::from_utf8(accept_language).unwrap_or_default();
        let mut best = (0.0, LanguageIndex::default());
        for range in accept_language.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality = quality.map_or(1.0, |text| text.parse().unwrap_or(0.0));
            let is_better = quality > best.0 && quality <= 1.0;
            if let Some(language) = self.find(tag).filter(|_| is_better) {
                best = (quality, language);
            }
        }
        best.1
    }

    /// Returns the tag of a language.
    pub(crate) fn tag(&self, language: LanguageIndex) -> &str {
        &self.0[language.0].tag
    }

    pub(crate) fn of(&self, language: LanguageIndex, text: Text) -> &str {
        &self.0[language.0].texts[text as usize]
    }

    /// Returns the texts of the page script as JSON. `None` if it has them itself.
    pub(crate) fn script(&self, language: LanguageIndex) -> Option<&str> {
        let json = &*self.0[language.0].script;
        (!json.is_empty()).then_some(json)
    }

    /// Finds a language by its tag: the same one, or one of the same language without a region.
    fn find(&self, tag: &str) -> Option<LanguageIndex> {
        let primary = |tag: &str| {
            tag.split('-')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
        };
        let mut languages = self.0.iter();
        let same = languages.position(|language| language.tag.eq_ignore_ascii_case(tag));
        let related = || {
            let wanted = primary(tag);
            self.0
                .iter()
                .position(|language| primary(&language.tag) == wanted)
        };
        same.or_else(related).map(LanguageIndex)
    }
}

impl Default for Texts {
    fn default() -> Self {
        Self::new()
    }
}

impl Language {
    fn new(tag: String, texts: Vec<Cow<'static, str>>) -> Self {
        let english = &LANGUAGES[0].1;
        let members = Text::ALL.iter().zip(&texts).zip(english);
        let members = members.filter_map(|((name, text), english)| {
            let name = name.as_str().strip_prefix("script.")?;
            (text != english).then(|| (name.to_owned(), text.as_ref().into()))
        });
        let members: serde_json::Map<_, _> = members.collect();
        let script = match members.is_empty() {
            true => String::new(),
            false => serde_json::Value::from(members).to_string(),
        };
        Self { tag, texts, script }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred(header: &[u8]) -> String {
        let texts = Texts::new();
        texts.tag(texts.preferred(header)).to_owned()
    }

    #[test]
    fn the_language_is_the_preferred_one_that_is_known() {
        for (header, tag) in [
            ("", "en"),
            ("de", "de"),
            ("DE-ch", "de"),
            ("pt-BR,pt;q=0.9,en;q=0.8", "pt"),
            ("en;q=0.5, fr;q=0.6", "fr"),
            ("xx, yy;q=0.9, ja;q=0.1", "ja"),
            ("xx", "en"),
            ("*", "en"),
            ("de;q=0, es;q=0.1", "es"),
            ("de;q=7, es;q=NaN, fr;q=-1", "en"),
            (";;;,,q=1", "en"),
            ("\u{fc}\u{fc}, de-\u{fc}", "de"),
        ] {
            assert_eq!(preferred(header.as_bytes()), tag, "{header:?}");
        }
        assert_eq!(preferred(b"de, \xff"), "en");
    }

    #[test]
    fn every_language_has_every_text_once() {
        for (tag, texts) in LANGUAGES {
            for (text, name) in texts.iter().zip(Text::ALL) {
                assert!(!text.trim().is_empty(), "{tag} {}", name.as_str());
            }
        }
        let order: Vec<_> = Text::ALL.iter().map(|text| *text as usize).collect();
        assert_eq!(order, (0..Text::ALL.len()).collect::<Vec<_>>());
    }

    #[test]
    fn the_page_script_gets_the_texts_that_are_not_its_own() {
        let texts = Texts::new();
        assert_eq!(texts.script(texts.preferred(b"en")), None);
        let german = texts.script(texts.preferred(b"de")).unwrap();
        let german: serde_json::Value = serde_json::from_str(german).unwrap();
        assert_eq!(german["cancel"], "Abbrechen");
        let own = texts
            .with_text("en", Text::ScriptCancel, "Never \"mind\"")
            .unwrap();
        let own = own.script(own.preferred(b"en")).unwrap();
        assert_eq!(own, r#"{"cancel":"Never \"mind\""}"#);
    }

    #[test]
    fn the_script_s_own_texts_are_those_of_english() {
        let script = include_str!("script/human-check.js");
        for (text, english) in Text::ALL.iter().zip(LANGUAGES[0].1) {
            if let Some(name) = text.as_str().strip_prefix("script.") {
                let line = format!("  {name}: \"{english}\",\n");
                assert!(script.contains(&line), "{line}");
            }
        }
    }

    #[test]
    fn languages_and_texts_that_cannot_be_meant_are_errors() {
        let texts = Texts::new;
        assert!(texts().with_languages(&[]).is_err());
        let error = texts().with_languages(&["nl"]).unwrap_err();
        assert!(error.remedy().contains("de"), "{error}");
        assert_eq!(
            texts()
                .with_languages(&["fr"])
                .unwrap()
                .tag(LanguageIndex(0)),
            "fr"
        );
        for (language, value) in [("", "x"), ("d\u{e9}", "x"), ("de", " "), ("de", "a\nb")] {
            let result = texts().with_text(language, Text::PageBack, value);
            assert!(result.is_err(), "{language:?} {value:?}");
        }
    }
}
