use actix_multipart::form::{Limits, MultipartCollect, State};
use actix_multipart::{Field, MultipartError};
use actix_web::HttpRequest;
use futures_core::future::LocalBoxFuture;
use futures_util::TryStreamExt;
use human_check_guard::integration::{FieldId, SubmittedTokens, current_fields, report_withheld};

/// The application's multipart form, and the tokens that were beside its parts.
///
/// It does for multipart forms what [`WithToken`](human_check_guard::integration::WithToken) does
/// for urlencoded forms and JSON. Applications do not need it: they take a
/// [`HumanMultipart`](crate::HumanMultipart).
#[derive(Debug)]
pub struct MultipartWithToken<T> {
    pub(crate) inner: T,
    pub(crate) tokens: SubmittedTokens,
}

/// The key of the tokens among the parts read so far. No part of a form can have this name.
const TOKENS_KEY: &str = "\0tokens";

/// The longest value that is kept, in bytes. A longer value is not a token.
const MAX_VALUE_BYTES: usize = 65_536;

impl<T: MultipartCollect> MultipartCollect for MultipartWithToken<T> {
    fn limit(field_name: &str) -> Option<usize> {
        let is_token = current_fields().is_some_and(|fields| fields.find(field_name).is_some());
        if is_token { None } else { T::limit(field_name) }
    }

    fn handle_field<'t>(
        req: &'t HttpRequest,
        field: Field,
        limits: &'t mut Limits,
        state: &'t mut State,
    ) -> LocalBoxFuture<'t, Result<(), MultipartError>> {
        let id = field.name().and_then(|name| current_fields()?.find(name));
        match id {
            Some(id) => Box::pin(read_token(id, field, limits, state)),
            None => T::handle_field(req, field, limits, state),
        }
    }

    fn from_state(mut state: State) -> Result<Self, MultipartError> {
        let tokens = state.remove(TOKENS_KEY).and_then(|any| any.downcast().ok());
        let tokens: SubmittedTokens = tokens.map(|tokens| *tokens).unwrap_or_default();
        let inner = T::from_state(state).inspect_err(|error| {
            if let (MultipartError::MissingField(name), Some(fields)) = (error, current_fields()) {
                report_withheld::<T>(&fields, &tokens, name);
            }
        })?;
        Ok(Self { inner, tokens })
    }
}

/// Reads a part in the field of a token, and adds its token to `state`.
async fn read_token(
    id: FieldId,
    mut field: Field,
    limits: &mut Limits,
    state: &mut State,
) -> Result<(), MultipartError> {
    // A part with a file name and a content type is a file, and not a token.
    let disposition = field.content_disposition();
    let has_file_name = disposition.is_some_and(|of_part| of_part.get_filename().is_some());
    let mut usable = !(has_file_name && field.content_type().is_some());
    let mut value = Vec::new();
    while let Some(chunk) = field.try_next().await? {
        limits.try_consume_limits(chunk.len(), true)?;
        usable &= value.len() + chunk.len() <= MAX_VALUE_BYTES;
        if usable {
            value.extend_from_slice(&chunk);
        }
    }
    let tokens = state
        .entry(TOKENS_KEY.to_owned())
        .or_insert_with(|| Box::<SubmittedTokens>::default());
    if let Some(tokens) = tokens.downcast_mut::<SubmittedTokens>() {
        match String::from_utf8(value) {
            Ok(text) if usable => tokens.push(id, text),
            _ => tokens.push_unusable(id),
        }
    }
    Ok(())
}
