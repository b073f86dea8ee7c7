//! What a document is: a FHIR R4 DocumentReference, and the JSON that binds it to the content.
//!
//! What comes back was made by another user and passed on by the platform: it has limits, and is read strictly.

use life_pki::Timestamp;
use life_proto::v1::{self, Coding};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock;
use crate::error::{Error, Fault, Result};
use crate::names;

/// The format that this agent writes and reads.
const FORMAT: &str = "life-document-metadata/1";
/// The longest description, as JSON with all around it.
pub const LIMIT: usize = 64 * 1024;
/// The longest DocumentReference a caller may give.
const GIVEN: usize = 56 * 1024;
/// The longest DocumentReference.
const REFERENCE: usize = 60 * 1024;
const TITLE: usize = 1024;
const MEDIA_TYPE: usize = 127;
const CODE: usize = 64;
const WORDS: usize = 256;
/// What a content is when nobody says.
const OCTETS: &str = "application/octet-stream";

#[derive(Serialize, Deserialize)]
struct Metadata {
    format: String,
    content_signature: String,
    document_reference: Value,
}

/// What a caller wants to be said of a document.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    title: String,
    coding: Option<Coding>,
    content_type: String,
    reference: Map<String, Value>,
}

/// What a document's owner says of it.
#[derive(Clone, Debug)]
pub struct Description {
    /// What people call it.
    pub title: String,
    /// Of what kind it is.
    pub coding: Option<Coding>,
    /// The content's media type.
    pub content_type: String,
    /// Bytes of plaintext.
    pub size: u64,
    /// When this version was made.
    pub created: Option<Timestamp>,
    /// The DocumentReference.
    pub reference: Value,
}

fn is_media_type(text: &str) -> bool {
    text.len() <= MEDIA_TYPE
        && text.bytes().all(|c| matches!(c, b' '..=b'~'))
        && text.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty())
}

fn is_coding(coding: &Coding) -> bool {
    (1..=CODE).contains(&coding.code.len()) && coding.system.len() <= WORDS && coding.display.len() <= WORDS
}

impl Wanted {
    /// Reads it from a request's fields.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, which names the field.
    pub fn from_fields(
        title: String,
        coding: Option<Coding>,
        content_type: String,
        reference: &[u8],
    ) -> Result<Self> {
        if title.len() > TITLE {
            return Err(Error::field("title", "has more than 1024 bytes"));
        }
        if !coding.as_ref().is_none_or(is_coding) {
            return Err(Error::field("type", "has no code, or parts that are too long"));
        }
        if !content_type.is_empty() && !is_media_type(&content_type) {
            return Err(Error::field("content_type", "is no media type of at most 127 bytes"));
        }
        if reference.len() > GIVEN {
            return Err(Error::field("document_reference", "has more than 56 KiB"));
        }
        let reference = match reference {
            [] => Map::new(),
            json => match serde_json::from_slice(json) {
                Ok(Value::Object(reference)) => reference,
                _ => return Err(Error::field("document_reference", "is no JSON object")),
            },
        };
        if !reference.get("resourceType").is_none_or(|it| it == "DocumentReference") {
            return Err(Error::field("document_reference", "is a FHIR resource of another type"));
        }
        let wanted = Self { title, coding, content_type, reference };
        // What cannot be read back is not stored.
        let tried = wanted.complete(&[0; 16], u64::MAX, Timestamp::EPOCH)?;
        if let Err(why) = read(tried, &[0; 16]) {
            return Err(Error::field("document_reference", why));
        }
        Ok(wanted)
    }

    /// The DocumentReference of a version.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when it is too long, or the caller's has no room for what the agent fills in.
    pub fn complete(&self, id: &[u8; 16], size: u64, now: Timestamp) -> Result<Value> {
        let malformed = || Error::field("document_reference", "has content that is no list of attachments");
        let mut reference = self.reference.clone();
        let urn = format!("urn:uuid:{}", names::uuid(id));
        reference.insert("resourceType".into(), json!("DocumentReference"));
        reference.insert("masterIdentifier".into(), json!({ "system": "urn:ietf:rfc:3986", "value": urn }));
        reference.entry("status").or_insert_with(|| json!("current"));
        reference.entry("date").or_insert_with(|| json!(now.to_string()));
        if let Some(Coding { system, code, display }) = &self.coding {
            let parts = [("system", system), ("code", code), ("display", display)];
            let parts = parts.into_iter().filter(|(_, text)| !text.is_empty());
            let coding: Map<_, _> = parts.map(|(name, text)| (name.to_owned(), json!(text))).collect();
            reference.insert("type".into(), json!({ "coding": [coding] }));
        }
        if !self.title.is_empty() {
            reference.insert("description".into(), json!(self.title));
        }
        let title = reference.get("description").cloned();
        let contents = reference.entry("content").or_insert_with(|| json!([{}]));
        let first = contents.as_array_mut().and_then(|list| list.first_mut()).ok_or_else(malformed)?;
        let first = first.as_object_mut().ok_or_else(malformed)?;
        let attachment = first.entry("attachment").or_insert_with(|| json!({}));
        let attachment = attachment.as_object_mut().ok_or_else(malformed)?;
        if !self.content_type.is_empty() {
            attachment.insert("contentType".into(), json!(self.content_type));
        }
        attachment.entry("contentType").or_insert_with(|| json!(OCTETS));
        if let Some(title) = title {
            attachment.entry("title").or_insert(title);
        }
        attachment.insert("size".into(), json!(size));
        attachment.insert("creation".into(), json!(now.to_string()));
        Ok(Value::Object(reference))
    }

    /// Whether a document says the same of itself, as far as it was given here: nobody's description passes for another.
    pub fn is_said_by(&self, description: &Description, id: &[u8; 16]) -> bool {
        let given = |text: &str, said: &str| text.is_empty() || text == said;
        given(&self.title, &description.title)
            && given(&self.content_type, &description.content_type)
            && self.coding.as_ref().is_none_or(|coding| description.coding.as_ref() == Some(coding))
            && self.members_are_said_by(description, id).unwrap_or(false)
    }

    /// The same for the members of the DocumentReference, as they are once what depends on size and time is filled in.
    fn members_are_said_by(&self, description: &Description, id: &[u8; 16]) -> Option<bool> {
        if self.reference.is_empty() {
            return Some(true);
        }
        let complete = self.complete(id, description.size, description.created?).ok()?;
        // As it reads back: a number may be written otherwise than it was given.
        let complete: Value = serde_json::from_slice(&serde_json::to_vec(&complete).ok()?).ok()?;
        Some(self.reference.keys().all(|name| complete.get(name) == description.reference.get(name)))
    }
}

/// The JSON that is sealed: a DocumentReference, bound to the content with this signature.
///
/// # Errors
/// INVALID_ARGUMENT when it is too long.
pub fn write(reference: &Value, content_signature: &[u8; 32]) -> Result<Vec<u8>> {
    let too_long = || Error::field("document_reference", "has more than 60 KiB when it is complete");
    if serde_json::to_vec(reference).map_err(Error::internal)?.len() > REFERENCE {
        return Err(too_long());
    }
    let metadata = Metadata {
        format: FORMAT.to_owned(),
        content_signature: hex::encode(content_signature),
        document_reference: reference.clone(),
    };
    let json = serde_json::to_vec(&metadata).map_err(Error::internal)?;
    if json.len() > LIMIT { Err(too_long()) } else { Ok(json) }
}

/// Reads what was sealed: the description, and the signature of the content that it is about.
///
/// # Errors
/// FORMAT_INVALID.
pub fn parse(json: &[u8], id: &[u8; 16]) -> Result<(Description, [u8; 32])> {
    let invalid = |why| Fault::FormatInvalid.because(format!("its description {why}"));
    if json.len() > LIMIT {
        return Err(invalid("is too long"));
    }
    let metadata: Metadata = serde_json::from_slice(json).map_err(|_| invalid("is not readable"))?;
    if metadata.format != FORMAT {
        return Err(invalid("has a format that this agent does not know"));
    }
    let mut signature = [0; 32];
    hex::decode_to_slice(&metadata.content_signature, &mut signature)
        .map_err(|_| invalid("names no content"))?;
    let description = read(metadata.document_reference, id).map_err(invalid)?;
    Ok((description, signature))
}

/// A member that is text of at most so many bytes; empty when it is not there.
fn text(value: Option<&Value>, limit: usize) -> Result<String, &'static str> {
    match value {
        None => Ok(String::new()),
        Some(Value::String(text)) if text.len() <= limit => Ok(text.clone()),
        Some(_) => Err("has a part that is no text, or too long"),
    }
}

fn read(reference: Value, id: &[u8; 16]) -> Result<Description, &'static str> {
    if reference.get("resourceType").is_none_or(|it| it != "DocumentReference") {
        return Err("is no DocumentReference");
    }
    let urn = format!("urn:uuid:{}", names::uuid(id));
    if reference.pointer("/masterIdentifier/value").is_none_or(|it| *it != json!(urn)) {
        return Err("is about another document");
    }
    let attachment = reference.pointer("/content/0/attachment").ok_or("names no content")?;
    let coding = match reference.pointer("/type/coding/0") {
        None => None,
        Some(coding) => {
            let part = |name, limit| text(coding.get(name), limit);
            let (system, code) = (part("system", WORDS)?, part("code", CODE)?);
            Some(Coding { system, code, display: part("display", WORDS)? })
        }
    };
    let title = match text(reference.get("description"), TITLE)? {
        none if none.is_empty() => text(attachment.get("title"), TITLE)?,
        title => title,
    };
    let content_type = text(attachment.get("contentType"), MEDIA_TYPE)?;
    if !content_type.is_empty() && !is_media_type(&content_type) {
        return Err("names no media type");
    }
    let size =
        attachment.get("size").and_then(Value::as_u64).ok_or("does not say how long the content is")?;
    let created = attachment.get("creation").and_then(Value::as_str).and_then(|time| time.parse().ok());
    Ok(Description { title, coding, content_type, size, created, reference })
}

impl Description {
    /// What the contract says of it.
    ///
    /// # Errors
    /// INTERNAL when JSON cannot be written.
    pub fn to_wire(&self) -> Result<v1::DocumentDescription> {
        Ok(v1::DocumentDescription {
            document_reference: serde_json::to_vec(&self.reference).map_err(Error::internal)?.into(),
            ..self.to_summary()
        })
    }

    /// The same without the DocumentReference.
    pub fn to_summary(&self) -> v1::DocumentDescription {
        v1::DocumentDescription {
            title: self.title.clone(),
            r#type: self.coding.clone(),
            content_type: self.content_type.clone(),
            content_size: self.size,
            create_time: self.created.map(clock::wire),
            document_reference: Default::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 16] = [7; 16];

    fn wanted(reference: &[u8]) -> Result<Wanted> {
        let coding = Coding { system: "http://loinc.org".into(), code: "11488-4".into(), display: "".into() };
        Wanted::from_fields("Befund".into(), Some(coding), "text/plain".into(), reference)
    }

    #[test]
    fn what_is_written_reads_back() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let given =
            br#"{"resourceType":"DocumentReference","status":"superseded","author":[{"display":"x"}]}"#;
        for reference in [&b""[..], given] {
            let wanted = wanted(reference).unwrap();
            let json = write(&wanted.complete(&ID, 5, now).unwrap(), &[9; 32]).unwrap();
            let (description, signature) = parse(&json, &ID).unwrap();
            assert_eq!((description.size, description.created, signature), (5, Some(now), [9; 32]));
            assert!(wanted.is_said_by(&description, &ID));
            assert_eq!(description.reference["content"][0]["attachment"]["title"], "Befund");
            assert_eq!(description.reference["status"] == "superseded", !reference.is_empty());
            assert_eq!(description.reference.get("author").is_some(), !reference.is_empty());
        }
    }

    #[test]
    fn another_description_is_not_the_same() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let given =
            br#"{"status":"superseded","author":[{"display":"x"}],"extension":[{"valueDecimal":0.10}]}"#;
        let said = |reference: &[u8]| {
            let json = write(&wanted(reference).unwrap().complete(&ID, 5, now).unwrap(), &[9; 32]).unwrap();
            parse(&json, &ID).unwrap().0
        };
        let (with, without) = (said(given), said(b""));
        assert!(
            wanted(given).unwrap().is_said_by(&with, &ID) && wanted(b"").unwrap().is_said_by(&without, &ID)
        );
        assert!(!wanted(given).unwrap().is_said_by(&without, &ID));
        assert!(wanted(b"").unwrap().is_said_by(&with, &ID), "what is not given may be anything");
        let others = [
            &br#"{"status":"current","author":[{"display":"x"}],"extension":[{"valueDecimal":0.10}]}"#[..],
            br#"{"status":"superseded","author":[{"display":"y"}],"extension":[{"valueDecimal":0.10}]}"#,
            br#"{"status":"superseded","author":[{"display":"x"}],"extension":[{"valueDecimal":0.11}]}"#,
            br#"{"date":"2026-01-01"}"#,
        ];
        for other in others {
            assert!(!wanted(other).unwrap().is_said_by(&with, &ID));
        }
        let with_title = |title: &str| Wanted { title: title.to_owned(), ..wanted(given).unwrap() };
        assert!(with_title("Befund").is_said_by(&with, &ID));
        assert!(with_title("").is_said_by(&with, &ID) && !with_title("Brief").is_said_by(&with, &ID));
    }

    #[test]
    fn what_could_not_be_read_back_is_not_taken() {
        for reference in [
            &b"[]"[..],
            b"{",
            br#"{"resourceType":"Patient"}"#,
            br#"{"content":[]}"#,
            br#"{"content":{}}"#,
            br#"{"content":[{"attachment":3}]}"#,
            &vec![b' '; GIVEN + 1],
            br#"{"content":[{"attachment":{"title":5}}]}"#.as_slice(),
        ] {
            let refused = wanted(reference).map(|_| ());
            // A title of the caller's own hides another.
            let hidden = reference.windows(9).any(|part| part == b"\"title\":5");
            assert_eq!(refused.is_err(), !hidden, "{}", String::from_utf8_lossy(reference));
        }
        let long = "x".repeat(1025);
        for (title, media) in [(long.as_str(), ""), ("", "text"), ("", "text/\n"), ("", "/x")] {
            assert!(Wanted::from_fields(title.into(), None, media.into(), b"").is_err());
        }
        let empty = Some(Coding::default());
        assert!(Wanted::from_fields("".into(), empty, "".into(), b"").is_err());
    }

    #[test]
    fn what_is_not_of_the_format_is_refused() {
        let now = Timestamp::EPOCH;
        let reference = wanted(b"").unwrap().complete(&ID, 5, now).unwrap();
        let good = write(&reference, &[9; 32]).unwrap();
        assert!(parse(&good, &ID).is_ok());
        assert!(parse(&good, &[8; 16]).is_err(), "about another document");
        let mut json: Value = serde_json::from_slice(&good).unwrap();
        let mut bent = |pointer: &str, value: Value| {
            let before = json.pointer(pointer).unwrap().clone();
            *json.pointer_mut(pointer).unwrap() = value;
            let parsed = parse(&serde_json::to_vec(&json).unwrap(), &ID);
            *json.pointer_mut(pointer).unwrap() = before;
            assert_eq!(parsed.unwrap_err().fault(), Fault::FormatInvalid, "{pointer}");
        };
        bent("/format", json!("life-document-metadata/2"));
        bent("/content_signature", json!("00"));
        bent("/document_reference", json!([]));
        bent("/document_reference/resourceType", json!("Binary"));
        bent("/document_reference/description", json!("x".repeat(2000)));
        bent("/document_reference/description", json!(["x"]));
        bent("/document_reference/content", json!([]));
        bent("/document_reference/content/0/attachment/size", json!(-1));
        bent("/document_reference/content/0/attachment/contentType", json!("text/\u{1b}"));
        bent("/document_reference/type/coding/0/code", json!(5));
        for junk in [&b""[..], b"{}", b"\xff", "[".repeat(60_000).as_bytes(), &vec![b' '; LIMIT + 1]] {
            assert!(parse(junk, &ID).is_err());
        }
        let large = Wanted {
            reference: Map::from_iter([("x".into(), json!("x".repeat(REFERENCE)))]),
            ..Wanted::default()
        };
        assert!(write(&large.complete(&ID, 5, now).unwrap(), &[9; 32]).is_err());
    }
}
