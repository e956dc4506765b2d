use human_check_core::{HumanCheck, Provider, Submission};

use crate::selection::{MAX_OFFER_BYTES, OFFER_FIELD, OfferFault};

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
}

#[derive(Clone, Debug)]
struct Field {
    path: Vec<String>,
    /// The indices of the accepted providers that use this field. Empty for a field of a provider
    /// that is not accepted.
    owners: Vec<usize>,
    /// The indices of the providers whose usual field it is. Two of them are never accepted together.
    usual_of: Vec<usize>,
}

/// Which providers the tokens of a request may belong to, by their index in [`TokenFields`].
///
/// An account that is selected accepts its own providers. The tokens of other accounts are ignored.
#[derive(Clone, Debug)]
pub(crate) struct Accepted(Vec<bool>);

impl Accepted {
    fn has(&self, provider: usize) -> bool {
        self.0.get(provider).copied().unwrap_or(false)
    }

    /// Returns those of `providers` that are accepted.
    fn among<'a>(&'a self, providers: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
        providers.iter().copied().filter(|index| self.has(*index))
    }
}

impl TokenFields {
    /// Creates the fields for a check: the form fields of all providers that it accepts.
    ///
    /// A [`Guard`](crate::Guard) does this itself, and adds the members of
    /// [`with_json_member`](crate::GuardBuilder::with_json_member).
    pub fn of(check: &(impl HumanCheck + ?Sized)) -> Self {
        Self::of_providers(check.providers())
    }

    /// Creates the fields of several providers. A provider that is listed twice has the fields of
    /// both entries.
    pub(crate) fn of_providers<'a>(listed: impl IntoIterator<Item = &'a Provider>) -> Self {
        let mut providers: Vec<Provider> = Vec::new();
        let mut names = Vec::new();
        for provider in listed {
            let index = providers.iter().position(|known| known == provider);
            let index = index.unwrap_or_else(|| {
                providers.push(provider.clone());
                providers.len() - 1
            });
            let own = provider.fields().map(str::to_owned).enumerate();
            names.extend(own.map(|(place, name)| (name, index, place == 0)));
        }
        let mut fields = Self {
            fields: Vec::new(),
            lengths: length_bit(OFFER_FIELD.len()),
            providers,
        };
        // Each provider has a field with an empty path, which no member of a body matches. It is
        // for tokens outside of the body, see `own`.
        let own = 0..fields.providers.len();
        fields.fields.extend(own.map(|index| Field {
            path: Vec::new(),
            owners: vec![index],
            usual_of: vec![index],
        }));
        for (name, index, usual) in names {
            fields.add(vec![name], index, usual);
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
        if usual && !field.usual_of.contains(&index) {
            field.usual_of.push(index);
        }
    }

    /// Returns a field that is the usual one of two providers which are accepted together, if there
    /// is one.
    pub(crate) fn conflict(&self, accepted: &Accepted) -> Option<String> {
        let mut fields = self.fields.iter();
        let conflict = fields.find(|field| accepted.among(&field.usual_of).count() > 1);
        conflict.map(|field| field.path.join("/"))
    }

    /// Returns which tokens a check with these providers accepts.
    pub(crate) fn accepted(&self, providers: &[Provider]) -> Accepted {
        let known = self.providers.iter();
        Accepted(known.map(|known| providers.contains(known)).collect())
    }

    /// Returns the index of a provider.
    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.providers.iter().position(|known| known.name() == name)
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
                usual_of: Vec::new(),
            });
        }
        &mut self.fields[at]
    }

    /// Returns whether a member with this name, at the top of a body, may hold a token or lead to
    /// one. It compares the length only, so `true` may be wrong and `false` is certain.
    pub(crate) fn may_be_named(&self, name: &[u8]) -> bool {
        self.lengths & length_bit(name.len()) != 0
    }

    /// Returns which of the accepted providers a token that was found in the field `id` belongs to.
    fn role(
        &self,
        id: FieldId,
        found: &Found,
        all: &[(FieldId, Found)],
        accepted: &Accepted,
    ) -> Role {
        let field = &self.fields[id.0];
        let repeats = |(other, text): &(FieldId, Found)| {
            let usual_of = &self.fields[other.0].usual_of;
            usual_of.iter().any(|owner| !field.usual_of.contains(owner)) && text == found
        };
        // A field of a provider that is not accepted may repeat a token that is checked anyway.
        // Then it is a copy and no contradiction.
        let may_copy = field.path == [COPY] || field.owners.is_empty();
        if may_copy && all.iter().any(repeats) {
            return Role::Copy;
        }
        if field.owners.is_empty() {
            return Role::Foreign;
        }
        let mut owners: Vec<usize> = accepted.among(&field.usual_of).collect();
        if owners.is_empty() {
            owners = accepted.among(&field.owners).collect();
        }
        match owners.is_empty() {
            true => Role::OfAnotherAccount,
            false => Role::Of(owners),
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
        if parent.is_empty() {
            if !self.may_be_named(name.as_bytes()) {
                return Place::Other;
            }
            if name == OFFER_FIELD {
                return Place::Token(FieldId::OFFER);
            }
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
    /// It also finds the fields of known providers that the check does not accept, and the field of
    /// an offer, `human-check-offer`.
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

impl FieldId {
    /// The field of an offer. Its text is no token.
    pub(crate) const OFFER: Self = Self(usize::MAX);
}

/// What was found in the places of an offer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum FoundOffer {
    Text(String),
    /// It counts as none, for this reason.
    Unusable(OfferFault),
}

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
    /// Whether there were more tokens than are kept.
    is_overfull: bool,
    offer: Option<FoundOffer>,
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
        if field == FieldId::OFFER {
            match length {
                0 => {}
                _ if length > MAX_OFFER_BYTES => {
                    self.add_offer(FoundOffer::Unusable(OfferFault::Oversized));
                }
                _ => self.add_offer(FoundOffer::Text(text.into())),
            }
        } else if length > MAX_KEPT_BYTES {
            self.push_unusable(field);
        } else if length > 0 {
            self.add(field, Found::Text(text.into()));
        }
    }

    /// Records that `field` holds a value that cannot be a token, such as a number, a list or bytes
    /// that are not text. All tokens of the request are then unusable.
    pub fn push_unusable(&mut self, field: FieldId) {
        match field {
            FieldId::OFFER => self.add_offer(FoundOffer::Unusable(OfferFault::Malformed)),
            field => self.add(field, Found::Unusable),
        }
    }

    fn add(&mut self, field: FieldId, found: Found) {
        match self.found.len() < MAX_TOKENS {
            true => self.found.push((field, found)),
            false => self.is_overfull = true,
        }
    }

    /// Adds an offer. Two that differ are as good as none.
    pub(crate) fn add_offer(&mut self, offer: FoundOffer) {
        match &self.offer {
            None => self.offer = Some(offer),
            Some(known) if *known == offer => {}
            Some(_) => self.offer = Some(FoundOffer::Unusable(OfferFault::Contradictory)),
        }
    }

    /// Returns the offer, if one arrived.
    pub(crate) fn offer(&self) -> Option<&FoundOffer> {
        self.offer.as_ref()
    }

    /// Adds all tokens of `other`.
    pub fn append(&mut self, other: Self) {
        self.type_without_place = self.type_without_place.or(other.type_without_place);
        self.is_overfull |= other.is_overfull;
        if let Some(offer) = other.offer {
            self.add_offer(offer);
        }
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
        if field == FieldId::OFFER {
            return self.offer.is_some();
        }
        self.found.iter().any(|(found, _)| *found == field)
    }

    /// Returns whether no token was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Returns whether a token may belong to one of the accepted providers.
    pub(crate) fn has_any(&self, fields: &TokenFields, accepted: &Accepted) -> bool {
        self.found.iter().any(|(id, _)| {
            let field = fields.fields.get(id.0);
            field.is_some_and(|field| accepted.among(&field.owners).next().is_some())
        })
    }

    /// Sorts the tokens by provider. Those of providers that are not accepted for this request are
    /// left out.
    ///
    /// A field that several providers use belongs to the provider whose usual field it is. A copy
    /// of another provider's token, for compatibility, is ignored.
    pub(crate) fn sort(self, fields: &TokenFields, accepted: &Accepted) -> Sorted {
        let Self {
            mut found,
            is_overfull,
            ..
        } = self;
        // An identifier of another guard's fields may be out of range. Its token is unusable.
        if is_overfull || found.iter().any(|(id, _)| id.0 >= fields.fields.len()) {
            return Sorted::Unusable;
        }
        let mut submission = Submission::new();
        // The usual case: one token, in the usual field of its provider.
        if let [(id, Found::Text(_))] = &found[..]
            && let Some(owner) = accepted.among(&fields.fields[id.0].usual_of).next()
            && let Some((_, Found::Text(text))) = found.pop()
        {
            return Sorted::Submitted(submission.with_token(&fields.providers[owner], text));
        }
        let roles: Vec<Role> = found
            .iter()
            .map(|(id, text)| fields.role(*id, text, &found, accepted))
            .collect();
        let (mut any, mut foreign, mut other) = (false, false, false);
        for ((_, found), role) in found.into_iter().zip(roles) {
            let owners = match role {
                Role::Copy => continue,
                Role::OfAnotherAccount => {
                    other = true;
                    continue;
                }
                Role::Foreign => Vec::new(),
                Role::Of(owners) => owners,
            };
            let Found::Text(text) = found else {
                return Sorted::Unusable;
            };
            foreign |= owners.is_empty();
            for owner in owners {
                any = true;
                let provider = &fields.providers[owner];
                submission = submission.with_token(provider, text.clone());
            }
        }
        match (any, foreign) {
            (true, false) => Sorted::Submitted(submission),
            (true, true) => Sorted::Unusable,
            (false, _) => Sorted::Absent { foreign, other },
        }
    }
}

/// Whose token it is.
enum Role {
    /// The token repeats one in the usual field of another provider.
    Copy,
    /// The token belongs to a provider of no account of the guard.
    Foreign,
    /// The token belongs to the accepted providers with these indices.
    Of(Vec<usize>),
    /// The token belongs to an account that is not selected for this request.
    OfAnotherAccount,
}

/// The tokens of a request, sorted by provider.
#[derive(Debug)]
pub(crate) enum Sorted {
    /// Tokens of accepted providers. The check decides whether they are valid.
    Submitted(Submission),
    /// No token of an accepted provider. `foreign`: there is one of a provider without an account.
    /// `other`: there is one of an account that is not selected.
    Absent { foreign: bool, other: bool },
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
        TokenFields::of_providers([&HCAPTCHA, &RECAPTCHA])
    }

    fn found(fields: &TokenFields, found: &[(&str, &str)]) -> SubmittedTokens {
        let mut tokens = SubmittedTokens::none();
        for (name, text) in found {
            tokens.push(fields.find(name).unwrap(), *text);
        }
        tokens
    }

    fn sort(fields: &TokenFields, posted: &[(&str, &str)]) -> Sorted {
        let all = fields.accepted(&fields.providers);
        found(fields, posted).sort(fields, &all)
    }

    #[test]
    fn tokens_of_an_account_that_is_not_selected_are_ignored() {
        let fields = both();
        let hcaptcha = fields.accepted(std::slice::from_ref(&HCAPTCHA));
        let long = "a".repeat(MAX_KEPT_BYTES + 1);
        for other in ["b", &long] {
            let posted = [("h-captcha-response", "a"), ("g-recaptcha-response", other)];
            let Sorted::Submitted(submission) = found(&fields, &posted).sort(&fields, &hcaptcha)
            else {
                panic!("no submission")
            };
            assert_eq!(submission.token_for(&HCAPTCHA, 10).unwrap(), "a");
            assert!(!submission.has_token_for(&RECAPTCHA));
            let sorted = found(&fields, &posted[1..]).sort(&fields, &hcaptcha);
            assert!(
                matches!(sorted, Sorted::Absent { other: true, .. }),
                "{sorted:?}"
            );
        }
    }

    #[test]
    fn one_field_of_two_accounts_belongs_to_the_one_that_is_selected() {
        static V3: Provider = Provider::new("recaptcha-v3", &["g-recaptcha-response"]);
        let fields = TokenFields::of_providers([&RECAPTCHA, &V3]);
        for selected in [&RECAPTCHA, &V3] {
            let accepted = fields.accepted(std::slice::from_ref(selected));
            assert_eq!(fields.conflict(&accepted), None);
            let posted = found(&fields, &[("g-recaptcha-response", "a")]);
            let Sorted::Submitted(submission) = posted.sort(&fields, &accepted) else {
                panic!("no submission")
            };
            assert!(submission.has_token_for(selected));
        }
        let both = fields.accepted(&[RECAPTCHA.clone(), V3.clone()]);
        assert_eq!(fields.conflict(&both).unwrap(), "g-recaptcha-response");
    }

    #[test]
    fn two_offers_that_differ_are_as_good_as_none_and_two_equal_ones_are_one() {
        let fields = both();
        let offer = |texts: &[&str]| {
            let named: Vec<_> = texts.iter().map(|text| (OFFER_FIELD, *text)).collect();
            found(&fields, &named).offer().cloned()
        };
        assert_eq!(offer(&["", ""]), None);
        assert_eq!(offer(&["a", "a"]), Some(FoundOffer::Text("a".into())));
        let unusable = |fault| Some(FoundOffer::Unusable(fault));
        assert_eq!(offer(&["a", "b"]), unusable(OfferFault::Contradictory));
        assert_eq!(offer(&[&"a".repeat(201)]), unusable(OfferFault::Oversized));
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
            Sorted::Absent { foreign: true, .. }
        ));
    }

    #[test]
    fn a_body_of_nothing_but_tokens_is_unusable_and_cheap() {
        let fields = both();
        let mut posted = Vec::new();
        for _ in 0..10_000 {
            posted.extend([("h-captcha-response", "a"), ("g-recaptcha-response", "b")]);
        }
        assert!(found(&fields, &posted).found.len() <= MAX_TOKENS);
        assert!(matches!(sort(&fields, &posted), Sorted::Unusable));
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
        assert!(matches!(
            twice("", ""),
            Sorted::Absent { foreign: false, .. }
        ));
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
