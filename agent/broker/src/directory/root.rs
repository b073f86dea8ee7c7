//! Judging the certificate of a user's root credential.

use life_pki::account_log::AccountState;
use life_pki::chain::{self, ChainError, Purpose, Revocation};
use life_pki::{Certificate, KeySlot, Timestamp};

use super::Directory;
use crate::error::{Error, Fault, Result};
use crate::platform::Account;
use crate::unlock::without_root;

impl Directory {
    /// Judges the root credential's certificate: by the CA, and by the account log, which counts. Gives the path to the
    /// root too, and nothing else of what the platform showed.
    pub(super) fn judge_root(
        &self,
        account: &AccountState,
        found: &Account,
        crl: &[u8],
        now: Timestamp,
    ) -> Result<(Certificate, Vec<Vec<u8>>)> {
        let revocation = Revocation::Crls { crls: &[crl], now };
        let root = &self.binding.bundle.user_root;
        let purpose = Purpose::Slot(KeySlot::Root);
        let path = path_to_root(&found.root_certificate, &without_root(&found.issuers, &self.binding), root);
        let certificate = chain::verify(&found.root_certificate, &path, root, revocation, now, purpose)
            .map_err(recipient_fault)?;
        let fits = certificate.uid() == Some(account.uid())
            && certificate.public_key().hash() == account.current_root().spki_hash;
        if fits {
            Ok((certificate, [path, vec![root.der().to_vec()]].concat()))
        } else {
            Err(Fault::RecipientUntrusted.because("its key is not the one in the account log"))
        }
    }
}

/// Picks, by name, the certificates that lead from a leaf to the root: what the platform adds to them is dropped.
fn path_to_root(leaf: &[u8], candidates: &[Vec<u8>], root: &Certificate) -> Vec<Vec<u8>> {
    let candidates: Vec<_> = candidates.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut issuer = Certificate::from_der(leaf).map(|leaf| leaf.issuer_der().to_vec()).unwrap_or_default();
    while issuer != root.subject_der() && path.len() < chain::MAX_INTERMEDIATES {
        let next = candidates
            .iter()
            .find(|it| it.subject_der() == issuer && !path.iter().any(|der| der == it.der()));
        let Some(next) = next else { break };
        issuer = next.issuer_der().to_vec();
        path.push(next.der().to_vec());
    }
    path
}

fn recipient_fault(error: ChainError) -> Error {
    match error {
        ChainError::CrlStale => Fault::PlatformUnavailable.because(error.to_string()),
        _ => Fault::RecipientUntrusted.because(error.to_string()),
    }
}
