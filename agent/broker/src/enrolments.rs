//! Registrations that are being finished. Once the platform has committed an account its keys are in one file only, so
//! finishing it does not depend on whether the caller still waits; the file is kept until it is fetched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Error, Fault, Result};
use crate::registration::Registered;

/// How long a file waits to be fetched.
const KEPT: Duration = Duration::from_secs(3600);
/// The most at once.
const MOST: usize = 64;

type Outcome = Option<Result<Arc<Registered>>>;

/// Registrations by the platform's names for them.
#[derive(Clone, Default)]
pub struct Enrolments(Arc<Mutex<HashMap<String, watch::Receiver<Outcome>>>>);

impl Enrolments {
    fn map(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Outcome>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this registration is being finished, or was, and nobody fetched its file.
    pub fn knows(&self, id: &str) -> bool {
        self.map().contains_key(id)
    }

    /// Finishes a registration, unless that is under way, on a task of its own.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED.
    pub fn begin(
        &self,
        id: String,
        work: impl Future<Output = Result<Registered>> + Send + 'static,
    ) -> Result<()> {
        let mut map = self.map();
        if map.contains_key(&id) {
            return Ok(());
        }
        if map.len() >= MOST {
            return Err(Fault::ResourceExhausted.because("many registrations wait to be fetched"));
        }
        let (tell, outcome) = watch::channel(None);
        map.insert(id.clone(), outcome);
        drop(map);
        let enrolments = self.clone();
        // Its own task, so that a panic in it is noticed here.
        let work = tokio::spawn(work);
        tokio::spawn(async move {
            let ended = work.await.unwrap_or_else(|error| Err(Error::internal(error)));
            let failed = ended.is_err();
            tell.send_replace(Some(ended.map(Arc::new)));
            if !failed {
                tokio::time::sleep(KEPT).await;
            }
            // Whoever waits has a receiver of their own.
            enrolments.map().remove(&id);
        });
        Ok(())
    }

    /// Waits for the outcome and fetches it: the file is not kept any longer.
    ///
    /// # Errors
    /// What finishing it gave.
    pub async fn fetch(&self, id: &str) -> Result<Arc<Registered>> {
        let outcome = self.map().get(id).cloned();
        let mut outcome = outcome.ok_or(Fault::RegistrationExpired)?;
        let ended = outcome.wait_for(Option::is_some).await.map_err(Error::internal)?.clone();
        self.map().remove(id);
        ended.unwrap_or_else(|| Err(Fault::Internal.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_goes_on_when_its_caller_goes_away_and_its_outcome_is_fetched_once() {
        let enrolments = Enrolments::default();
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let work = async move {
            let _ = wait.await;
            Err(Fault::PlatformRefused.into())
        };
        enrolments.begin("a".to_owned(), work).unwrap();
        enrolments.begin("a".to_owned(), async { Err(Fault::Internal.into()) }).unwrap();
        let caller = tokio::spawn({
            let enrolments = enrolments.clone();
            async move { enrolments.fetch("a").await.map(drop) }
        });
        tokio::task::yield_now().await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        assert!(enrolments.knows("a"));
        let retry = enrolments.fetch("a");
        go.send(()).unwrap();
        assert_eq!(retry.await.err().unwrap().fault(), Fault::PlatformRefused);
        assert!(!enrolments.knows("a"));
        assert_eq!(enrolments.fetch("a").await.err().unwrap().fault(), Fault::RegistrationExpired);
    }
}
