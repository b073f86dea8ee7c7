//! Waiting for an answer of the vault's.

use std::time::Duration;

use life_vault_protocol::{Request, RequestKind, Response};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Vault;
use crate::error::{Fault, Result};

/// How long a call may take that no person delays. Making four RSA keys takes seconds, on a slow machine many.
const CALL_LIMIT: Duration = Duration::from_secs(120);
/// How long a call may take that waits for a person.
const PERSON_LIMIT: Duration = Duration::from_secs(660);

/// How long a vault that works may take to answer; none where that is not for it to say.
pub(super) fn limit_of(request: &Request) -> Option<Duration> {
    match request.kind() {
        // A card never comes, or is slow.
        RequestKind::AwaitCards | RequestKind::ListCards => None,
        _ if request.descriptors() > 0 => Some(PERSON_LIMIT),
        _ => Some(CALL_LIMIT),
    }
}

/// A call on its way. When its caller goes away it is taken from the list, the vault gives up what it does for it with a
/// secret, and what an answer on the last stretch opened is closed.
pub(super) struct Waiting {
    pub(super) vault: Vault,
    pub(super) id: u64,
    /// Whether the vault can give it up.
    pub(super) given_up: bool,
    pub(super) receiver: oneshot::Receiver<Response>,
    pub(super) closed: CancellationToken,
}

impl Waiting {
    pub(super) async fn answer_within(self, limit: Duration) -> Result<Response> {
        let closed = self.closed.clone();
        tokio::time::timeout(limit, self.answer()).await.unwrap_or_else(|_| {
            tracing::error!("the vault does not answer and is replaced");
            closed.cancel();
            Err(Fault::VaultUnavailable.because("it did not answer in time"))
        })
    }

    /// For as long as there is that vault.
    pub(super) async fn answer(mut self) -> Result<Response> {
        let Ok(response) = (&mut self.receiver).await else { return Err(self.vault.unavailable()) };
        self.given_up = false;
        match response {
            Response::Error(error) => Err(error.into()),
            response => Ok(response),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.vault.state().waiting.remove(&self.id);
        self.receiver.close();
        if let Ok(response) = self.receiver.try_recv() {
            return self.vault.reclaim(response);
        }
        if self.given_up {
            self.vault.tell(&Request::CancelSecret { request: self.id });
        }
    }
}

#[cfg(test)]
mod tests {
    use life_vault_protocol::SecretSource;

    use super::*;

    #[test]
    fn who_waits_for_a_card_or_a_person_does_not_cost_the_vault() {
        assert_eq!(limit_of(&Request::AwaitCards { seen: 0 }), None);
        assert_eq!(limit_of(&Request::ListCards), None);
        assert_eq!(limit_of(&Request::Status), Some(CALL_LIMIT));
        let secret = SecretSource::Descriptor { timeout_seconds: 600 };
        let open = Request::OpenSoftwareCertificate { pkcs12: Vec::new(), secret, now: 0, expected: None };
        assert!(limit_of(&open) > Some(Duration::from_secs(600)));
    }
}
