//! What stands before the stream: magic, version and the envelope with the stream key.

use aws_lc_rs::digest::{Context, SHA256};
use life_sys::secret::Key256;
use zeroize::Zeroizing;

use super::MAGIC;
use crate::asn1::{self, Parser, SEQUENCE};
use crate::context::{VERSION, read_version};
use crate::root_seal::derive;
use crate::{ContentKey, DocumentContext, DocumentId, Envelope, Error, StreamFault, limits};

/// The stream's format version.
const FORMAT: u8 = 1;
/// Tink's AES256_GCM_HKDF_1MB, the only suite.
const SUITE: u8 = 1;
/// BOOLEAN FALSE, DER.
const FALSE: &[u8] = &[asn1::BOOLEAN, 1, 0];
/// What the trailer's key is derived for.
const TRAILER: &[u8] = b"LIFE stream trailer v1";
/// The bytes magic, version and envelope length take.
const PREFIX: usize = 13;

/// How long the header is (prefix and envelope), once its first 13 bytes are there; `None` before.
///
/// # Errors
/// [`Error::Stream`] for another magic or version, as soon as it shows; [`Error::TooLarge`] for an envelope beyond the
/// limits.
pub fn header_length(start: &[u8]) -> Result<Option<usize>, Error> {
    let known = start.len().min(MAGIC.len());
    if start.get(..known) != MAGIC.get(..known) {
        return Err(StreamFault::Magic.into());
    }
    let Some((version, length)) = start.get(MAGIC.len()..PREFIX).and_then(<[u8]>::split_first) else {
        return Ok(None);
    };
    if *version != FORMAT {
        return Err(StreamFault::Version.into());
    }
    let length = u32::from_be_bytes(length.try_into().map_err(|_| Error::Malformed)?);
    match usize::try_from(length) {
        Ok(length) if length <= limits::MAX_HEADER => Ok(Some(PREFIX + length)),
        _ => Err(Error::TooLarge),
    }
}

/// The parsed header of a sealed stream.
#[derive(Clone, Debug)]
pub struct StreamHeader<'a> {
    envelope: Envelope<'a>,
}

impl<'a> StreamHeader<'a> {
    /// Reads exactly one header: as many bytes as [`header_length`] says.
    ///
    /// # Errors
    /// As [`header_length`] and [`Envelope::parse`]; [`Error::Stream`] when it is cut short.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        match header_length(bytes)? {
            Some(length) if length == bytes.len() => {
                let envelope = bytes.get(PREFIX..).ok_or(Error::Malformed)?;
                Ok(Self { envelope: Envelope::parse(envelope)? })
            }
            Some(length) if length < bytes.len() => Err(Error::Malformed),
            _ => Err(StreamFault::Truncated.into()),
        }
    }

    /// The envelope with the stream key.
    #[must_use]
    pub fn envelope(&self) -> &Envelope<'a> {
        &self.envelope
    }

    /// The envelope, to add recipients and statements.
    pub fn envelope_mut(&mut self) -> &mut Envelope<'a> {
        &mut self.envelope
    }

    /// Frees the header from the bytes it was read from.
    #[must_use]
    pub fn into_owned(self) -> StreamHeader<'static> {
        StreamHeader { envelope: self.envelope.into_owned() }
    }

    /// Opens the envelope and reads the stream key.
    ///
    /// # Errors
    /// [`Error::DecryptionFailed`], whatever the cause; also for a content that is no stream key.
    pub fn open(&self, key: &ContentKey) -> Result<StreamKey, Error> {
        let content = Zeroizing::new(self.envelope.open(key)?);
        StreamKey::from_content(&content).map_err(|_| Error::DecryptionFailed)
    }

    /// The header's bytes: prefix and envelope, DER.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        write(&self.envelope.to_der())
    }
}

/// Puts magic, version and length before an envelope.
pub(super) fn write(envelope: &[u8]) -> Result<Vec<u8>, Error> {
    asn1::check_size(envelope, limits::MAX_HEADER)?;
    let length = u32::try_from(envelope.len()).map_err(|_| Error::TooLarge)?;
    let mut out = Vec::with_capacity(PREFIX + envelope.len() + super::TINK_HEADER);
    out.extend_from_slice(MAGIC);
    out.push(FORMAT);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(envelope);
    Ok(out)
}

/// What the trailer of a stream will hold, announced before the first segment.
///
/// Whoever opens a stream that announces no signature need not hash its content: that costs more than decrypting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// Nothing. A signature in the trailer is an error then.
    Nothing,
    /// A signature. A recipient can take it away, as from any stream: it is unsigned then.
    Signature,
}

/// The content of a stream's envelope: the key and what it is bound to.
pub struct StreamKey {
    key: Key256,
    document_id: DocumentId,
    document_version: u64,
    announced: Announced,
}

life_sys::secret_types!(StreamKey);

impl StreamKey {
    /// Draws a fresh key for a document.
    ///
    /// # Errors
    /// [`Error::Key`] when the random number generator fails.
    pub(super) fn generate(
        document_id: DocumentId,
        document_version: u64,
        announced: Announced,
    ) -> Result<Self, Error> {
        let key = Key256::init_with(|key| aws_lc_rs::rand::fill(key))
            .map_err(|_| life_pki::key::KeyError::Operation)?;
        Ok(Self { key, document_id, document_version, announced })
    }

    /// A fixed key, so that a corpus can hold streams that open.
    pub(crate) fn for_fuzzing() -> Result<Self, Error> {
        let key = Key256::from_slice(&[0x11; 32]).ok_or(Error::Malformed)?;
        let announced = Announced::Signature;
        Ok(Self { key, document_id: DocumentId([0x22; 16]), document_version: 1, announced })
    }

    /// The DER form, to be put into an envelope.
    pub(super) fn to_content(&self) -> Zeroizing<Vec<u8>> {
        // EXPOSE: the stream key goes into the envelope; the intermediate piece is wiped.
        let key = Zeroizing::new(asn1::octets(self.key.expose()));
        let signed: &[u8] = match self.announced {
            Announced::Nothing => FALSE,
            // The default is left out in DER.
            Announced::Signature => &[],
        };
        Zeroizing::new(asn1::sequence(&[
            &asn1::unsigned(VERSION),
            &key,
            &asn1::octets(&self.document_id.0),
            &asn1::unsigned(self.document_version),
            &asn1::unsigned(u64::from(SUITE)),
            signed,
        ]))
    }

    /// Reads the content of the opened envelope.
    ///
    /// # Errors
    /// [`Error::Malformed`], or [`Error::Refused`] for an unknown version or suite.
    pub fn from_content(content: &[u8]) -> Result<Self, Error> {
        let mut parser = Parser::only(content, SEQUENCE)?;
        read_version(&mut parser)?;
        let key = Key256::from_slice(parser.octets()?).ok_or(Error::Malformed)?;
        let document_id = DocumentId(parser.octet_array()?);
        let document_version = parser.unsigned()?;
        let suite = parser.unsigned()?;
        let announced = match parser.optional(asn1::BOOLEAN)? {
            None => Announced::Signature,
            Some([0]) => Announced::Nothing,
            Some(_) => return Err(Error::Malformed),
        };
        parser.finish()?;
        if suite != u64::from(SUITE) {
            return Err(crate::Refusal::Version.into());
        }
        Ok(Self { key, document_id, document_version, announced })
    }

    /// The document.
    #[must_use]
    pub fn document_id(&self) -> DocumentId {
        self.document_id
    }

    /// Its version.
    #[must_use]
    pub fn document_version(&self) -> u64 {
        self.document_version
    }

    /// What the trailer will hold.
    #[must_use]
    pub fn announced(&self) -> Announced {
        self.announced
    }

    /// The value in the manifest that binds a signature to this key: HKDF-SHA256(key, info "commit").
    ///
    /// # Errors
    /// [`Error::Key`] when AWS-LC fails.
    pub fn derive_commitment(&self) -> Result<[u8; 32], Error> {
        // EXPOSE: into its derivation function; the result is public.
        derive(self.key.expose(), &[], b"commit").map(|commitment| *commitment.expose())
    }

    /// Tink's input key material: for judges that hold the same stream against another implementation.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        // EXPOSE: passed on; every caller says why.
        self.key.expose()
    }

    /// Tink's associated data: SHA-256("LIFESTRM-v1" | document id | document version | suite).
    #[must_use]
    pub fn associated_data(&self) -> [u8; 32] {
        let mut hash = Context::new(&SHA256);
        hash.update(b"LIFESTRM-v1");
        hash.update(&self.document_id.0);
        hash.update(&self.document_version.to_be_bytes());
        hash.update(&[SUITE]);
        let mut out = [0; 32];
        out.copy_from_slice(hash.finish().as_ref());
        out
    }

    /// The key of the segments: HKDF-SHA256(key, salt, associated data).
    pub(super) fn derive_segment_key(&self, salt: &[u8; 32]) -> Result<Key256, Error> {
        // EXPOSE: into its derivation function.
        derive(self.key.expose(), salt, &self.associated_data())
    }

    /// The key of the trailer: HKDF-SHA256(key, salt in Tink's header, info "LIFE stream trailer v1").
    pub(super) fn derive_trailer_key(&self, header: &[u8; super::TINK_HEADER]) -> Result<Key256, Error> {
        let salt = header.get(1..33).ok_or(Error::Malformed)?;
        // EXPOSE: into its derivation function.
        derive(self.key.expose(), salt, TRAILER)
    }

    /// Whether a context is about the document this key was made for.
    ///
    /// # Errors
    /// [`Error::Stream`] with `DocumentMismatch`.
    pub fn check(&self, context: &DocumentContext) -> Result<(), Error> {
        let same =
            context.document_id() == self.document_id && context.document_version() == self.document_version;
        if same { Ok(()) } else { Err(StreamFault::DocumentMismatch.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_shows_early_and_only_for_our_magic() {
        let mut start = b"LIFESTRM\x01\x00\x00\x01\x00".to_vec();
        for n in 0..start.len() {
            assert_eq!(header_length(&start[..n]), Ok(None), "{n}");
        }
        assert_eq!(header_length(&start), Ok(Some(13 + 256)));
        start[9] = 1;
        assert_eq!(header_length(&start), Err(Error::TooLarge));
        start[8] = 2;
        assert_eq!(header_length(&start), Err(Error::Stream(StreamFault::Version)));
        assert_eq!(header_length(b"LIFET"), Err(Error::Stream(StreamFault::Magic)));
    }

    #[test]
    fn the_key_round_trips() {
        for announced in [Announced::Nothing, Announced::Signature] {
            let key = StreamKey::generate(DocumentId([1; 16]), 7, announced).unwrap();
            let again = StreamKey::from_content(&key.to_content()).unwrap();
            assert!(again.key.ct_eq(&key.key));
            assert_eq!(again.announced(), announced);
            assert_eq!(again.associated_data(), key.associated_data());
            assert_eq!(again.derive_commitment(), key.derive_commitment());
        }
    }

    #[test]
    fn what_is_announced_has_one_spelling() {
        let key = StreamKey::generate(DocumentId([1; 16]), 7, Announced::Nothing).unwrap();
        let mut content = key.to_content();
        for truth in [1, 0xff] {
            *content.last_mut().unwrap() = truth;
            assert_eq!(StreamKey::from_content(&content).err(), Some(Error::Malformed));
        }
    }
}
