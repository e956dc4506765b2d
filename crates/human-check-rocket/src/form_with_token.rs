use std::sync::Arc;

use human_check_guard::integration::{
    FieldId, GuardedRequest, SubmittedTokens, TokenFields, current_fields, report_withheld,
};
use rocket::data::ToByteUnit;
use rocket::form::name::NameView;
use rocket::form::{self, DataField, FromForm, Options, ValueField};

/// The application's form, and the tokens that were beside its fields.
///
/// It does for Rocket's forms, urlencoded and multipart, what
/// [`WithToken`](human_check_guard::integration::WithToken) does for types of serde. But `T` never
/// gets the token: if it has the token's field itself, an error is logged, once for each type.
pub(crate) struct FormWithToken<T> {
    pub(crate) inner: T,
    pub(crate) tokens: SubmittedTokens,
    /// The fields of a form that is short enough for the page of a refusal.
    pub(crate) kept: Option<Vec<(String, String)>>,
}

/// The state while a [`FormWithToken`] is read.
pub(crate) struct FormContext<C> {
    fields: Option<Arc<TokenFields>>,
    tokens: SubmittedTokens,
    /// `None` once the form is too long.
    kept: Option<Vec<(String, String)>>,
    kept_bytes: usize,
    inner: C,
}

impl<C> FormContext<C> {
    /// Keeps a field for the page of a refusal.
    fn keep(&mut self, field: &ValueField<'_>) {
        let name = field.name.source().as_str();
        self.kept_bytes += name.len() + field.value.len() + 2;
        let fields = self.kept.as_ref().map_or(0, Vec::len);
        if self.kept_bytes > GuardedRequest::MAX_KEPT_FORM_BYTES
            || fields > GuardedRequest::MAX_KEPT_FORM_FIELDS
        {
            self.kept = None;
        }
        if let Some(kept) = &mut self.kept {
            kept.push((name.to_owned(), field.value.to_owned()));
        }
    }

    /// Returns the token's field with this name. The whole name counts: `token.x` and `token[]` are
    /// fields of the application.
    fn field(&self, name: NameView<'_>) -> Option<FieldId> {
        self.fields.as_ref()?.find(name.source().as_str())
    }
}

#[rocket::async_trait]
impl<'r, T: FromForm<'r>> FromForm<'r> for FormWithToken<T> {
    type Context = FormContext<T::Context>;

    fn init(opts: Options) -> Self::Context {
        FormContext {
            fields: current_fields(),
            tokens: SubmittedTokens::none(),
            kept: Some(Vec::new()),
            kept_bytes: 0,
            inner: T::init(opts),
        }
    }

    fn push_value(ctxt: &mut Self::Context, field: ValueField<'r>) {
        ctxt.keep(&field);
        match ctxt.field(field.name) {
            Some(id) => ctxt.tokens.push(id, field.value),
            None => T::push_value(&mut ctxt.inner, field),
        }
    }

    /// Rocket calls it for every part with a content type, also for a part without a file name.
    async fn push_data(ctxt: &mut Self::Context, field: DataField<'r, '_>) {
        // The page of a refusal cannot send a file again.
        ctxt.kept = None;
        let Some(id) = ctxt.field(field.name) else {
            return T::push_data(&mut ctxt.inner, field).await;
        };
        // A part with a file name and a content type is a file, and not a token. Rocket reads a part
        // without a content type as a value, so it does not come here.
        let is_file = field.file_name.is_some();
        let value = field.data.open(64.kibibytes()).into_bytes().await;
        let text = value.ok().filter(|value| value.is_complete() && !is_file);
        match text.map(|value| String::from_utf8(value.into_inner())) {
            Some(Ok(text)) => ctxt.tokens.push(id, text),
            _ => ctxt.tokens.push_unusable(id),
        }
    }

    fn push_error(ctxt: &mut Self::Context, error: form::Error<'r>) {
        T::push_error(&mut ctxt.inner, error);
    }

    fn finalize(ctxt: Self::Context) -> form::Result<'r, Self> {
        let inner = T::finalize(ctxt.inner).inspect_err(|errors| {
            let Some(fields) = &ctxt.fields else { return };
            let missing = errors
                .iter()
                .filter(|error| matches!(error.kind, form::error::ErrorKind::Missing));
            for name in missing.filter_map(|error| error.name.as_ref()) {
                report_withheld::<T>(fields, &ctxt.tokens, &name.to_string());
            }
        })?;
        Ok(Self {
            inner,
            tokens: ctxt.tokens,
            kept: ctxt.kept,
        })
    }
}
