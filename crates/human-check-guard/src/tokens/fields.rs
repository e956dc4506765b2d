use human_check_core::{HumanCheck, Provider, Submission};

/// Where hCaptcha and Turnstile post a copy of their token for scripts written for reCAPTCHA,
/// unless told not to.
const COPY: &str = "g-recaptcha-response";

/// Field names that some provider's script adds to a form. One that is not accepted is never a
/// reason to pass, but it must not reach the application's own type either, which may refuse
/// what it does not know.
const KNOWN: [&str; 4] = [
    "captchala_token",
    "cf-turnstile-response",
    COPY,
    "h-captcha-response",
];

/// Longer values are not even kept. No provider's token is half as long.
const KEEP_CAP: usize = 16_384;

/// More tokens than a page with every provider's widget sends. What is beyond makes all of them
/// unusable, so that a body of nothing but tokens costs no more than to read it.
const MAX_TOKENS: usize = 16;

/// Which members of a body carry tokens, and whose.
#[derive(Clone, Debug)]
pub struct TokenFields {
    providers: Vec<Provider>,
    fields: Vec<Field>,
    /// A bit for each length that the first part of a path has, the highest for all beyond. Most
    /// members of a body are told apart by that.
    lengths: u64,
    disputed: Option<String>,
}

#[derive(Clone, Debug)]
struct Field {
    path: Vec<String>,
    /// Indices of the providers whose field this is. None of them for a foreign provider's.
    owners: Vec<usize>,
    /// The one whose usual field it is.
    usual_of: Option<usize>,
}

impl TokenFields {
    /// The form fields of everything that `check` accepts.
    pub fn of(check: &(impl HumanCheck + ?Sized)) -> Self {
        let mut fields = Self {
            providers: check.providers().to_vec(),
            fields: Vec::new(),
            lengths: 0,
            disputed: None,
        };
        // Each provider has a place of its own that no member of a body leads to: see `own`.
        fields
            .fields
            .extend((0..check.providers().len()).map(|index| Field {
                path: Vec::new(),
                owners: vec![index],
                usual_of: Some(index),
            }));
        for (index, provider) in check.providers().iter().enumerate() {
            for (place, name) in provider.fields().enumerate() {
                fields.add(vec![name.to_owned()], index, place == 0);
            }
        }
        for known in KNOWN {
            fields.entry(vec![known.to_owned()]);
        }
        fields
    }

    /// The same, and the answer of the provider at `index` is also found at `path`.
    pub(crate) fn add(&mut self, path: Vec<String>, index: usize, usual: bool) {
        let field = self.entry(path);
        if !field.owners.contains(&index) {
            field.owners.push(index);
        }
        match field.usual_of {
            _ if !usual => {}
            None => field.usual_of = Some(index),
            Some(other) if other == index => {}
            Some(_) => self.disputed = Some(field.path.join("/")),
        }
    }

    /// A place that is the usual one of two providers.
    pub(crate) fn disputed(&self) -> Option<&str> {
        self.disputed.as_deref()
    }

    /// Whether one of these paths leads through another.
    pub(crate) fn is_ambiguous(&self) -> bool {
        let paths = || self.fields.iter().map(|field| &field.path);
        let leads_through = |one: &[String], other: &[String]| {
            !one.is_empty() && one.len() < other.len() && other.starts_with(one)
        };
        paths().any(|one| paths().any(|other| leads_through(one, other)))
    }

    fn entry(&mut self, path: Vec<String>) -> &mut Field {
        if let Some(first) = path.first() {
            self.lengths |= length_bit(first.len());
        }
        let known = self.fields.iter().position(|field| field.path == path);
        let at = known.unwrap_or(self.fields.len());
        if known.is_none() {
            self.fields.push(Field {
                path,
                owners: Vec::new(),
                usual_of: None,
            });
        }
        &mut self.fields[at]
    }

    /// Whether a member at the top of a body can be an answer, or lead to one.
    pub(crate) fn may_be_named(&self, name: &[u8]) -> bool {
        self.lengths & length_bit(name.len()) != 0
    }

    fn role(&self, id: FieldId, found: &Found, all: &[(FieldId, Found)]) -> Role<'_> {
        let field = &self.fields[id.0];
        let repeats = |(other, text): &(FieldId, Found)| {
            let usual_of = self.fields[other.0].usual_of;
            usual_of.is_some() && usual_of != field.usual_of && text == found
        };
        // A foreign provider's field that only repeats what is checked says nothing new.
        let may_copy = field.path == [COPY] || field.owners.is_empty();
        if may_copy && all.iter().any(repeats) {
            return Role::Copy;
        }
        match &field.usual_of {
            Some(owner) => Role::Of(std::slice::from_ref(owner)),
            None => Role::Of(&field.owners),
        }
    }

    /// The place of a token that arrived for the provider at `index` outside the body.
    pub(crate) fn own(index: usize) -> FieldId {
        FieldId(index)
    }

    /// Whose tokens are looked for.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// What `name` is, inside the member that `parent` leads to.
    pub(crate) fn at(&self, parent: &[String], name: &str) -> Place {
        if parent.is_empty() && !self.may_be_named(name.as_bytes()) {
            return Place::Other;
        }
        let mut inner = false;
        for (index, field) in self.fields.iter().enumerate() {
            let depth = parent.len();
            if field.path.len() <= depth
                || field.path[depth] != name
                || field.path[..depth] != *parent
            {
                continue;
            }
            if field.path.len() == depth + 1 {
                return Place::Token(FieldId(index));
            }
            inner = true;
        }
        if inner { Place::Branch } else { Place::Other }
    }

    /// The field of that name at the top of a body, if it is one of ours or of another provider.
    pub fn find(&self, name: &str) -> Option<FieldId> {
        match self.at(&[], name) {
            Place::Token(field) => Some(field),
            _ => None,
        }
    }
}

/// What a member of a body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// It carries an answer.
    Token(FieldId),
    /// Somewhere inside it is one.
    Branch,
    /// It is the application's.
    Other,
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// One of the [`Fields`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FieldId(usize);

/// What was found where tokens are looked for, until it is known what it amounts to.
///
/// `Debug` shows how many, never what.
#[derive(Clone, Default)]
pub struct SubmittedTokens(Vec<(FieldId, Found)>);

#[derive(Clone, Eq, PartialEq)]
enum Found {
    Text(String),
    /// Not text at all, or far too long.
    Unusable,
}

impl SubmittedTokens {
    /// Nothing found.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds text found in `field`. An empty one is what an unsolved widget posts and counts as none.
    pub fn push(&mut self, field: FieldId, text: impl AsRef<str> + Into<String>) {
        let length = text.as_ref().len();
        if length > KEEP_CAP {
            self.push_unusable(field);
        } else if length > 0 {
            self.add(field, Found::Text(text.into()));
        }
    }

    /// Adds that `field` holds something that cannot be a token: a number, a list, bytes that are
    /// not text.
    pub fn push_unusable(&mut self, field: FieldId) {
        self.add(field, Found::Unusable);
    }

    fn add(&mut self, field: FieldId, found: Found) {
        if self.0.len() < MAX_TOKENS {
            self.0.push((field, found));
        } else if let Some((_, last)) = self.0.last_mut() {
            *last = Found::Unusable;
        }
    }

    /// Adds all that `other` found.
    pub fn append(&mut self, other: Self) {
        if self.0.is_empty() {
            *self = other;
            return;
        }
        for (field, found) in other.0 {
            self.add(field, found);
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sorts what was found by provider.
    ///
    /// A field that several providers use belongs to the one whose usual field it is. The
    /// compatibility copy of another provider's answer belongs to nobody.
    pub(crate) fn sort(self, fields: &TokenFields) -> Sorted {
        let Self(mut found) = self;
        // SubmittedTokens found for another guard's fields mean nothing here.
        let unusable = |(id, found): &(FieldId, Found)| {
            *found == Found::Unusable || id.0 >= fields.fields.len()
        };
        if found.iter().any(unusable) {
            return Sorted::Unusable;
        }
        let mut submission = Submission::new();
        // Nearly always there is one answer, in its provider's usual field.
        if let [(id, Found::Text(_))] = &found[..]
            && let Some(owner) = fields.fields[id.0].usual_of
            && let Some((_, Found::Text(text))) = found.pop()
        {
            return Sorted::Answered(submission.with_token(&fields.providers[owner], text));
        }
        let roles: Vec<Role<'_>> = found
            .iter()
            .map(|(id, text)| fields.role(*id, text, &found))
            .collect();
        let (mut any, mut foreign) = (false, false);
        for ((_, text), role) in found.into_iter().zip(roles) {
            let Found::Text(text) = text else { continue };
            match role {
                Role::Copy => {}
                Role::Of([]) => foreign = true,
                Role::Of([owner]) => {
                    any = true;
                    submission = submission.with_token(&fields.providers[*owner], text);
                }
                Role::Of(owners) => {
                    any = true;
                    for owner in owners {
                        let provider = &fields.providers[*owner];
                        submission = submission.with_token(provider, text.clone());
                    }
                }
            }
        }
        match (any, foreign) {
            (true, false) => Sorted::Answered(submission),
            (true, true) => Sorted::Unusable,
            (false, _) => Sorted::Nothing { foreign },
        }
    }
}

/// Whose answer a text is.
enum Role<'a> {
    /// Of these providers; of a foreign provider when there are none.
    Of(&'a [usize]),
    /// It only repeats what another provider's usual field says.
    Copy,
}

/// What a body's tokens amount to.
#[derive(Debug)]
pub(crate) enum Sorted {
    /// Something for a provider that is accepted. Whether it is good, the check says.
    Answered(Submission),
    /// Nothing, or only another provider's answer.
    Nothing { foreign: bool },
    /// Contradictory, or not text.
    Unusable,
}

impl std::fmt::Debug for SubmittedTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SubmittedTokens({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use human_check_testkit::Scripted;

    static HCAPTCHA: Provider = Provider::new("hcaptcha", &["h-captcha-response"]);
    static RECAPTCHA: Provider = Provider::new("recaptcha", &["g-recaptcha-response"]);

    fn both() -> TokenFields {
        let mut fields = TokenFields::of(&Scripted::human().with_provider(&HCAPTCHA));
        fields.providers.push(RECAPTCHA.clone());
        let id = fields.find("g-recaptcha-response").unwrap();
        fields.fields[id.0].owners.push(1);
        fields.fields[id.0].usual_of = Some(1);
        fields
    }

    fn sort(fields: &TokenFields, found: &[(&str, &str)]) -> Sorted {
        let mut tokens = SubmittedTokens::none();
        for (name, text) in found {
            tokens.push(fields.find(name).unwrap(), *text);
        }
        tokens.sort(fields)
    }

    #[test]
    fn what_hcaptcha_posts_twice_is_one_token() {
        let alone = TokenFields::of(&Scripted::human().with_provider(&HCAPTCHA));
        let posted = [("h-captcha-response", "a"), ("g-recaptcha-response", "a")];
        for fields in [alone, both()] {
            let Sorted::Answered(submission) = sort(&fields, &posted) else {
                panic!("not answered")
            };
            assert_eq!(submission.token_for(&HCAPTCHA, 10).unwrap(), "a");
            assert!(!submission.has_token_for(&RECAPTCHA));
        }
    }

    #[test]
    fn two_providers_that_are_both_accepted_are_two_tokens() {
        let posted = [("h-captcha-response", "a"), ("g-recaptcha-response", "b")];
        let Sorted::Answered(submission) = sort(&both(), &posted) else {
            panic!("not answered")
        };
        assert_eq!(submission.token_for(&HCAPTCHA, 10).unwrap(), "a");
        assert_eq!(submission.token_for(&RECAPTCHA, 10).unwrap(), "b");
    }

    #[test]
    fn another_providers_token_beside_an_accepted_one_contradicts_and_alone_is_none() {
        let fields = TokenFields::of(&Scripted::human().with_provider(&HCAPTCHA));
        let posted = [("h-captcha-response", "a"), ("cf-turnstile-response", "b")];
        assert!(matches!(sort(&fields, &posted), Sorted::Unusable));
        assert!(matches!(
            sort(&fields, &posted[1..]),
            Sorted::Nothing { foreign: true }
        ));
    }

    #[test]
    fn a_body_of_nothing_but_tokens_is_unusable_and_cheap() {
        let fields = both();
        let mut posted = Vec::new();
        for _ in 0..10_000 {
            posted.extend([("h-captcha-response", "a"), ("g-recaptcha-response", "b")]);
        }
        let mut tokens = SubmittedTokens::none();
        for (name, text) in &posted {
            tokens.push(fields.find(name).unwrap(), *text);
        }
        assert!(tokens.0.len() <= MAX_TOKENS);
        assert!(matches!(tokens.sort(&fields), Sorted::Unusable));
        assert!(matches!(
            sort(&fields, &posted[..MAX_TOKENS]),
            Sorted::Answered(_)
        ));
    }

    #[test]
    fn empty_is_none_and_two_different_ones_are_left_to_the_check_to_refuse() {
        let fields = TokenFields::of(&Scripted::human().with_provider(&HCAPTCHA));
        let twice = |a, b| {
            sort(
                &fields,
                &[("h-captcha-response", a), ("h-captcha-response", b)],
            )
        };
        assert!(matches!(twice("", ""), Sorted::Nothing { foreign: false }));
        let Sorted::Answered(submission) = twice("a", "") else {
            panic!("not answered")
        };
        assert!(submission.token_for(&HCAPTCHA, 10).is_ok());
        let Sorted::Answered(submission) = twice("a", "b") else {
            panic!("not answered")
        };
        assert!(submission.token_for(&HCAPTCHA, 10).is_err());
        let long = "a".repeat(KEEP_CAP + 1);
        assert!(matches!(twice("a", &long), Sorted::Unusable));
    }
}
