//! The software certificate: a PKCS#12 file with one key and certificate a slot (FORMATS §6).

use life_pki::certificate::Certificate;
use life_pki::{KeySlot, PrivateKey, Timestamp, Uid};
use life_sys::secret::SecretBytes;
use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error as P12Error;

use crate::CredentialError::{self, Damaged, Inconsistent, MissingSlot};
use crate::pfx::{Survey, survey};

/// The largest file, in bytes.
pub const MAX_FILE: usize = 64 * 1024;

/// The most issuers' certificates that are kept of a file. More are no fault: programs pack whole trust stores.
pub const MAX_ISSUERS: usize = 16;
/// The largest certificate that is taken from a file, in bytes.
pub const MAX_CERTIFICATE: usize = 16 * 1024;

/// The slots of a working credential (FORMATS §1).
pub const WORKING_SLOTS: [KeySlot; 3] = [KeySlot::Authentication, KeySlot::Signature, KeySlot::Encryption];

/// An open software certificate: three keys with their certificates, of one user.
///
/// There is no way to ask it for a decryption: the encryption key opens root key seals inside this crate
/// ([`crate::RootCredential::open`]) and nothing else (FORMATS §6).
pub struct SoftwareCertificate {
    signing: SigningCredential,
    encryption: Slot,
    issuers: Vec<Vec<u8>>,
}

life_sys::secret_types!(SoftwareCertificate);

/// What stays open of a software certificate when the root credential is open: the keys that sign. The encryption key has
/// done its work, and everybody who wants the certificates has them.
pub struct SigningCredential {
    uid: Uid,
    authentication: Slot,
    signature: Slot,
}

life_sys::secret_types!(SigningCredential);

impl SigningCredential {
    /// Whose credential it is.
    #[must_use]
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// The signature slot's certificate.
    #[must_use]
    pub fn signature(&self) -> &Certificate {
        &self.signature.certificate
    }

    /// Takes now all memory that signing ever takes for long: who was let in must not be refused it later.
    ///
    /// # Errors
    /// [`CredentialError::Operation`] when AWS-LC fails.
    pub fn prepare(&self) -> Result<(), CredentialError> {
        let prepared = [&self.authentication, &self.signature].map(|slot| slot.key.prepare_to_sign());
        prepared.into_iter().collect::<Result<_, _>>().map_err(|_| CredentialError::Operation)
    }

    /// Signs with the authentication key. The caller has made sure what it signs (FORMATS §4, typed signing).
    ///
    /// # Errors
    /// [`CredentialError::Operation`] when AWS-LC fails.
    pub fn sign_authentication(&self, message: &[u8]) -> Result<Vec<u8>, CredentialError> {
        self.authentication.key.sign(message).map_err(|_| CredentialError::Operation)
    }

    /// Signs with the signature key. The caller has made sure what it signs (FORMATS §4, typed signing).
    ///
    /// # Errors
    /// [`CredentialError::Operation`] when AWS-LC fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CredentialError> {
        self.signature.key.sign(message).map_err(|_| CredentialError::Operation)
    }
}

struct Slot {
    key: PrivateKey,
    certificate: Certificate,
}

life_sys::secret_types!(Slot);

impl SoftwareCertificate {
    /// Opens a file: checks how much work it asks for, then its MAC, then that keys, certificates, slots, users and
    /// validity fit together. Whether the certificates are to be trusted is for the broker and the account log.
    ///
    /// A file without a MAC is refused; PBES2 and what `openssl pkcs12 -legacy` writes are read.
    ///
    /// # Errors
    /// [`CredentialError`], a reason for each. [`CredentialError::WrongPassphrase`] and [`CredentialError::Damaged`]
    /// both mean that the MAC failed; damaged is a file of which the passphrase still opens a part.
    pub fn open(file: &[u8], passphrase: &SecretBytes, now: Timestamp) -> Result<Self, CredentialError> {
        if file.len() > MAX_FILE {
            return Err(Damaged);
        }
        let survey = survey(file)?;
        let passphrase = usable(passphrase)?;
        let all_opened = survey.look_inside(passphrase)?;
        let archive = Pkcs12Archive::from_pkcs12(file, passphrase).map_err(|error| match error {
            P12Error::MacError(_) => why_the_mac_failed(&survey, passphrase),
            _ => Damaged,
        })?;
        if !all_opened {
            // Then its work was not counted: the two ways to open a part must not differ.
            return Err(Damaged);
        }
        let found = Self::assemble(&archive)?;
        found.check_validity(now)?;
        Ok(found)
    }

    /// Its keys that sign.
    #[must_use]
    pub fn signing(&self) -> &SigningCredential {
        &self.signing
    }

    /// Keeps the keys that sign, and wipes the one that opened the root credential.
    #[must_use]
    pub fn into_signing(self) -> SigningCredential {
        self.signing
    }

    /// Whose credential it is.
    #[must_use]
    pub fn uid(&self) -> Uid {
        self.signing.uid
    }

    /// The authentication slot's certificate.
    #[must_use]
    pub fn authentication(&self) -> &Certificate {
        &self.signing.authentication.certificate
    }

    /// The signature slot's certificate.
    #[must_use]
    pub fn signature(&self) -> &Certificate {
        &self.signing.signature.certificate
    }

    /// The encryption slot's certificate.
    #[must_use]
    pub fn encryption(&self) -> &Certificate {
        &self.encryption.certificate
    }

    /// The other certificates of the file (DER): at most [`MAX_ISSUERS`], none larger than [`MAX_CERTIFICATE`].
    #[must_use]
    pub fn issuers(&self) -> &[Vec<u8>] {
        &self.issuers
    }

    /// The key that opens root key seals.
    pub(crate) fn encryption_key(&self) -> &PrivateKey {
        &self.encryption.key
    }

    fn assemble(archive: &Pkcs12Archive) -> Result<Self, CredentialError> {
        // What is outside the suite, an issuer's key for one, is passed over: the MAC says that nothing was changed.
        let ders: Vec<_> = (archive.certs.iter())
            .map(|bag| bag.cert.as_der())
            .filter(|der| der.len() <= MAX_CERTIFICATE)
            .collect();
        let certificates: Vec<_> = ders.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
        let keys: Vec<_> = archive
            .keys
            .iter()
            // EXPOSE: from the opened file into keys; the plain copies are crate p12-keystore's.
            .filter_map(|bag| PrivateKey::from_pkcs8(bag.key.as_der()).ok())
            .collect();
        let slots = Slots::match_up(keys, &certificates)?;
        let [authentication, signature, encryption] = slots.into_complete()?;
        let uid = authentication.certificate.uid().ok_or(Inconsistent)?;
        if [&signature, &encryption].iter().any(|slot| slot.certificate.uid() != Some(uid)) {
            return Err(Inconsistent);
        }
        let own = [&authentication, &signature, &encryption].map(|slot| slot.certificate.der().to_vec());
        let mut issuers: Vec<Vec<u8>> = Vec::new();
        for der in ders.into_iter().map(<[u8]>::to_vec) {
            if issuers.len() < MAX_ISSUERS && !own.contains(&der) && !issuers.contains(&der) {
                issuers.push(der);
            }
        }
        Ok(Self { signing: SigningCredential { uid, authentication, signature }, encryption, issuers })
    }

    fn check_validity(&self, now: Timestamp) -> Result<(), CredentialError> {
        for slot in [&self.signing.authentication, &self.signing.signature, &self.encryption] {
            if now < slot.certificate.not_before() {
                return Err(CredentialError::NotYetValid);
            }
            if now > slot.certificate.not_after() {
                return Err(CredentialError::Expired);
            }
        }
        Ok(())
    }
}

/// The passphrase as the text that PKCS#12 derives keys from.
pub(crate) fn usable(passphrase: &SecretBytes) -> Result<&str, CredentialError> {
    // EXPOSE: checked, and passed to the key derivation.
    std::str::from_utf8(passphrase.expose())
        .ok()
        .filter(|text| !text.is_empty() && text.chars().all(|c| u32::from(c) <= 0xffff && c != '\0'))
        .ok_or(CredentialError::UnusablePassphrase)
}

/// A wrong passphrase opens no part; a right one opens the parts that were not changed.
fn why_the_mac_failed(survey: &Survey<'_>, passphrase: &str) -> CredentialError {
    let opens = survey.parts().any(|part| Pkcs12Archive::from_pkcs12(&part, passphrase).is_ok());
    if opens { Damaged } else { CredentialError::WrongPassphrase }
}

#[derive(Default)]
struct Slots {
    found: [Option<Slot>; 3],
    unmatched_key: bool,
}

life_sys::secret_types!(Slots);

impl Slots {
    /// Puts each key into the slot of its certificate. Of several certificates of one key the one that is valid
    /// longest counts: a renewed certificate is packed with the old one.
    fn match_up(keys: Vec<PrivateKey>, certificates: &[Certificate]) -> Result<Self, CredentialError> {
        let mut slots = Self::default();
        for key in keys {
            let own = certificates.iter().filter(|certificate| certificate.public_key() == key.public_key());
            let Some(certificate) =
                own.clone().filter(|c| c.slot().is_some()).max_by_key(|c| c.not_after()).cloned()
            else {
                slots.unmatched_key |= own.count() == 0;
                continue;
            };
            let Some(at) = WORKING_SLOTS.iter().position(|slot| certificate.slot() == Some(*slot)) else {
                continue;
            };
            match slots.found.get_mut(at) {
                // The same key twice, as some programs pack it, is no harm.
                Some(Some(taken)) if taken.key.public_key() == key.public_key() => {}
                Some(place @ None) => *place = Some(Slot { key, certificate }),
                _ => return Err(Inconsistent),
            }
        }
        Ok(slots)
    }

    fn into_complete(self) -> Result<[Slot; 3], CredentialError> {
        let missing = WORKING_SLOTS.iter().zip(&self.found).find(|(_, found)| found.is_none());
        if let Some((slot, _)) = missing {
            // A key that none of the certificates fits says that something was mixed up.
            return Err(if self.unmatched_key { Inconsistent } else { MissingSlot(*slot) });
        }
        match self.found {
            [Some(authentication), Some(signature), Some(encryption)] => {
                Ok([authentication, signature, encryption])
            }
            _ => Err(Inconsistent),
        }
    }
}
