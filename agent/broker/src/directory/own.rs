//! One's own account: checked against what is pinned of it, like everybody else's.

use std::sync::PoisonError;
use std::time::Instant;

use life_pki::account_log::{AccountState, PinError};

use super::{Directory, logs};
use crate::clock;
use crate::error::{Fault, Result};

impl Directory {
    /// Checks that one's own log extends the pinned one, and pins it.
    ///
    /// # Errors
    /// ACCOUNT_LOG_FORKED, ACCOUNT_LOG_ROLLED_BACK.
    pub async fn check_own(&self, log: &[Vec<u8>]) -> Result<AccountState> {
        match self.pin_own(log).await {
            // The log may have grown, and been pinned by another call, since it was fetched.
            Err(error) if error.fault() == Fault::AccountLogRolledBack => {
                self.pin_own(&self.client.me().await?.log).await
            }
            checked => checked,
        }
    }

    async fn pin_own(&self, log: &[Vec<u8>]) -> Result<AccountState> {
        let mut pins = self.pins.lock().await;
        let (verified, _) = logs::verify(self.uid, pins.own.as_ref(), log.to_vec(), clock::now()?).await?;
        let (account, pin) = match verified {
            // One's own account cannot have been reset: its keys opened this very pin store.
            Err(PinError::IdentityChanged) => return Err(Fault::AccountLogForked.into()),
            verified => verified?,
        };
        if pins.own.as_ref() != Some(&pin) {
            pins.own = Some(pin);
            self.store.save(&self.session, &mut pins).await?;
        }
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Some((account.clone(), Instant::now()));
        Ok(account)
    }

    /// One's own account, as fresh as what is known of others; as last seen when the platform does not show it.
    ///
    /// # Errors
    /// ACCOUNT_LOG_FORKED, ACCOUNT_LOG_ROLLED_BACK, ACCOUNT_LOG_INVALID.
    pub async fn own(&self) -> Result<AccountState> {
        let kept = self.own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((account, since)) = kept else { return self.check_own(&self.client.me().await?.log).await };
        if since.elapsed() < self.refresh() {
            return Ok(account);
        }
        match self.client.me().await {
            Ok(me) => self.check_own(&me.log).await,
            Err(error) => {
                tracing::info!(%error, "one's own account was not shown");
                *self.own.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((account.clone(), Instant::now()));
                Ok(account)
            }
        }
    }
}
