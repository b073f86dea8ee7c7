//! Bodies with limits, and JSON in both directions.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::{Problem, Reason};

/// The largest JSON body.
pub const MAX_JSON: usize = 1 << 20;

/// Reads a whole body of at most [`MAX_JSON`] bytes.
///
/// # Errors
/// [`Reason::TooLarge`], [`Reason::Timeout`], [`Reason::InvalidArgument`] when the client breaks off.
pub async fn read(body: Body, patience: Duration) -> Result<Bytes, Problem> {
    read_within(body, patience, MAX_JSON).await
}

/// Reads a whole body of at most so many bytes.
///
/// # Errors
/// As [`read`].
pub async fn read_within(body: Body, patience: Duration, most: usize) -> Result<Bytes, Problem> {
    let collected = tokio::time::timeout(patience, Limited::new(body, most).collect()).await;
    match collected {
        Err(_) => Err(Problem::new(Reason::Timeout, "send the body at once")),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::new(Reason::TooLarge, format!("this body has at most {most} bytes")))
        }
        Ok(Err(_)) => Err(Problem::new(Reason::InvalidArgument, "the body broke off")),
    }
}

/// Parses a JSON body. What was wrong is said by position, never by repeating the input.
///
/// # Errors
/// [`Reason::UnsupportedMediaType`], [`Reason::InvalidArgument`].
pub fn parse<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Problem> {
    expect_type(headers, "application/json")?;
    serde_json::from_slice(body).map_err(|error| {
        let fault = match error.classify() {
            serde_json::error::Category::Data => "the JSON has other fields or types than the contract says",
            _ => "the body is not JSON",
        };
        let detail = format!("{fault}: line {}, column {}", error.line(), error.column());
        Problem::new(Reason::InvalidArgument, detail)
    })
}

/// Refuses another content type.
///
/// # Errors
/// [`Reason::UnsupportedMediaType`].
pub fn expect_type(headers: &HeaderMap, expected: &'static str) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        Ok(())
    } else {
        Err(Problem::new(Reason::UnsupportedMediaType, format!("send content-type: {expected}")))
    }
}

/// A JSON answer.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(value).map_err(|error| Problem::internal(&error))?;
    Ok(typed(status, "application/json", body))
}

/// An answer of some content type that is not to be cached.
pub fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = (status, body.into()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
