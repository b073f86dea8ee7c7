//! The trailer: what every stream ends in, sealed under a key of its own.
//!
//! It holds the SignedData over the manifest, or nothing. Sealed, it tells whoever stores the stream neither a digest of
//! the content nor who signed it, and nobody without the stream key can take a signature away. Whoever has that key,
//! thus any recipient, can: then the stream is unsigned, and reported so.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use life_pki::key::KeyError;
use zeroize::Zeroize;

use super::{StreamKey, TAG, TINK_HEADER};
use crate::{Error, asn1, limits};

/// The longest sealed trailer, without its length: the largest signature and a tag.
pub const MAX_TRAILER: usize = limits::MAX_SIGNATURE + TAG;
/// The nonce: the key is derived with the stream's random salt and seals one trailer.
const NONCE: [u8; 12] = [0; 12];

/// Seals or opens the trailer of one stream: AES-256-GCM, Tink's header as associated data.
pub struct TrailerKey {
    cipher: LessSafeKey,
    header: [u8; TINK_HEADER],
}

life_sys::secret_types!(TrailerKey);

impl TrailerKey {
    /// Derives the key from the stream's key and Tink's header.
    ///
    /// # Errors
    /// [`Error::Key`] when AWS-LC fails.
    pub fn derive(key: &StreamKey, header: &[u8; TINK_HEADER]) -> Result<Self, Error> {
        let key = key.derive_trailer_key(header)?;
        // EXPOSE: the trailer's key goes into its cipher.
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| KeyError::Operation)?;
        Ok(Self { cipher: LessSafeKey::new(key), header: *header })
    }

    /// Seals a SignedData message, or nothing. Returns what follows the last segment: the sealed trailer and its length.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a message beyond the limit; [`Error::Key`] when AWS-LC fails.
    pub fn seal(self, signed_data: Option<&[u8]>) -> Result<Vec<u8>, Error> {
        let mut trailer = signed_data.unwrap_or_default().to_vec();
        asn1::check_size(&trailer, limits::MAX_SIGNATURE)?;
        self.cipher
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(NONCE),
                Aad::from(&self.header),
                &mut trailer,
            )
            .map_err(|_| KeyError::Operation)?;
        let length = u32::try_from(trailer.len()).map_err(|_| Error::TooLarge)?;
        trailer.extend_from_slice(&length.to_be_bytes());
        Ok(trailer)
    }

    /// Opens a sealed trailer, given without its length. `None` for an unsigned stream.
    ///
    /// # Errors
    /// [`Error::DecryptionFailed`], whatever the cause.
    pub fn open(&self, sealed: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if sealed.len() > MAX_TRAILER {
            return Err(Error::DecryptionFailed);
        }
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG>().ok_or(Error::DecryptionFailed)?;
        let mut signed_data = vec![0; ciphertext.len()];
        let nonce = Nonce::assume_unique_for_key(NONCE);
        let associated = Aad::from(&self.header);
        let opened = self.cipher.open_separate_gather(nonce, associated, ciphertext, tag, &mut signed_data);
        if opened.is_err() {
            // Whatever was written is not authentic.
            signed_data.zeroize();
            return Err(Error::DecryptionFailed);
        }
        Ok(Some(signed_data).filter(|it| !it.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [u8; TINK_HEADER] = [40; TINK_HEADER];

    fn key(header: &[u8; TINK_HEADER]) -> TrailerKey {
        TrailerKey::derive(&StreamKey::for_fuzzing().unwrap(), header).unwrap()
    }

    #[test]
    fn opens_only_whole_and_in_its_own_stream() {
        for content in [None, Some(&b"a signature"[..])] {
            let sealed = key(&HEADER).seal(content).unwrap();
            let (sealed, length) = sealed.split_last_chunk().unwrap();
            assert_eq!(u32::from_be_bytes(*length) as usize, sealed.len());
            assert_eq!(sealed.len(), content.unwrap_or_default().len() + TAG);
            assert_eq!(key(&HEADER).open(sealed).unwrap().as_deref(), content);
            for at in 0..sealed.len() {
                let mut bent = sealed.to_vec();
                bent[at] ^= 1;
                assert_eq!(key(&HEADER).open(&bent), Err(Error::DecryptionFailed));
                assert_eq!(key(&HEADER).open(&sealed[..at]), Err(Error::DecryptionFailed));
            }
            // Salt and nonce prefix of another stream, and a header that is none.
            for at in [0, 1, 32, 33, 39] {
                let mut other = HEADER;
                other[at] ^= 1;
                assert_eq!(key(&other).open(sealed), Err(Error::DecryptionFailed), "{at}");
            }
        }
    }

    #[test]
    fn the_largest_signature_fits() {
        let largest = vec![7; limits::MAX_SIGNATURE + 1];
        assert_eq!(key(&HEADER).seal(Some(&largest)), Err(Error::TooLarge));
        let sealed = key(&HEADER).seal(Some(&largest[1..])).unwrap();
        assert_eq!(sealed.len(), MAX_TRAILER + 4);
        let opened = key(&HEADER).open(&sealed[..MAX_TRAILER]).unwrap();
        assert!(opened.as_deref() == Some(&largest[1..]));
        assert_eq!(key(&HEADER).open(&[0; MAX_TRAILER + 1]), Err(Error::DecryptionFailed));
    }
}
