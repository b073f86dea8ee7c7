//! Bodies of the fuzz targets: one for each parser of bytes from outside. None may panic on any input.

use bytes::Bytes;
use life_pki::{KeySlot, SpkiHash, Uid};

use crate::accounting::AttestedStatement;
use crate::signature::Signed;
use crate::stream::{Manifest, Opener, StreamHeader, StreamKey, header_length};
use crate::{DocumentContext, Envelope, RecipientInfo, SharingStatement, SignedAttributes, SignedData};

/// An envelope, DER or BER: parsed, written, parsed again.
pub fn envelope(bytes: &[u8]) {
    if let Ok(parsed) = Envelope::parse(bytes) {
        let der = parsed.to_der();
        let again = Envelope::parse(&der).map(|it| (it.recipients().to_vec(), it.to_der()));
        assert!(
            again.is_ok_and(|(recipients, it)| it == der && recipients.len() == parsed.recipients().len())
        );
        for info in parsed.recipients() {
            assert!(RecipientInfo::from_der(&info.to_der()).as_ref() == Ok(info));
        }
    }
}

/// One RecipientInfo, as the vault gets it.
pub fn recipient_info(bytes: &[u8]) {
    if let Ok(info) = RecipientInfo::from_der(bytes) {
        assert!(RecipientInfo::from_der(&info.to_der()) == Ok(info));
    }
}

/// A SignedData message, DER or BER, and its verification.
pub fn signed_data(bytes: &[u8]) {
    let _ = SignedData::detect(bytes);
    if let Ok(signed) = SignedData::parse(bytes) {
        let form = if signed.content().is_some() { Signed::Enclosed } else { Signed::Content(b"") };
        let _ = signed.verify_cryptographically(form);
        if let Ok(verified) = signed.verify(form) {
            let _ = AttestedStatement::new(&verified, signed.content().unwrap_or_default());
        }
    }
}

/// Signed attributes, as the vault gets them: one spelling only.
pub fn signed_attributes(bytes: &[u8]) {
    if let Ok(attributes) = SignedAttributes::parse(bytes) {
        assert!(attributes.to_der() == bytes);
    }
}

/// A documentContext: one spelling only.
pub fn document_context(bytes: &[u8]) {
    if let Ok(context) = DocumentContext::from_der(bytes) {
        assert!(context.to_der() == bytes);
    }
}

/// A sharing statement: one spelling only.
pub fn sharing_statement(bytes: &[u8]) {
    if let Ok(statement) = SharingStatement::from_der(bytes) {
        assert!(statement.to_der() == bytes);
    }
}

/// The content of a challenge.
pub fn challenge(bytes: &[u8]) {
    let _ = crate::challenge::read(bytes, Uid::from_random([0; 16]), KeySlot::Root, &SpkiHash([0; 32]));
}

/// The content of a root key seal.
pub fn root_seal(bytes: &[u8]) {
    let _ = crate::root_seal::RootKeySeal::from_der(bytes);
}

/// The header of a sealed stream.
pub fn stream_header(bytes: &[u8]) {
    if let Ok(Some(length)) = header_length(bytes)
        && let Some(header) = bytes.get(..length)
        && let Ok(header) = StreamHeader::parse(header)
    {
        let _ = header.to_bytes();
    }
}

/// The content of a stream's envelope, and the manifest of its trailer.
pub fn stream_contents(bytes: &[u8]) {
    let _ = StreamKey::from_content(bytes);
    if let Ok(manifest) = Manifest::from_der(bytes) {
        assert!(manifest.to_der() == bytes);
    }
}

/// What follows a stream's header, pushed in pieces.
pub fn stream_body(bytes: &[u8]) {
    let Ok(mut opener) = StreamKey::for_fuzzing().and_then(Opener::new) else { return };
    let mut out = Vec::new();
    for piece in bytes.chunks(1000) {
        if opener.push(Bytes::copy_from_slice(piece)).is_err() || opener.next_segment(&mut out).is_err() {
            return;
        }
    }
    if opener.end_input().is_ok() {
        while opener.next_segment(&mut out) == Ok(true) {}
        let _ = opener.finish();
    }
}
