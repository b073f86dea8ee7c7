//! Sealing one message: signed, then encrypted, whole.

use bytes::Bytes;
use life_envelope::{DocumentContext, Form, SignedAttributes, envelope, signature};
use life_proto::v1;

use super::recipients::{Document, Resolved};
use super::{compute, told};
use crate::clock;
use crate::error::{Fault, Result};
use crate::identities::Identity;

/// A sealed message.
pub struct Sealed {
    /// The envelope.
    pub envelope: Vec<u8>,
    /// SHA-256 of the signature value; empty when unsigned.
    pub signature_digest: Vec<u8>,
    /// Who can open it.
    pub recipients: Vec<v1::Recipient>,
}

/// Seals a content of up to 16 MiB.
///
/// # Errors
/// As `Crypto.Encrypt`.
pub async fn seal(identity: &Identity, document: &Document, content: Bytes) -> Result<Sealed> {
    let resolved = Resolved::with_self(identity, &document.recipients).await?;
    let (content, signature_digest) = match document.purpose {
        None => (content, Vec::new()),
        Some(purpose) => {
            let context = resolved.context(identity, document, purpose, Form::Content)?;
            let (message, digest) = sign_enclosed(identity, content, context).await?;
            (Bytes::from(message), digest.to_vec())
        }
    };
    let keys = resolved.keys.clone();
    let sealed = compute(content.len() + keys.len() * 4096, move || envelope::seal(&content, &keys)).await?;
    let recipients = resolved.to_wire(document.purpose.is_some());
    let sealed = sealed?;
    told(identity, None, &recipients).await;
    Ok(Sealed { envelope: sealed.0, signature_digest, recipients })
}

/// Signs a content that goes into the message. Gives the message and the SHA-256 of the signature value.
pub async fn sign_enclosed(
    identity: &Identity,
    content: Bytes,
    context: DocumentContext,
) -> Result<(Vec<u8>, [u8; 32])> {
    let hashed = content.clone();
    let digest = compute(content.len(), move || signature::content_digest(&hashed)).await?;
    let (attributes, value) = sign_digest(identity, digest, context).await?;
    let chain = identity.signature_chain.clone();
    let value_digest = signature::content_digest(&value);
    let message =
        compute(content.len(), move || signature::assemble(Some(&content), &attributes, &value, &chain))
            .await??;
    Ok((message, value_digest))
}

/// Has the vault sign a digest in its context: builds the attributes, and gives them with the signature value.
pub async fn sign_digest(
    identity: &Identity,
    digest: [u8; 32],
    context: DocumentContext,
) -> Result<(SignedAttributes, Vec<u8>)> {
    identity.check_signing().await?;
    let certificate = identity.signature_certificate.der();
    let attributes = SignedAttributes::build(digest, clock::now()?, certificate, context)
        .map_err(|error| Fault::SigningFailed.because(error.to_string()))?;
    let value = identity.session.sign_attributes(attributes.to_der()).await?;
    Ok((attributes, value))
}
