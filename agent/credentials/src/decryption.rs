//! Opening an encrypted part of a PKCS#12 file, to see how much work hides inside.

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use der::asn1::AnyRef;
use der::{Decode, Encode};
use des::TdesEde3;
use life_sys::secret::SecretBytes;
use pkcs5::pbes2;
use pkcs12::kdf::{Pkcs12KeyType, derive_key_utf8};
use rc2::Rc2;
use sha1::Sha1;

/// A cipher of PBES1 as PKCS#12 has it (RFC 7292 appendix C), with SHA-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pbes1 {
    Rc2With40Bits,
    TripleDes,
}

impl Pbes1 {
    /// Decrypts; none when the passphrase is wrong.
    pub(crate) fn decrypt(
        self,
        salt: &[u8],
        iterations: u64,
        passphrase: &str,
        data: &[u8],
    ) -> Option<SecretBytes> {
        let rounds = i32::try_from(iterations).ok()?;
        let derive = |kind, len| {
            derive_key_utf8::<Sha1>(passphrase, salt, kind, rounds, len).ok().map(SecretBytes::new)
        };
        let key = |len| derive(Pkcs12KeyType::EncryptionKey, len);
        let iv = derive(Pkcs12KeyType::Iv, 8)?;
        match self {
            Self::Rc2With40Bits => decrypt_cbc::<Rc2>(&key(5)?, &iv, data),
            Self::TripleDes => decrypt_cbc::<TdesEde3>(&key(24)?, &iv, data),
        }
    }
}

fn decrypt_cbc<C: KeyInit + BlockCipherDecrypt>(
    key: &SecretBytes,
    iv: &SecretBytes,
    data: &[u8],
) -> Option<SecretBytes> {
    // EXPOSE: into the cipher.
    let cipher = Decryptor::<C>::new_from_slices(key.expose(), iv.expose()).ok()?;
    cipher.decrypt_padded_vec::<Pkcs7>(data).ok().map(SecretBytes::new)
}

/// Decrypts with PBES2 (RFC 8018 §6.2); none when the passphrase is wrong or the parameters are unknown.
pub(crate) fn decrypt_pbes2(parameters: AnyRef<'_>, passphrase: &str, data: &[u8]) -> Option<SecretBytes> {
    let parameters = pbes2::Parameters::from_der(&parameters.to_der().ok()?).ok()?;
    parameters.decrypt(passphrase, data).ok().map(SecretBytes::new)
}
