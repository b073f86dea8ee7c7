//! Sharing: the content key is wrapped for more users, and a statement says who did it (FORMATS §4).

use std::collections::BTreeSet;

use bytes::Bytes;
use life_envelope::signature::{Signed, content_digest};
use life_envelope::stream::{Manifest, StreamHeader, TINK_HEADER, TrailerKey, header_length};
use life_envelope::{ContentKey, DocumentContext, Envelope, Form, Purpose, SharingStatement, SignedData};
use life_pki::Uid;
use life_proto::v1;

use super::account::{Receipts, account};
use super::judge::{Examined, judge_examined, receipt as certify};
use super::open::{Read, Stored, content_key};
use super::open_stream::is_stream;
use super::recipients::Resolved;
use super::seal::sign_enclosed;
use super::{compute, told};
use crate::error::{Error, Fault, Result};
use crate::identities::Identity;

/// What is shared.
pub struct Shared<'a> {
    /// An envelope, or everything in a sealed stream before its first segment.
    pub message: Bytes,
    /// A sealed stream's sealed trailer.
    pub trailer: Bytes,
    /// The platform's receipt over the signature.
    pub receipt: Option<&'a [u8]>,
    /// What it must be, where it comes from the platform's documents.
    pub stored: Option<Stored>,
}

/// Adds recipients to an envelope, or to the header of a sealed stream.
///
/// # Errors
/// As `Crypto.Share`; DOCUMENT_MISMATCH.
pub async fn share(
    identity: &Identity,
    users: &BTreeSet<Uid>,
    shared: Shared<'_>,
) -> Result<(Vec<u8>, Vec<v1::Recipient>)> {
    let Shared { message, trailer, receipt, stored } = shared;
    if is_stream(&message) {
        return share_stream(identity, users, &message, &trailer, (receipt, stored)).await;
    }
    if !trailer.is_empty() {
        return Err(Error::field("trailer", "belongs to a sealed stream, and the envelope is none"));
    }
    let length = message.len();
    let envelope = compute(length, move || Envelope::parse(&message).map(Envelope::into_owned)).await??;
    let key = content_key(identity, &envelope).await?;
    let (mut envelope, key, read) = compute(length, move || {
        let read = envelope.open(&key).map(Read::of);
        (envelope, key, read)
    })
    .await?;
    let original = match read? {
        Read::Unsigned(_) => return Err(Fault::SignatureMissing.into()),
        Read::Broken(error) => return Err(error.into()),
        Read::Signed { examined, claimed, digest, .. } => {
            // An envelope may bring the receipt over its own signature.
            let own =
                Receipts::of(identity, &envelope)?.over(examined.signature_digest()).map(<[u8]>::to_vec);
            let receipt = receipt.map(<[u8]>::to_vec).or(own);
            let (examined, purpose, form) = (*examined, claimed?, Form::Content);
            Original { examined, purpose, digest, form, receipt, stored }
        }
    };
    let recipients = add(identity, users, &mut envelope, &key, original).await?;
    Ok((envelope.to_der(), recipients))
}

/// The header is everything up to the first segment: Tink's header, which ends it, is needed to open the trailer.
async fn share_stream(
    identity: &Identity,
    users: &BTreeSet<Uid>,
    message: &[u8],
    trailer: &[u8],
    (receipt, stored): (Option<&[u8]>, Option<Stored>),
) -> Result<(Vec<u8>, Vec<v1::Recipient>)> {
    let length = header_length(message)?.unwrap_or(message.len());
    let (head, tink) = message.split_at_checked(length).unwrap_or((message, &[]));
    let tink: &[u8; TINK_HEADER] = tink
        .try_into()
        .map_err(|_| Error::field("envelope", "must end with the 40 bytes before the first segment"))?;
    if trailer.is_empty() {
        return Err(Error::field("trailer", "is missing: every sealed stream has one"));
    }
    let mut header = StreamHeader::parse(head)?.into_owned();
    let key = content_key(identity, header.envelope()).await?;
    let stream_key = header.open(&key)?;
    let Some(trailer) = TrailerKey::derive(&stream_key, tink)?.open(trailer)? else {
        return Err(Fault::SignatureMissing.into());
    };
    let signed = SignedData::parse(&trailer)?;
    let manifest = Manifest::from_der(signed.content().unwrap_or_default());
    let commitment = stream_key.derive_commitment()?;
    let claimed = signed.claimed_attributes()?;
    let same_document = stream_key.check(claimed.context());
    if !manifest.is_ok_and(|manifest| manifest.commitment == commitment) || same_document.is_err() {
        return Err(Fault::SignatureInvalid.because("the trailer belongs to another stream"));
    }
    let (examined, purpose) = (Examined::of(&signed, Signed::Enclosed), claimed.context().purpose());
    let (digest, form) = (content_digest(&trailer), Form::Manifest);
    let receipt = receipt.map(<[u8]>::to_vec);
    let original = Original { examined, purpose, digest, form, receipt, stored };
    let recipients = add(identity, users, header.envelope_mut(), &key, original).await?;
    Ok(([header.to_bytes()?, tink.to_vec()].concat(), recipients))
}

/// The signature that a statement is about.
struct Original {
    examined: Examined,
    /// What it claims to be for.
    purpose: Purpose,
    /// SHA-256 of the whole SignedData message.
    digest: [u8; 32],
    /// What it must stand over.
    form: Form,
    /// The platform's receipt over it.
    receipt: Option<Vec<u8>>,
    /// What it must be.
    stored: Option<Stored>,
}

async fn add(
    identity: &Identity,
    users: &BTreeSet<Uid>,
    envelope: &mut Envelope<'_>,
    key: &ContentKey,
    original: Original,
) -> Result<Vec<v1::Recipient>> {
    let Original { examined, purpose, digest, form, receipt, stored } = original;
    let sharer = stored.as_ref().map(|stored| stored.owner);
    if !matches!(purpose, Purpose::Document | Purpose::Message) {
        return Err(Fault::PurposeMismatch.into());
    }
    let judgement = judge_examined(identity, examined, purpose, form, receipt.as_deref()).await?;
    let verified = match (judgement.fault, judgement.verified) {
        (None, Some(verified)) => verified,
        (fault, _) => return Err(fault.unwrap_or_else(|| Fault::SignatureInvalid.into())),
    };
    if let Some(stored) = stored {
        stored.check(&judgement.report)?;
    }
    let before = account(identity, envelope, &verified, &digest, sharer).await?;
    before.check(identity)?;
    if !before.accounting.may_share(identity.uid) {
        return Err(Fault::RecipientMismatch.into());
    }

    let added = Resolved::others(identity, users).await?;
    if added.listed.is_empty() {
        return Err(Error::field("recipients", "names nobody else"));
    }
    let context = verified.context();
    let (id, version) = (context.document_id(), context.document_version());
    let statement = SharingStatement::new(id, version, digest, added.listed.clone())?;
    let context =
        DocumentContext::new(Purpose::Share, Form::Statement, identity.uid, id, version, added.listed)?;
    let (message, value_digest) = sign_enclosed(identity, statement.to_der().into(), context).await?;
    envelope.add_recipients(key, &added.keys)?;
    envelope.add_statement(&message)?;
    // With it the statement outlives its signer's certificate; without it, it is good as long as that.
    match certify(identity, &value_digest).await {
        Ok(receipt) => envelope.add_statement_receipt(&receipt)?,
        Err(error) => tracing::info!(%error, "shared without a receipt"),
    }
    let recipients = account(identity, envelope, &verified, &digest, sharer).await?.to_wire(identity).await;
    told(identity, None, &recipients).await;
    Ok(recipients)
}
