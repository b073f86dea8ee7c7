//! The methods that may be called.

use http::Method;

/// Every method that may ever be called; an allow-list names some of them.
const METHODS: &[Method] =
    &[Method::DELETE, Method::GET, Method::HEAD, Method::OPTIONS, Method::PATCH, Method::POST, Method::PUT];

/// Reads a method, upper case. Nothing for any that may not be called: CONNECT and TRACE among them, which are for
/// intermediaries.
pub fn parse_method(text: &str) -> Option<Method> {
    METHODS.iter().find(|method| method.as_str() == text).cloned()
}

/// Whether doing it twice is the same as doing it once (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent() && METHODS.contains(method)
}

/// Whether a request of this method may have a body. One of GET or HEAD has no meaning (RFC 9110 §9.3.1), and servers
/// that overlook it read it as the next request.
pub fn has_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_that_are_listed_are_read() {
        for text in ["CONNECT", "TRACE", "get", "GET ", "", "GET\r\n", "FROB"] {
            assert_eq!(parse_method(text), None, "{text:?}");
        }
        for method in METHODS {
            assert_eq!(parse_method(method.as_str()).as_ref(), Some(method));
        }
    }

    #[test]
    fn what_may_be_repeated_is_what_the_standard_says() {
        let idempotent: Vec<_> = METHODS.iter().filter(|method| is_idempotent(method)).collect();
        assert_eq!(idempotent, ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"]);
    }
}
