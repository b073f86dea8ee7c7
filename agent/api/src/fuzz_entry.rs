//! Bodies of the fuzz targets: what apps and servers say. None may panic on any input.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::allow::Pattern;
use crate::{HeaderRules, Target, retry_after};

/// A target: one that is taken is in its normal form, which is a target again and a URI, and stays on the server.
pub fn target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Pattern::parse(text);
    let Ok(target) = Target::parse(text) else { return };
    let sent = target.as_str();
    assert!(Target::parse(sent).is_ok_and(|again| again == target), "no normal form");
    assert!(sent.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\'));
    assert!(!target.path().contains("//") && !sent.starts_with("//"));
    assert!(target.segments().all(|segment| !matches!(segment, "." | "..")));
    let uri = sent.parse::<http::Uri>();
    assert!(uri.is_ok_and(|uri| uri.authority().is_none() && uri.path() == target.path()), "no path");
}

/// Lines `name: value`, as an app's headers and as a server's.
pub fn headers(bytes: &[u8]) {
    let rules = HeaderRules::default();
    let lines = || {
        bytes.split(|byte| *byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((line.get(..colon)?, line.get(colon + 1..)?))
        })
    };
    let text = lines().filter_map(|(name, value)| {
        Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
    });
    if let Ok(map) = rules.request(text) {
        for value in map.values() {
            assert!(
                !value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)),
                "a line of its own"
            );
        }
    }
    let mut answer = HeaderMap::new();
    for (name, value) in lines() {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            answer.append(name, value);
        }
    }
    if let Some(value) = answer.get("retry-after").and_then(|value| value.to_str().ok()) {
        let _ = retry_after(value, std::time::UNIX_EPOCH);
    }
    let _ = rules.response(&answer);
}
