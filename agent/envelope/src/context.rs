//! documentContext: what a signature is for, from whom, about which document, and for whom (FORMATS §4).

use life_pki::{SpkiHash, Uid};

use crate::asn1::{self, Parser, SEQUENCE};
use crate::limits::MAX_RECIPIENTS;
use crate::{Error, SignatureFault};

/// The format version of contexts and of every other structure of ours.
pub(crate) const VERSION: u64 = 1;

/// The 16 bytes that name a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId(pub [u8; 16]);

/// What a signature is for. A reader names the purpose it expects; no other is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A document, stored and shared.
    Document,
    /// A message from one user to others.
    Message,
    /// A sharing statement.
    Share,
    /// A detached or stand-alone signature: no recipients, never proof of a document's sender.
    Detached,
    /// A statement on an account or a log.
    Statement,
}

impl Purpose {
    /// The number in DER.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Document => 1,
            Self::Message => 2,
            Self::Share => 3,
            Self::Detached => 4,
            Self::Statement => 5,
        }
    }

    /// Finds the purpose by its number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Document),
            2 => Some(Self::Message),
            3 => Some(Self::Share),
            4 => Some(Self::Detached),
            5 => Some(Self::Statement),
            _ => None,
        }
    }
}

/// What a signature stands over. It is signed, so that no content passes for one of another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The content itself: an envelope's, or that of a stand-alone signature.
    Content,
    /// The manifest in a sealed stream's trailer.
    Manifest,
    /// A statement: of sharing, on an account or a log.
    Statement,
}

impl Form {
    /// The number in DER.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Content => 1,
            Self::Manifest => 2,
            Self::Statement => 3,
        }
    }

    /// Finds the form by its number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Content),
            2 => Some(Self::Manifest),
            3 => Some(Self::Statement),
            _ => None,
        }
    }
}

/// A recipient as signed: a user, and the root credential the content was encrypted to then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListedRecipient {
    /// The user.
    pub uid: Uid,
    /// SHA-256 of the root credential's SubjectPublicKeyInfo.
    pub root_key: SpkiHash,
}

/// Sorts recipients and lists each once, as contexts and statements hold them.
pub(crate) fn normalise(mut recipients: Vec<ListedRecipient>) -> Result<Vec<ListedRecipient>, Error> {
    recipients.sort_unstable();
    recipients.dedup();
    if recipients.len() > MAX_RECIPIENTS { Err(Error::TooLarge) } else { Ok(recipients) }
}

pub(crate) fn write_recipients(recipients: &[ListedRecipient]) -> Vec<u8> {
    let list: Vec<u8> = recipients
        .iter()
        .flat_map(|it| asn1::sequence(&[&asn1::octets(it.uid.as_bytes()), &asn1::octets(&it.root_key.0)]))
        .collect();
    asn1::sequence(&[&list])
}

/// Reads a list that must be strictly sorted: there is one spelling.
pub(crate) fn read_recipients(mut list: Parser<'_>) -> Result<Vec<ListedRecipient>, Error> {
    let mut recipients: Vec<ListedRecipient> = Vec::new();
    while !list.is_empty() {
        if recipients.len() >= MAX_RECIPIENTS {
            return Err(Error::TooLarge);
        }
        let mut one = list.inside(SEQUENCE)?;
        let uid = read_uid(&mut one)?;
        let root_key = SpkiHash(one.octet_array()?);
        one.finish()?;
        let next = ListedRecipient { uid, root_key };
        if recipients.last().is_some_and(|last| *last >= next) {
            return Err(Error::Malformed);
        }
        recipients.push(next);
    }
    Ok(recipients)
}

pub(crate) fn read_uid(parser: &mut Parser<'_>) -> Result<Uid, Error> {
    Uid::from_slice(parser.octets()?).map_err(|_| Error::Malformed)
}

/// Reads the version every structure of ours begins with.
pub(crate) fn read_version(parser: &mut Parser<'_>) -> Result<(), Error> {
    if parser.unsigned()? == VERSION { Ok(()) } else { Err(crate::Refusal::Version.into()) }
}

/// The signed attribute documentContext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentContext {
    purpose: Purpose,
    form: Form,
    sender: Uid,
    document_id: DocumentId,
    document_version: u64,
    recipients: Vec<ListedRecipient>,
}

impl DocumentContext {
    /// Makes a context; recipients are sorted and listed once.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more recipients than the limit; [`Error::Signature`] for a detached signature with
    /// recipients, for a document, message or sharing statement without, and for a form the purpose does not have:
    /// statements are statements, documents and messages content or a manifest, detached signatures are over content.
    pub fn new(
        purpose: Purpose,
        form: Form,
        sender: Uid,
        document_id: DocumentId,
        document_version: u64,
        recipients: Vec<ListedRecipient>,
    ) -> Result<Self, Error> {
        let recipients = normalise(recipients)?;
        Self { purpose, form, sender, document_id, document_version, recipients }.checked()
    }

    fn checked(self) -> Result<Self, Error> {
        let recipients = match self.purpose {
            Purpose::Document | Purpose::Message | Purpose::Share => !self.recipients.is_empty(),
            Purpose::Detached => self.recipients.is_empty(),
            Purpose::Statement => true,
        };
        let form = match self.purpose {
            Purpose::Document | Purpose::Message => self.form != Form::Statement,
            Purpose::Detached => self.form == Form::Content,
            Purpose::Share | Purpose::Statement => self.form == Form::Statement,
        };
        if recipients && form { Ok(self) } else { Err(SignatureFault::Context.into()) }
    }

    /// What the signature is for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// What it stands over.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Who signs.
    #[must_use]
    pub fn sender(&self) -> Uid {
        self.sender
    }

    /// The document.
    #[must_use]
    pub fn document_id(&self) -> DocumentId {
        self.document_id
    }

    /// Its version, from 1.
    #[must_use]
    pub fn document_version(&self) -> u64 {
        self.document_version
    }

    /// The recipients, sorted by user and root key.
    #[must_use]
    pub fn recipients(&self) -> &[ListedRecipient] {
        &self.recipients
    }

    /// The DER form.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        asn1::sequence(&[
            &asn1::unsigned(VERSION),
            &asn1::enumerated(self.purpose.number()),
            &asn1::enumerated(self.form.number()),
            &asn1::octets(self.sender.as_bytes()),
            &asn1::octets(&self.document_id.0),
            &asn1::unsigned(self.document_version),
            &write_recipients(&self.recipients),
        ])
    }

    /// Reads the DER form.
    ///
    /// # Errors
    /// [`Error::Malformed`] also for recipients that are not strictly sorted; [`Error::TooLarge`]; [`Error::Refused`]
    /// for another version; [`Error::Signature`] as [`DocumentContext::new`].
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let mut parser = Parser::only(der, SEQUENCE)?;
        read_version(&mut parser)?;
        let purpose = Purpose::from_number(parser.enumerated()?).ok_or(SignatureFault::Context)?;
        let form = Form::from_number(parser.enumerated()?).ok_or(SignatureFault::Context)?;
        let sender = read_uid(&mut parser)?;
        let document_id = DocumentId(parser.octet_array()?);
        let document_version = parser.unsigned()?;
        let recipients = read_recipients(parser.inside(SEQUENCE)?)?;
        parser.finish()?;
        Self { purpose, form, sender, document_id, document_version, recipients }.checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(byte: u8) -> ListedRecipient {
        ListedRecipient { uid: Uid::from_random([byte; 16]), root_key: SpkiHash([byte; 32]) }
    }

    fn context(purpose: Purpose, recipients: Vec<ListedRecipient>) -> Result<DocumentContext, Error> {
        let form = if purpose == Purpose::Share { Form::Statement } else { Form::Content };
        DocumentContext::new(purpose, form, Uid::from_random([9; 16]), DocumentId([8; 16]), 300, recipients)
    }

    #[test]
    fn every_purpose_has_its_forms() {
        let allowed: &[(Purpose, &[Form])] = &[
            (Purpose::Document, &[Form::Content, Form::Manifest]),
            (Purpose::Message, &[Form::Content, Form::Manifest]),
            (Purpose::Share, &[Form::Statement]),
            (Purpose::Detached, &[Form::Content]),
            (Purpose::Statement, &[Form::Statement]),
        ];
        for (purpose, forms) in allowed {
            let recipients = if *purpose == Purpose::Detached { vec![] } else { vec![listed(1)] };
            for form in [Form::Content, Form::Manifest, Form::Statement] {
                assert_eq!(Form::from_number(form.number()), Some(form));
                let sender = Uid::from_random([9; 16]);
                let made =
                    DocumentContext::new(*purpose, form, sender, DocumentId([8; 16]), 1, recipients.clone());
                assert_eq!(made.is_ok(), forms.contains(&form), "{purpose:?} {form:?}");
                // The same when read.
                let (purpose, recipients) = (*purpose, recipients.clone());
                let raw = DocumentContext {
                    purpose,
                    form,
                    sender,
                    document_id: DocumentId([8; 16]),
                    document_version: 1,
                    recipients,
                };
                assert_eq!(DocumentContext::from_der(&raw.to_der()), made);
            }
        }
    }

    #[test]
    fn round_trips_sorted_and_once() {
        let made = context(Purpose::Document, vec![listed(3), listed(1), listed(3)]).unwrap();
        assert_eq!(made.recipients(), [listed(1), listed(3)]);
        assert_eq!(DocumentContext::from_der(&made.to_der()), Ok(made));
    }

    #[test]
    fn unsorted_lists_and_wrong_purposes_are_refused() {
        let mut made = context(Purpose::Message, vec![listed(1), listed(3)]).unwrap();
        made.recipients.reverse();
        assert_eq!(DocumentContext::from_der(&made.to_der()), Err(Error::Malformed));
        made.recipients = vec![listed(1), listed(1)];
        assert_eq!(DocumentContext::from_der(&made.to_der()), Err(Error::Malformed));
        let fault = Err(Error::Signature(SignatureFault::Context));
        assert_eq!(context(Purpose::Detached, vec![listed(1)]), fault);
        assert_eq!(context(Purpose::Document, vec![]), fault);
        assert!(context(Purpose::Detached, vec![]).is_ok());
        let many = (0..=512u16).map(|n| {
            let mut it = listed(1);
            it.root_key.0[..2].copy_from_slice(&n.to_be_bytes());
            it
        });
        assert_eq!(context(Purpose::Share, many.collect()), Err(Error::TooLarge));
    }
}
