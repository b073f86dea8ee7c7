//! The headers that go through, both ways.

use http::{HeaderMap, HeaderName, HeaderValue};

/// How many headers a request or an answer may have.
pub const MAX_HEADERS: usize = 64;
/// How many bytes all names and values together may have.
pub const MAX_HEADER_BYTES: usize = 32 * 1024;

/// What an app may say, beside what a configuration adds: about content, conditions, preferences and tracing.
const REQUEST: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-exist",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "prefer",
    "range",
    "traceparent",
    "tracestate",
    "x-correlation-id",
    "x-request-id",
];

/// What an app is told, beside what a configuration adds.
const RESPONSE: &[&str] = &[
    "accept-patch",
    "accept-ranges",
    "age",
    "allow",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "content-type",
    "date",
    "deprecation",
    "etag",
    "expires",
    "last-modified",
    "link",
    "location",
    "preference-applied",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "sunset",
    "vary",
    "warning",
    "x-correlation-id",
    "x-request-id",
];

/// What no configuration can add: it frames or routes a message, or carries what proves who somebody is.
const NEVER: &[&str] = &[
    "authentication-info",
    "authorization",
    "client-cert",
    "client-cert-chain",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "set-cookie",
    "set-cookie2",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
    "x-client-cert",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];
/// The same for all names that begin so.
const NEVER_PREFIXES: &[&str] = &[":", "proxy-", "sec-", "x-forwarded", "x-ssl-", "life-"];

/// Why headers are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The header is on no list.
    #[error("the header {0} is not one that apps may send")]
    Forbidden(HeaderName),
    /// A name that is none.
    #[error("a header's name is not one")]
    Name,
    /// No configuration can add this one.
    #[error("the header {0} frames or routes messages, or carries credentials, and is never let through")]
    Never(HeaderName),
    /// A server said both how long its answer is and that it is in chunks, or switched protocols.
    #[error("the answer can be read in more than one way")]
    Ambiguous,
    /// More headers, or longer ones, than are taken.
    #[error("there are more than 64 headers, or more than 32768 bytes of them")]
    TooMuch,
    /// A value with a control character, or not in ASCII.
    #[error("the value of the header {0} is not printable ASCII")]
    Value(HeaderName),
}

/// The two lists.
#[derive(Clone, Debug)]
pub struct HeaderRules {
    request: Vec<HeaderName>,
    response: Vec<HeaderName>,
}

impl Default for HeaderRules {
    fn default() -> Self {
        let names = |list: &[&'static str]| list.iter().map(|name| HeaderName::from_static(name)).collect();
        Self { request: names(REQUEST), response: names(RESPONSE) }
    }
}

impl HeaderRules {
    /// The usual lists, and what a configuration adds to them.
    ///
    /// # Errors
    /// [`HeaderError::Name`], and [`HeaderError::Never`] for headers that no configuration can let through.
    pub fn with(request: &[String], response: &[String]) -> Result<Self, HeaderError> {
        let mut rules = Self::default();
        for (list, more) in [(&mut rules.request, request), (&mut rules.response, response)] {
            for name in more {
                let name: HeaderName = name.parse().map_err(|_| HeaderError::Name)?;
                let text = name.as_str();
                if NEVER.contains(&text) || NEVER_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
                    return Err(HeaderError::Never(name));
                }
                list.push(name);
            }
        }
        Ok(rules)
    }

    /// An app's headers, written anew. One that is not allowed is refused, not dropped: its sender would rely on it.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn request<'a>(
        &self,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<HeaderMap, HeaderError> {
        let mut map = HeaderMap::new();
        let mut bytes = 0;
        for (count, (name, value)) in headers.into_iter().enumerate() {
            bytes += name.len() + value.len();
            if count >= MAX_HEADERS || bytes > MAX_HEADER_BYTES {
                return Err(HeaderError::TooMuch);
            }
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name)?;
            if !self.request.contains(&name) {
                return Err(HeaderError::Forbidden(name));
            }
            let value = value.trim_matches([' ', '\t']);
            if !value.bytes().all(|byte| matches!(byte, b'\t' | 0x20..0x7f)) {
                return Err(HeaderError::Value(name));
            }
            let value = HeaderValue::from_str(value).map_err(|_| HeaderError::Value(name.clone()))?;
            map.try_append(name, value).map_err(|_| HeaderError::TooMuch)?;
        }
        Ok(map)
    }

    /// What an app is told of an answer's headers; the others are left out. Bytes that are no UTF-8 are taken for
    /// Latin-1.
    ///
    /// # Errors
    /// [`HeaderError::Ambiguous`] for an answer that two readers would cut differently (RFC 9112 §6.3), and
    /// [`HeaderError::TooMuch`].
    pub fn response(&self, headers: &HeaderMap) -> Result<Vec<(String, String)>, HeaderError> {
        if headers.contains_key(http::header::TRANSFER_ENCODING)
            && headers.contains_key(http::header::CONTENT_LENGTH)
        {
            return Err(HeaderError::Ambiguous);
        }
        let mut told = Vec::new();
        let mut bytes = 0;
        for (name, value) in headers {
            bytes += name.as_str().len() + value.len();
            if bytes > MAX_HEADER_BYTES {
                return Err(HeaderError::TooMuch);
            }
            if !self.response.contains(name) {
                continue;
            }
            if told.len() >= MAX_HEADERS {
                return Err(HeaderError::TooMuch);
            }
            told.push((name.as_str().to_owned(), text(value.as_bytes())));
        }
        Ok(told)
    }
}

fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_routes_or_proves_never_goes_through() {
        let rules = HeaderRules::default();
        for name in NEVER.iter().copied().chain(["proxy-authorization", "sec-fetch-mode", "x-forwarded-for"])
        {
            let parsed: HeaderName = name.parse().unwrap();
            assert_eq!(rules.request([(name, "x")]), Err(HeaderError::Forbidden(parsed.clone())), "{name}");
            assert!(!rules.response.contains(&parsed), "{name}");
            let more = [name.to_owned()];
            assert_eq!(HeaderRules::with(&more, &[]).unwrap_err(), HeaderError::Never(parsed.clone()));
            assert_eq!(HeaderRules::with(&[], &more).unwrap_err(), HeaderError::Never(parsed));
        }
        assert!(rules.request.iter().chain(&rules.response).all(|name| !NEVER.contains(&name.as_str())));
    }

    #[test]
    fn a_request_is_written_anew() {
        let rules = HeaderRules::with(&["X-Own".to_owned()], &[]).unwrap();
        let map = rules
            .request([("Accept", " a/b "), ("accept", "c/d"), ("x-own", ""), ("If-Match", "\"1\"")])
            .unwrap();
        assert_eq!(map.get_all("accept").iter().collect::<Vec<_>>(), ["a/b", "c/d"]);
        assert_eq!(map.len(), 4);
        let refused = |name, value| rules.request([(name, value)]).unwrap_err();
        assert_eq!(refused("x y", "1"), HeaderError::Name);
        assert_eq!(refused("", "1"), HeaderError::Name);
        assert_eq!(refused("accept\r\nhost", "1"), HeaderError::Name);
        for value in ["a\r\nhost: x", "a\nb", "a\0", "\x7f", "ä", "a\rb"] {
            assert!(matches!(refused("accept", value), HeaderError::Value(_)), "{value:?}");
        }
        let many: Vec<_> = (0..=MAX_HEADERS).map(|_| ("accept", "x")).collect();
        assert_eq!(rules.request(many), Err(HeaderError::TooMuch));
        assert_eq!(refused("accept", &"x".repeat(MAX_HEADER_BYTES)), HeaderError::TooMuch);
    }

    #[test]
    fn an_answer_tells_what_is_on_the_list() {
        let rules = HeaderRules::with(&[], &["x-total".to_owned()]).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in [("etag", "\"1\""), ("set-cookie", "a=b"), ("server", "x"), ("x-total", "7")] {
            map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map.insert("content-disposition", HeaderValue::from_bytes(b"filename=\xe4").unwrap());
        let mut told = rules.response(&map).unwrap();
        told.sort();
        let told: Vec<_> = told.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(told, [("content-disposition", "filename=ä"), ("etag", "\"1\""), ("x-total", "7")]);
        map.insert("content-length", HeaderValue::from_static("1"));
        rules.response(&map).unwrap();
        map.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        assert_eq!(rules.response(&map), Err(HeaderError::Ambiguous));
    }
}
