//! Which calls the configuration allows.

use http::Method;

use crate::method::parse_method;
use crate::target::{Target, TargetError};

/// Why a rule of an allow-list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A method that may not be called, or none.
    #[error("methods are some of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS")]
    Method,
    /// A path that no target can have.
    #[error("the path {0}")]
    Path(#[from] TargetError),
    /// A query: only paths are judged.
    #[error("the path has no query")]
    Query,
    /// A star that is not a whole segment, or `**` before the end.
    #[error("\"*\" stands for one whole segment, \"**\" for all that follow, at the end")]
    Star,
}

/// A pattern of paths: literal segments, `*` for any one segment that is not empty, and `**` at the end for any number
/// of segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Nothing stands for any segment.
    segments: Vec<Option<String>>,
    open: bool,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] for a path that no target can have.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.contains('?') {
            return Err(PatternError::Query);
        }
        let (text, open) = match text.strip_suffix("/**") {
            Some(before) => (before, true),
            None => (text, false),
        };
        let mut segments = Vec::new();
        // `/**` alone has nothing before it.
        if !(open && text.is_empty()) {
            let target = Target::parse(text)?;
            for segment in target.segments() {
                match segment {
                    "*" => segments.push(None),
                    segment if segment.contains('*') => return Err(PatternError::Star),
                    segment => segments.push(Some(segment.to_owned())),
                }
            }
        }
        if open && segments.last().is_some_and(|last| last.as_deref() == Some("")) {
            return Err(TargetError::EmptySegment.into());
        }
        Ok(Self { segments, open })
    }

    /// Whether a target's path is one of the pattern's.
    pub fn matches(&self, target: &Target) -> bool {
        let mut given = target.segments();
        let begins = self.segments.iter().all(|expected| match (expected, given.next()) {
            (_, None) => false,
            (None, Some(segment)) => !segment.is_empty(),
            (Some(expected), Some(segment)) => expected == segment,
        });
        begins && (self.open || given.next().is_none())
    }
}

/// Methods on paths.
#[derive(Clone, Debug)]
pub struct Rule {
    methods: Vec<Method>,
    pattern: Pattern,
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn parse<'a>(methods: impl IntoIterator<Item = &'a str>, path: &str) -> Result<Self, PatternError> {
        let methods: Option<Vec<_>> = methods.into_iter().map(parse_method).collect();
        let methods = methods.filter(|methods| !methods.is_empty()).ok_or(PatternError::Method)?;
        Ok(Self { methods, pattern: Pattern::parse(path)? })
    }
}

/// All that is allowed; everything else is not.
#[derive(Clone, Debug, Default)]
pub struct AllowList(Vec<Rule>);

impl AllowList {
    /// A list of rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Whether a call is allowed. HEAD is where GET is: it tells less.
    pub fn allows(&self, method: &Method, target: &Target) -> bool {
        let named = |rule: &Rule| {
            rule.methods.contains(method) || *method == Method::HEAD && rule.methods.contains(&Method::GET)
        };
        self.0.iter().any(|rule| named(rule) && rule.pattern.matches(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(&Target::parse(path).unwrap())
    }

    #[test]
    fn patterns_stand_for_what_they_say() {
        for (pattern, path, expected) in [
            ("/v1/me", "/v1/me", true),
            ("/v1/me", "/v1/m%65?x=/v1/other", true),
            ("/v1/me", "/v1/me/", false),
            ("/v1/me", "/v1/me/seals", false),
            ("/v1/me", "/v1/me;x", false),
            ("/v1/me", "/v1/ME", false),
            ("/v1/users/*", "/v1/users/7", true),
            ("/v1/users/*", "/v1/users/", false),
            ("/v1/users/*", "/v1/users", false),
            ("/v1/users/*", "/v1/users/7/log", false),
            ("/v1/users/*/log", "/v1/users/7/log", true),
            ("/fhir/**", "/fhir", true),
            ("/fhir/**", "/fhir/", true),
            ("/fhir/**", "/fhir/Patient/7/_history", true),
            ("/fhir/**", "/fhirx", false),
            ("/**", "/", true),
            ("/**", "/a/b", true),
            ("/", "/", true),
            ("/", "/a", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_that_mean_nothing_are_refused() {
        for (text, expected) in [
            ("v1", PatternError::Path(TargetError::NotAPath)),
            ("", PatternError::Path(TargetError::NotAPath)),
            ("/a/../b", PatternError::Path(TargetError::DotSegment)),
            ("/a//**", PatternError::Path(TargetError::EmptySegment)),
            ("/a?b", PatternError::Query),
            ("/a*", PatternError::Star),
            ("/**/a", PatternError::Star),
            ("/a/***", PatternError::Star),
        ] {
            assert_eq!(Pattern::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_rule_allows_its_methods_and_no_others() {
        let list = AllowList::new(vec![
            Rule::parse(["GET", "PUT"], "/a/*").unwrap(),
            Rule::parse(["POST"], "/b").unwrap(),
        ]);
        let allows =
            |method: &str, path| list.allows(&parse_method(method).unwrap(), &Target::parse(path).unwrap());
        assert!(
            allows("GET", "/a/1") && allows("HEAD", "/a/1") && allows("PUT", "/a/1") && allows("POST", "/b")
        );
        assert!(
            !allows("DELETE", "/a/1")
                && !allows("GET", "/b")
                && !allows("HEAD", "/b")
                && !allows("POST", "/a/1")
        );
        assert!(!AllowList::default().allows(&Method::GET, &Target::parse("/").unwrap()));
        for methods in [&["TRACE"][..], &["get"], &[]] {
            assert_eq!(Rule::parse(methods.iter().copied(), "/").unwrap_err(), PatternError::Method);
        }
    }
}
