//! Opening one message, and judging it.

use bytes::Bytes;
use life_envelope::signature::{Signed, content_digest};
use life_envelope::{ContentKey, Envelope, Form, Purpose, SignedData};
use life_pki::Uid;
use life_proto::v1;

use super::account::{Receipts, account, unaccounted};
use super::judge::{Examined, Judgement, judge_examined};
use super::{compute, told};
use crate::error::{Error, Fault, Result};
use crate::identities::Identity;
use crate::names;

/// What a reader accepts.
pub struct OpenOptions {
    /// The purpose expected.
    pub purpose: Purpose,
    /// Whether content without a signature is accepted.
    pub accept_unsigned: bool,
    /// The platform's receipt.
    pub receipt: Option<Bytes>,
    /// What it must be, where it comes from the platform's documents.
    pub stored: Option<Stored>,
}

/// What a stored document's parts must be. Only its owner's sharing statements count.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Who must have signed it.
    pub owner: Uid,
    /// The document.
    pub id: [u8; 16],
    /// Its version.
    pub version: u64,
    /// SHA-256 of the value of its signature, where that is known.
    pub signature: Option<[u8; 32]>,
}

impl Stored {
    /// Compares it with what was signed.
    ///
    /// # Errors
    /// DOCUMENT_MISMATCH.
    pub fn check(&self, report: &v1::SignatureReport) -> Result<(), Fault> {
        let fits = report.signer == names::user(&self.owner)
            && report.document_id == names::uuid(&self.id)
            && report.document_version == self.version
            && self.signature.is_none_or(|digest| report.signature_digest == digest.as_slice());
        if fits { Ok(()) } else { Err(Fault::DocumentMismatch) }
    }
}

impl OpenOptions {
    /// Reads the options from a request's fields.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for another purpose than DOCUMENT and MESSAGE.
    pub fn from_fields(purpose: i32, accept_unsigned: bool, receipt: Bytes) -> Result<Self> {
        let purpose = match v1::SignaturePurpose::try_from(purpose) {
            Ok(v1::SignaturePurpose::Unspecified | v1::SignaturePurpose::Document) => Purpose::Document,
            Ok(v1::SignaturePurpose::Message) => Purpose::Message,
            _ => return Err(Error::field("purpose", "is neither DOCUMENT nor MESSAGE")),
        };
        let receipt = Some(receipt).filter(|receipt| !receipt.is_empty());
        Ok(Self { purpose, accept_unsigned, receipt, stored: None })
    }

    /// Refuses what the reader does not accept.
    ///
    /// # Errors
    /// The fault of a signature that is not valid, SIGNATURE_MISSING unless unsigned content is accepted,
    /// DOCUMENT_MISMATCH.
    pub fn accept(&self, judgement: &Judgement) -> Result<()> {
        match &judgement.fault {
            None => {
                self.stored.as_ref().map_or(Ok(()), |it| it.check(&judgement.report).map_err(Error::from))
            }
            Some(error) if error.fault() == Fault::SignatureMissing && self.accept_unsigned => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    /// Whose sharing statements count; everybody's who may share when not set.
    pub fn sharer(&self) -> Option<Uid> {
        self.stored.as_ref().map(|stored| stored.owner)
    }
}

/// An opened message.
pub struct Opened {
    /// The content.
    pub content: Bytes,
    /// What is known of its sender.
    pub signature: v1::SignatureReport,
    /// Who can open it.
    pub recipients: Vec<v1::Recipient>,
}

/// What stands in an opened envelope, with everything computed that takes long for a long content.
pub enum Read {
    /// No signature.
    Unsigned(Vec<u8>),
    /// A signed document that breaks a rule of signatures.
    Broken(life_envelope::Error),
    /// A signed document.
    Signed {
        /// The signature.
        examined: Box<Examined>,
        /// What it claims to be for.
        claimed: Result<Purpose, life_envelope::Error>,
        /// SHA-256 of the whole SignedData message.
        digest: [u8; 32],
        /// The content that was signed.
        inner: Option<Vec<u8>>,
    },
}

impl Read {
    /// Reads an opened content.
    pub fn of(content: Vec<u8>) -> Self {
        match SignedData::detect(&content) {
            Ok(None) => Self::Unsigned(content),
            Ok(Some(signed)) => Self::Signed {
                examined: Box::new(Examined::of(&signed, Signed::Enclosed)),
                claimed: signed.claimed_attributes().map(|attributes| attributes.context().purpose()),
                digest: content_digest(&content),
                inner: signed.into_content(),
            },
            Err(error) => Self::Broken(error),
        }
    }
}

/// Opens an envelope.
///
/// # Errors
/// As `Crypto.Decrypt`.
pub async fn open(identity: &Identity, message: Bytes, options: &OpenOptions) -> Result<Opened> {
    let length = message.len();
    let envelope = compute(length, move || Envelope::parse(&message).map(Envelope::into_owned)).await??;
    let key = content_key(identity, &envelope).await?;
    let (envelope, read) = compute(length, move || {
        let read = envelope.open(&key).map(Read::of);
        (envelope, read)
    })
    .await?;
    let (mut judgement, digest, inner) = match read? {
        Read::Unsigned(content) => {
            let judgement = Judgement::none();
            options.accept(&judgement)?;
            too_large(content.len())?;
            let recipients = unaccounted(&envelope);
            return Ok(Opened { content: content.into(), signature: judgement.report, recipients });
        }
        Read::Broken(error) => (Judgement::invalid(error), [0; 32], None),
        Read::Signed { examined, digest, inner, .. } => {
            // An envelope may bring the receipt over its own signature.
            let receipt = match &options.receipt {
                Some(receipt) => Some(receipt.as_ref()),
                None => Receipts::of(identity, &envelope)?.over(examined.signature_digest()),
            };
            let judgement =
                judge_examined(identity, *examined, options.purpose, Form::Content, receipt).await?;
            (judgement, digest, inner)
        }
    };
    let recipients = match &judgement.verified {
        None => unaccounted(&envelope),
        Some(verified) => {
            let accounted = account(identity, &envelope, verified, &digest, options.sharer()).await?;
            if let Err(fault) = accounted.check(identity) {
                judgement.spoil(fault);
            }
            accounted.to_wire(identity).await
        }
    };
    options.accept(&judgement)?;
    let inner = inner.ok_or(Fault::SignatureInvalid)?;
    too_large(inner.len())?;
    told(identity, Some(&judgement.report), &recipients).await;
    Ok(Opened { content: inner.into(), signature: judgement.report, recipients })
}

/// Has the vault unwrap the content key of an envelope for the identity.
///
/// # Errors
/// NOT_A_RECIPIENT. A wrapped key that does not open gives a random one, so that the content does not open.
pub async fn content_key(identity: &Identity, envelope: &Envelope<'_>) -> Result<ContentKey> {
    let info = envelope.find(&identity.own_keys()).ok_or(Fault::NotARecipient)?;
    let key = identity.session.unwrap(info.to_der()).await?;
    Ok(ContentKey::new(key))
}

fn too_large(length: usize) -> Result<()> {
    if length <= life_proto::UNARY_LIMIT {
        return Ok(());
    }
    Err(Fault::MessageTooLarge
        .because("its content has more than 16 MiB: such an envelope is not of this format"))
}
