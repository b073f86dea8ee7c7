//! Writing a software certificate: PKCS#12 with PBES2, one entry a slot.

use life_pki::certificate::Certificate;
use life_pki::{KeySlot, PrivateKey};
use life_sys::secret::SecretBytes;
use p12_keystore::{
    Certificate as P12Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm,
    PrivateKeyChain,
};

use crate::CredentialError::{self, Operation};
use crate::software_certificate::{MAX_FILE, usable};

/// Iterations of PBKDF2-HMAC-SHA256 for each encrypted part, and of the MAC's derivation: OWASP's figure for the
/// former. The MAC must cost as much, or it would be the cheaper way to try passphrases.
const ITERATIONS: u32 = 600_000;

/// One entry of the file.
pub struct ExportSlot<'a> {
    /// The slot, which names the entry.
    pub slot: KeySlot,
    /// The key.
    pub key: &'a PrivateKey,
    /// Its certificate.
    pub certificate: &'a Certificate,
}

/// Packs keys, certificates and the issuers' certificates into a PKCS#12 file: PBES2 with AES-256-CBC and
/// PBKDF2-HMAC-SHA256, MAC with SHA-256. `openssl pkcs12` and Java's `keytool` read it.
///
/// # Errors
/// [`CredentialError::UnusablePassphrase`]; [`CredentialError::Inconsistent`] for a key that is not its
/// certificate's; [`CredentialError::Damaged`] for an issuer that is no certificate, and when there are so many that the
/// file would be larger than [`MAX_FILE`]; and
/// [`CredentialError::Operation`] when the encoder fails.
pub fn export(
    slots: &[ExportSlot<'_>],
    issuers: &[Vec<u8>],
    passphrase: &SecretBytes,
) -> Result<Vec<u8>, CredentialError> {
    let passphrase = usable(passphrase)?;
    let issuers = issuers
        .iter()
        .map(|der| P12Certificate::from_der(der).map_err(|_| CredentialError::Damaged))
        .collect::<Result<Vec<_>, _>>()?;
    let mut store = KeyStore::new();
    // The issuers travel with the first entry; readers find them by name for the others.
    let mut chains = std::iter::once(issuers).chain(std::iter::repeat_with(Vec::new));
    for entry in slots {
        if entry.key.public_key() != entry.certificate.public_key() {
            return Err(CredentialError::Inconsistent);
        }
        // EXPOSE: into the encrypted entry; the plain copy is crate p12-keystore's.
        let key = p12_keystore::PrivateKey::from_der(entry.key.to_pkcs8().expose()).map_err(|_| Operation)?;
        let certificate = P12Certificate::from_der(entry.certificate.der()).map_err(|_| Operation)?;
        let key_id = entry.key.public_key().hash();
        let certificates = std::iter::once(certificate).chain(chains.next().unwrap_or_default());
        let chain = PrivateKeyChain::new(key_id.0.as_slice(), key, certificates);
        store.add_entry(friendly_name(entry.slot), KeyStoreEntry::PrivateKeyChain(chain));
    }
    let file = store
        .writer(passphrase)
        .encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256)
        .encryption_iterations(ITERATIONS)
        .mac_algorithm(MacAlgorithm::HmacSha256)
        .mac_iterations(ITERATIONS)
        .write()
        .map_err(|_| Operation)?;
    if file.len() > MAX_FILE { Err(CredentialError::Damaged) } else { Ok(file) }
}

/// The friendlyName of an entry.
fn friendly_name(slot: KeySlot) -> &'static str {
    match slot {
        KeySlot::Authentication => "LIFE authentication",
        KeySlot::Signature => "LIFE signature",
        KeySlot::Encryption => "LIFE encryption",
        KeySlot::Root => "LIFE root",
    }
}
