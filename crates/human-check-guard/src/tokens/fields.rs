use human_check_core::{HumanCheck, Provider, Submission};

/// The field in which hCaptcha by default, and Turnstile in its compatibility mode, post a copy of
/// their token for scripts written for reCAPTCHA. See docs/providers/hcaptcha.md#tokens.
const COPY: &str = "g-recaptcha-response";

/// Field names that the scripts of known providers add to a form. A token of a provider that is not
/// accepted never lets a request pass. It must not reach the application's type either, because
/// that may refuse unknown fields.
const KNOWN: [&str; 4] = [
    "captchala_token",
    "cf-turnstile-response",
    COPY,
    "h-captcha-response",
];

/// The longest value that is kept, in bytes: as long as the longest token.
const MAX_KEPT_BYTES: usize = human_check_core::MAX_TOKEN_BYTES;

/// The most tokens of one request. A page with the widgets of all providers sends fewer. One token
/// more makes all of them unusable, so that a body full of tokens costs no more than reading it.
const MAX_TOKENS: usize = 16;

/// The form fields and JSON members that hold tokens, and the providers that the tokens belong to.
///
/// [`Guard::fields`](crate::Guard::fields) returns those of a guard. They include the fields of
/// known providers that the check does not accept, so that an extractor can remove their tokens,
/// too.
#[derive(Clone, Debug)]
pub struct TokenFields {
    providers: Vec<Provider>,
    fields: Vec<Field>,
    /// One bit for each length that the first step of a path has. The highest bit stands for 63
    /// bytes and more. Most members of a body are ruled out by their length.
    lengths: u64,
    /// A field that is the usual one of two providers.
    conflict: Option<String>,
}

#[derive(Clone, Debug)]
struct Field {
    path: Vec<String>,
    /// The indices of the accepted providers that use this field. Empty for a field of a provider
    /// that is not accepted.
    owners: Vec<usize>,
    /// The index of the provider whose usual field it is.
    usual_of: Option<usize>,
}

impl TokenFields {
    /// Creates the fields for a check: the form fields of all providers that it accepts.
    ///
    /// A [`Guard`](crate::Guard) does this itself, and adds the members of
    /// [`with_json_member`](crate::GuardBuilder::with_json_member).
    pub fn of(check: &(impl HumanCheck + ?Sized)) -> Self {
        let mut fields = Self {
            providers: check.providers().to_vec(),
            fields: Vec::new(),
            lengths: 0,
            conflict: None,
        };
        // Each provider has a field with an empty path, which no member of a body matches. It is
        // for tokens outside of the body, see `own`.
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

    /// Adds the member at `path` to the fields of the provider at `index`. `usual` says whether it
    /// is a usual field of this provider.
    pub(crate) fn add(&mut self, path: Vec<String>, index: usize, usual: bool) {
        let field = self.entry(path);
        if !field.owners.contains(&index) {
            field.owners.push(index);
        }
        match field.usual_of {
            _ if !usual => {}
            None => field.usual_of = Some(index),
            Some(other) if other == index => {}
            Some(_) => self.conflict = Some(field.path.join("/")),
        }
    }

    /// Returns a field that is the usual one of two providers, if there is one.
    pub(crate) fn conflict(&self) -> Option<&str> {
        self.conflict.as_deref()
    }

    /// Returns whether one of the paths leads through another.
    pub(crate) fn is_ambiguous(&self) -> bool {
        let paths = || self.fields.iter().map(|field| &field.path);
        let leads_through = |one: &[String], other: &[String]| {
            !one.is_empty() && one.len() < other.len() && other.starts_with(one)
        };
        paths().any(|one| paths().any(|other| leads_through(one, other)))
    }

    /// Returns the field at `path`, and adds it without owners if it is new.
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

    /// Returns whether a member with this name, at the top of a body, may hold a token or lead to
    /// one. It compares the length only, so `true` may be wrong and `false` is certain.
    pub(crate) fn may_be_named(&self, name: &[u8]) -> bool {
        self.lengths & length_bit(name.len()) != 0
    }

    /// Returns which providers a token that was found in the field `id` belongs to.
    fn role(&self, id: FieldId, found: &Found, all: &[(FieldId, Found)]) -> Role<'_> {
        let field = &self.fields[id.0];
        let repeats = |(other, text): &(FieldId, Found)| {
            let usual_of = self.fields[other.0].usual_of;
            usual_of.is_some() && usual_of != field.usual_of && text == found
        };
        // A field of a provider that is not accepted may repeat a token that is checked anyway.
        // Then it is a copy and no contradiction.
        let may_copy = field.path == [COPY] || field.owners.is_empty();
        if may_copy && all.iter().any(repeats) {
            return Role::Copy;
        }
        match &field.usual_of {
            Some(owner) => Role::Of(std::slice::from_ref(owner)),
            None => Role::Of(&field.owners),
        }
    }

    /// Returns the field for a token of the provider at `index` that arrived outside of the body.
    pub(crate) fn own(index: usize) -> FieldId {
        FieldId(index)
    }

    /// Returns the providers that the check accepts.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// Returns what the member `name` is, inside of the member at the path `parent`.
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

    /// Returns the field with this name at the top of a body. `None` if the field holds no token.
    ///
    /// It also finds the fields of known providers that the check does not accept.
    pub fn find(&self, name: &str) -> Option<FieldId> {
        match self.at(&[], name) {
            Place::Token(field) => Some(field),
            _ => None,
        }
    }
}

/// What a member of a body is for the guard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// It holds a token.
    Token(FieldId),
    /// A member inside of it holds a token.
    Branch,
    /// It belongs to the application.
    Other,
}

/// Returns the bit of a length in `TokenFields::lengths`.
fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// The identifier of one field of [`TokenFields`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FieldId(usize);

/// The tokens that were found in one part of a request, such as its body.
///
/// A guard combines them with the token in the header, and refuses tokens that contradict each
/// other. `Debug` shows the number of tokens, never their text.
///
/// ```
/// use human_check_guard::integration::SubmittedTokens;
/// use human_check_guard::{Guard, RoutePolicy};
///
/// # let check = human_check_testkit::Scripted::human();
/// // `check` accepts tokens in the field `scripted-response`.
/// let guard = Guard::new(check, RoutePolicy::fail_closed("signup"))?;
/// let mut tokens = SubmittedTokens::none();
/// for (name, value) in [("email", "ada@example.com"), ("scripted-response", "t")] {
///     if let Some(field) = guard.fields().find(name) {
///         tokens.push(field, value);
///     }
/// }
/// assert_eq!(format!("{tokens:?}"), "SubmittedTokens(1)");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct SubmittedTokens {
    found: Vec<(FieldId, Found)>,
    /// The application's type, if it has no members that a token could stand beside.
    type_without_place: Option<&'static str>,
}

#[derive(Clone, Eq, PartialEq)]
enum Found {
    Text(String),
    /// A value that is not text or is too long.
    Unusable,
}

impl SubmittedTokens {
    /// Creates an empty set of tokens, for a request or a body without a token.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds the text of `field`. An empty text counts as no token, because a widget that is not
    /// solved posts one. A text of more than 16 KiB makes all tokens unusable.
    pub fn push(&mut self, field: FieldId, text: impl AsRef<str> + Into<String>) {
        let length = text.as_ref().len();
        if length > MAX_KEPT_BYTES {
            self.push_unusable(field);
        } else if length > 0 {
            self.add(field, Found::Text(text.into()));
        }
    }

    /// Records that `field` holds a value that cannot be a token, such as a number, a list or bytes
    /// that are not text. All tokens of the request are then unusable.
    pub fn push_unusable(&mut self, field: FieldId) {
        self.add(field, Found::Unusable);
    }

    fn add(&mut self, field: FieldId, found: Found) {
        if self.found.len() < MAX_TOKENS {
            self.found.push((field, found));
        } else if let Some((_, last)) = self.found.last_mut() {
            *last = Found::Unusable;
        }
    }

    /// Adds all tokens of `other`.
    pub fn append(&mut self, other: Self) {
        self.type_without_place = self.type_without_place.or(other.type_without_place);
        if self.found.is_empty() {
            self.found = other.found;
            return;
        }
        for (field, found) in other.found {
            self.add(field, found);
        }
    }

    /// Records that the body was read as a type that has no place for a token.
    pub(crate) fn set_type_without_place(&mut self, name: &'static str) {
        self.type_without_place = Some(name);
    }

    /// Returns the type that the body was read as, if it has no place for a token.
    pub(crate) fn type_without_place(&self) -> Option<&'static str> {
        self.type_without_place
    }

    /// Returns whether `field` has a token.
    pub(crate) fn has(&self, field: FieldId) -> bool {
        self.found.iter().any(|(found, _)| *found == field)
    }

    /// Returns whether no token was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Sorts the tokens by provider.
    ///
    /// A field that several providers use belongs to the provider whose usual field it is. A copy
    /// of another provider's token, for compatibility, is ignored.
    pub(crate) fn sort(self, fields: &TokenFields) -> Sorted {
        let Self { mut found, .. } = self;
        // An identifier of another guard's fields may be out of range. Its token is unusable.
        let unusable = |(id, found): &(FieldId, Found)| {
            *found == Found::Unusable || id.0 >= fields.fields.len()
        };
        if found.iter().any(unusable) {
            return Sorted::Unusable;
        }
        let mut submission = Submission::new();
        // The usual case: one token, in the usual field of its provider.
        if let [(id, Found::Text(_))] = &found[..]
            && let Some(owner) = fields.fields[id.0].usual_of
            && let Some((_, Found::Text(text))) = found.pop()
        {
            return Sorted::Submitted(submission.with_token(&fields.providers[owner], text));
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
            (true, false) => Sorted::Submitted(submission),
            (true, true) => Sorted::Unusable,
            (false, _) => Sorted::Absent { foreign },
        }
    }
}

/// The providers that a token belongs to.
enum Role<'a> {
    /// The token belongs to the accepted providers with these indices. If there are none, it
    /// belongs to a provider that is not accepted.
    Of(&'a [usize]),
    /// The token repeats one in the usual field of another provider.
    Copy,
}

/// The tokens of a request, sorted by provider.
#[derive(Debug)]
pub(crate) enum Sorted {
    /// Tokens of accepted providers. The check decides whether they are valid.
    Submitted(Submission),
    /// No token of an accepted provider. `foreign`: there is one of another provider.
    Absent { foreign: bool },
    /// A value that is not a token, or tokens of accepted and of other providers together.
    Unusable,
}

impl std::fmt::Debug for SubmittedTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SubmittedTokens({})", self.found.len())
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
            let Sorted::Submitted(submission) = sort(&fields, &posted) else {
                panic!("no submission")
            };
            assert_eq!(submission.token_for(&HCAPTCHA, 10).unwrap(), "a");
            assert!(!submission.has_token_for(&RECAPTCHA));
        }
    }

    #[test]
    fn two_providers_that_are_both_accepted_are_two_tokens() {
        let posted = [("h-captcha-response", "a"), ("g-recaptcha-response", "b")];
        let Sorted::Submitted(submission) = sort(&both(), &posted) else {
            panic!("no submission")
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
            Sorted::Absent { foreign: true }
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
        assert!(tokens.found.len() <= MAX_TOKENS);
        assert!(matches!(tokens.sort(&fields), Sorted::Unusable));
        assert!(matches!(
            sort(&fields, &posted[..MAX_TOKENS]),
            Sorted::Submitted(_)
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
        assert!(matches!(twice("", ""), Sorted::Absent { foreign: false }));
        let Sorted::Submitted(submission) = twice("a", "") else {
            panic!("no submission")
        };
        assert!(submission.token_for(&HCAPTCHA, 10).is_ok());
        let Sorted::Submitted(submission) = twice("a", "b") else {
            panic!("no submission")
        };
        assert!(submission.token_for(&HCAPTCHA, 10).is_err());
        let long = "a".repeat(MAX_KEPT_BYTES + 1);
        assert!(matches!(twice("a", &long), Sorted::Unusable));
    }
}
