//! Reports: what verbs tell, in a form for people and one for scripts.

use std::fmt::Write;

use life_proto::v1;
use serde::Serialize;
use serde_json::Value;

use super::escape_line;
use crate::names::bare;

/// Something a verb tells.
pub trait Report: Serialize {
    /// For people: whole lines, each ended.
    fn text(&self) -> String;

    /// For scripts: one object.
    fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// What is known of a signature.
#[derive(Debug, Serialize)]
pub struct SignatureVerdict {
    state: String,
    signer: Option<String>,
    trust: Option<String>,
    signing_time: Option<String>,
    receipt_time: Option<String>,
    purpose: Option<String>,
    explanation: Option<String>,
    document_id: Option<String>,
    document_version: Option<u64>,
    signature_digest: Option<String>,
}

impl SignatureVerdict {
    /// Takes the agent's report; none at all counts as no signature.
    pub fn new(report: Option<v1::SignatureReport>) -> Self {
        let report = report.unwrap_or_else(|| v1::SignatureReport {
            state: v1::SignatureState::None.into(),
            ..Default::default()
        });
        let state = if report.state == 0 { v1::SignatureState::None } else { report.state() };
        Self {
            state: word(state.as_str_name(), "SIGNATURE_STATE_"),
            trust: (report.trust != 0).then(|| word(report.trust().as_str_name(), "TRUST_STATE_")),
            purpose: (report.purpose != 0)
                .then(|| word(report.purpose().as_str_name(), "SIGNATURE_PURPOSE_")),
            signing_time: time_or_none(report.signing_time),
            receipt_time: time_or_none(report.receipt_time),
            document_version: (report.document_version != 0).then_some(report.document_version),
            signature_digest: hex_or_none(&report.signature_digest),
            signer: non_empty(report.signer),
            explanation: non_empty(report.explanation),
            document_id: non_empty(report.document_id),
        }
    }

    /// Whether there is no signature.
    pub fn is_none(&self) -> bool {
        self.state == "NONE"
    }

    /// Whether the signature proves its signer.
    pub fn is_valid(&self) -> bool {
        self.state == "VALID"
    }

    /// The reason with which a verdict that is not VALID fails.
    pub fn reason(&self) -> &'static str {
        match self.state.as_str() {
            "NONE" => "SIGNATURE_MISSING",
            "SIGNER_TIME_UNPROVEN" => "SIGNER_TIME_UNPROVEN",
            "SIGNER_UNKNOWN" => "SIGNER_UNKNOWN",
            _ => "SIGNATURE_INVALID",
        }
    }

    /// Why the verdict is not VALID.
    pub fn explanation(&self) -> &str {
        self.explanation.as_deref().unwrap_or("the agent gave no explanation")
    }

    /// For people: one or two lines.
    pub fn text(&self) -> String {
        let mut text = format!("signature: {}", self.state);
        if let Some(signer) = &self.signer {
            let _infallible = write!(text, ", by {}", escape_line(bare(signer)));
        }
        if let Some(trust) = &self.trust {
            let _infallible = write!(text, " ({trust})");
        }
        if let Some(time) = &self.signing_time {
            let _infallible = write!(text, ", at {time} by its own claim");
        }
        if let Some(time) = &self.receipt_time {
            let _infallible = write!(text, ", proven at {time}");
        }
        text.push('\n');
        if let Some(explanation) = &self.explanation {
            let _infallible = writeln!(text, "  {}", escape_line(explanation));
        }
        text
    }
}

/// One who can open a content.
#[derive(Debug, Serialize)]
pub struct RecipientReport {
    user: Option<String>,
    root_key_hash: Option<String>,
    origin: String,
    shared_by: Option<String>,
}

impl RecipientReport {
    /// Takes the agent's list.
    pub fn list(recipients: Vec<v1::Recipient>) -> Vec<Self> {
        let report = |recipient: v1::Recipient| Self {
            origin: word(recipient.origin().as_str_name(), "ORIGIN_"),
            user: non_empty(recipient.user),
            root_key_hash: hex_or_none(&recipient.root_key_hash),
            shared_by: non_empty(recipient.shared_by),
        };
        recipients.into_iter().map(report).collect()
    }

    /// For people: a line for each.
    pub fn lines(recipients: &[Self]) -> String {
        let mut text = String::new();
        for recipient in recipients {
            let user = escape_line(recipient.user.as_deref().map_or("unknown", bare));
            let _infallible = write!(text, "  for {user}");
            match (recipient.origin.as_str(), &recipient.shared_by) {
                ("SHARED", Some(by)) => {
                    let _infallible = write!(text, ", shared by {}", escape_line(bare(by)));
                }
                ("UNACCOUNTED", _) => text.push_str(", vouched for by nobody"),
                _ => {}
            }
            text.push('\n');
        }
        text
    }
}

/// An enumerator without the prefix that protobuf needs.
pub fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

/// A time as RFC 3339 text.
pub fn time_or_none(time: Option<impl ToString>) -> Option<String> {
    time.map(|time| time.to_string())
}

/// Bytes as hexadecimal digits; nothing for none.
pub fn hex_or_none(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| hex::encode(bytes))
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
