//! Signatures over plain content: made and verified, whole or as a stream.

use bytes::Bytes;
use life_envelope::signature::{Signed, assemble, content_digest};
use life_envelope::{DocumentContext, DocumentId, Form, Purpose, SignedData};

use super::digests::RunningDigest;
use super::flow::Source;
use super::judge::{Examined, Judgement, judge, judge_examined};
use super::recipients::fresh_id;
use super::seal::{sign_digest, sign_enclosed};
use super::{compute, told};
use crate::error::{Error, Fault, Result};
use crate::identities::Identity;

/// A SignedData message and the SHA-256 of its signature value.
pub type Signature = (Vec<u8>, [u8; 32]);

fn context(identity: &Identity) -> Result<DocumentContext> {
    let id = DocumentId(fresh_id()?);
    DocumentContext::new(Purpose::Detached, Form::Content, identity.uid, id, 1, Vec::new())
        .map_err(Error::internal)
}

/// Signs a content of up to 16 MiB, with the content inside or beside the signature.
///
/// # Errors
/// As `Crypto.Sign`.
pub async fn sign(identity: &Identity, content: Bytes, enclose: bool) -> Result<Signature> {
    if enclose {
        return sign_enclosed(identity, content, context(identity)?).await;
    }
    let digest = compute(content.len(), move || content_digest(&content)).await?;
    sign_beside(identity, digest).await
}

/// Signs what the source gives; gives the length too.
///
/// # Errors
/// As `Crypto.SignStream`.
pub async fn sign_stream(identity: &Identity, source: &mut impl Source) -> Result<(Signature, u64)> {
    let (digest, length) = digest_of(source).await?;
    Ok((sign_beside(identity, digest).await?, length))
}

async fn sign_beside(identity: &Identity, digest: [u8; 32]) -> Result<Signature> {
    let (attributes, value) = sign_digest(identity, digest, context(identity)?).await?;
    let message = assemble(None, &attributes, &value, &identity.signature_chain)?;
    Ok((message, content_digest(&value)))
}

async fn digest_of(source: &mut impl Source) -> Result<([u8; 32], u64)> {
    let mut digest = RunningDigest::new();
    let mut length = 0;
    while let Some(piece) = source.next().await? {
        length += piece.len() as u64;
        digest.push(piece).await?;
    }
    Ok((digest.finish().await?, length))
}

/// Verifies a signature over plain content; gives the content of an attached one that is valid.
///
/// # Errors
/// FORMAT_INVALID, CONTENT_MISSING, INVALID_ARGUMENT for a content given twice, and as [`judge`].
pub async fn verify(
    identity: &Identity,
    message: Bytes,
    content: Option<Bytes>,
    receipt: Option<&[u8]>,
) -> Result<(Judgement, Bytes)> {
    let length = message.len() + content.as_ref().map_or(0, Bytes::len);
    let examined = compute(length, move || examine(&message, content.as_deref())).await??;
    let (judgement, inner) = match examined {
        Ok((examined, inner)) => {
            let judgement =
                judge_examined(identity, examined, Purpose::Detached, Form::Content, receipt).await?;
            (judgement, inner)
        }
        Err(judgement) => return Ok((judgement, Bytes::new())),
    };
    told(identity, Some(&judgement.report), &[]).await;
    let content = if judgement.is_valid() { inner.unwrap_or_default() } else { Vec::new() };
    Ok((judgement, content.into()))
}

/// A signature, and the content it carries; or the verdict on a message that breaks a rule.
type Read = Result<(Examined, Option<Vec<u8>>), Judgement>;

/// Verifies a signature's value over the content beside it or inside.
fn examine(message: &[u8], content: Option<&[u8]>) -> Result<Read> {
    let signed = match parse(message)? {
        Ok(signed) => signed,
        Err(judgement) => return Ok(Err(judgement)),
    };
    let against = match (content, signed.content()) {
        (Some(_), Some(_)) => {
            return Err(Error::field("content", "must be absent: the signature carries it"));
        }
        (Some(content), None) => Signed::Content(content),
        (None, _) => Signed::Enclosed,
    };
    let examined = Examined::of(&signed, against);
    Ok(Ok((examined, signed.into_content())))
}

/// Verifies a detached signature over what the source gives; gives the length too.
///
/// # Errors
/// As [`verify`].
pub async fn verify_stream(
    identity: &Identity,
    message: Bytes,
    receipt: Option<&[u8]>,
    source: &mut impl Source,
) -> Result<(Judgement, u64)> {
    let parsed = parse(&message)?;
    if let Ok(signed) = &parsed
        && signed.content().is_some()
    {
        return Err(Error::field("signed_data", "carries its content: use Verify"));
    }
    let (digest, length) = digest_of(source).await?;
    let judgement = match parsed {
        Ok(signed) => {
            let against = Signed::Digest(&digest);
            judge(identity, &signed, against, Purpose::Detached, Form::Content, receipt).await?
        }
        Err(judgement) => judgement,
    };
    told(identity, Some(&judgement.report), &[]).await;
    Ok((judgement, length))
}

/// Reads a message. One that is SignedData but breaks a rule of signatures is an answer, not an error.
fn parse(message: &[u8]) -> Result<Result<SignedData<'_>, Judgement>> {
    match SignedData::parse(message) {
        Ok(signed) => Ok(Ok(signed)),
        Err(error @ life_envelope::Error::Signature(_)) => Ok(Err(Judgement::invalid(error))),
        Err(life_envelope::Error::TooLarge) => {
            Err(Fault::FormatInvalid.because("the signature is far too large"))
        }
        Err(error) => Err(error.into()),
    }
}
