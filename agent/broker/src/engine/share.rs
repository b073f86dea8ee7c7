//! Sharing: the content key is wrapped for more users, and a statement says who did it (FORMATS §4).

use std::collections::BTreeSet;

use bytes::Bytes;
use life_envelope::signature::{Signed, content_digest};
use life_envelope::stream::{Manifest, StreamHeader};
use life_envelope::{ContentKey, DocumentContext, Envelope, Purpose, SharingStatement, SignedData};
use life_pki::Uid;
use life_proto::v1;

use super::account::account;
use super::judge::judge;
use super::open::content_key;
use super::open_stream::is_stream;
use super::recipients::Resolved;
use super::seal::sign_enclosed;
use crate::error::{Error, Fault, Result};
use crate::identities::Identity;

/// Adds recipients to an envelope, or to the header of a sealed stream whose trailer is given.
///
/// # Errors
/// As `Crypto.Share`.
pub async fn share(
    identity: &Identity,
    users: &BTreeSet<Uid>,
    message: Bytes,
    trailer: Bytes,
) -> Result<(Vec<u8>, Vec<v1::Recipient>)> {
    if is_stream(&message) {
        let mut header = StreamHeader::parse(&message)?.into_owned();
        let key = content_key(identity, header.envelope()).await?;
        if trailer.is_empty() {
            return Err(Fault::SignatureMissing.because("there is no trailer, so nothing says who made it"));
        }
        let commitment = header.open(&key)?.derive_commitment()?;
        let signed = SignedData::parse(&trailer)?;
        let manifest = Manifest::from_der(signed.content().unwrap_or_default());
        if manifest.is_ok_and(|manifest| manifest.commitment == commitment) {
            let recipients =
                add(identity, users, header.envelope_mut(), &key, &signed, content_digest(&trailer)).await?;
            return Ok((header.to_bytes()?, recipients));
        }
        return Err(Fault::SignatureInvalid.because("the trailer belongs to another stream"));
    }
    if !trailer.is_empty() {
        return Err(Error::field("trailer", "belongs to a sealed stream, and the envelope is none"));
    }
    let mut envelope = Envelope::parse(&message)?.into_owned();
    let key = content_key(identity, &envelope).await?;
    let content = envelope.open(&key)?;
    let signed = SignedData::detect(&content)?.ok_or(Fault::SignatureMissing)?;
    let recipients = add(identity, users, &mut envelope, &key, &signed, content_digest(&content)).await?;
    Ok((envelope.to_der(), recipients))
}

async fn add(
    identity: &Identity,
    users: &BTreeSet<Uid>,
    envelope: &mut Envelope<'_>,
    key: &ContentKey,
    signed: &SignedData<'_>,
    original: [u8; 32],
) -> Result<Vec<v1::Recipient>> {
    let purpose = signed.claimed_attributes()?.context().purpose();
    if !matches!(purpose, Purpose::Document | Purpose::Message) {
        return Err(Fault::PurposeMismatch.into());
    }
    let judgement = judge(identity, signed, Signed::Enclosed, purpose, None).await?;
    let verified = match (judgement.fault, judgement.verified) {
        (None, Some(verified)) => verified,
        (fault, _) => return Err(fault.unwrap_or_else(|| Fault::SignatureInvalid.into())),
    };
    let before = account(identity, envelope, &verified, &original).await?;
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
    let statement = SharingStatement::new(id, version, original, added.listed.clone())?;
    let context = DocumentContext::new(Purpose::Share, identity.uid, id, version, added.listed)?;
    let (message, _) = sign_enclosed(identity, statement.to_der().into(), context).await?;
    envelope.add_recipients(key, &added.keys)?;
    envelope.add_statement(&message)?;
    Ok(account(identity, envelope, &verified, &original).await?.to_wire())
}
