//! Registrations that are being finished. Once the platform has committed an account its keys are in one file only, so
//! finishing it does not depend on whether the caller still waits, nor on whether the platform's answer arrives: it is
//! asked again until it does. The file is kept until it is fetched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::error::{Error, Fault, Result};
use crate::registration::Registered;

/// How long a file waits to be fetched.
const KEPT: Duration = Duration::from_secs(3600);
/// The most at once.
const MOST: usize = 64;

/// How far one has come.
enum Progress {
    /// It is being worked on.
    Working,
    /// An attempt failed; another follows.
    Paused(Error),
    /// It is over.
    Ended(Result<Arc<Registered>>),
}

#[derive(Clone)]
struct Enrolment {
    progress: watch::Receiver<Progress>,
    /// Ends a pause.
    wake: Arc<Notify>,
}

/// Registrations by the platform's names for them.
#[derive(Clone, Default)]
pub struct Enrolments(Arc<Mutex<HashMap<String, Enrolment>>>);

/// What work that is tried again and again tells those who wait for it.
pub struct Attempts {
    tell: Arc<watch::Sender<Progress>>,
    wake: Arc<Notify>,
}

impl Attempts {
    /// Tells that an attempt failed, and waits until it is time for the next: after a pause, or as soon as somebody asks.
    pub async fn pause(&self, error: Error, pause: Duration) {
        self.tell.send_replace(Progress::Paused(error));
        let _ = tokio::time::timeout(pause, self.wake.notified()).await;
        self.tell.send_replace(Progress::Working);
    }
}

impl Enrolments {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Enrolment>> {
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
    pub fn begin<W>(&self, id: String, work: impl FnOnce(Attempts) -> W) -> Result<()>
    where
        W: Future<Output = Result<Registered>> + Send + 'static,
    {
        let mut map = self.map();
        if map.contains_key(&id) {
            return Ok(());
        }
        if map.len() >= MOST {
            return Err(Fault::ResourceExhausted.because("many registrations wait to be fetched"));
        }
        let (tell, progress) = watch::channel(Progress::Working);
        let (tell, wake) = (Arc::new(tell), Arc::new(Notify::new()));
        map.insert(id.clone(), Enrolment { progress, wake: wake.clone() });
        drop(map);
        let enrolments = self.clone();
        // Its own task, so that a panic in it is noticed here.
        let work = tokio::spawn(work(Attempts { tell: tell.clone(), wake }));
        tokio::spawn(async move {
            let ended = work.await.unwrap_or_else(|error| Err(Error::internal(error)));
            let failed = ended.is_err();
            tell.send_replace(Progress::Ended(ended.map(Arc::new)));
            if !failed {
                tokio::time::sleep(KEPT).await;
            }
            // Whoever waits has a receiver of their own.
            enrolments.map().remove(&id);
        });
        Ok(())
    }

    /// Waits for the outcome and fetches it: the file is not kept any longer. Where an attempt fails that is told, and
    /// asking again has it tried again at once.
    ///
    /// # Errors
    /// What finishing it gave, or what stood against the last attempt.
    pub async fn fetch(&self, id: &str) -> Result<Arc<Registered>> {
        let enrolment = self.map().get(id).cloned();
        let Enrolment { mut progress, wake } = enrolment.ok_or(Fault::RegistrationExpired)?;
        if matches!(*progress.borrow_and_update(), Progress::Paused(_)) {
            wake.notify_one();
            progress.changed().await.map_err(Error::internal)?;
        }
        loop {
            match &*progress.borrow_and_update() {
                Progress::Working => {}
                Progress::Paused(error) => return Err(error.clone()),
                Progress::Ended(ended) => {
                    self.map().remove(id);
                    return ended.clone();
                }
            }
            progress.changed().await.map_err(Error::internal)?;
        }
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
        enrolments.begin("a".to_owned(), |_| work).unwrap();
        enrolments.begin("a".to_owned(), |_| async { Err(Fault::Internal.into()) }).unwrap();
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

    #[tokio::test]
    async fn a_failed_attempt_is_told_and_asking_again_has_it_tried_at_once() {
        let enrolments = Enrolments::default();
        let work = |attempts: Attempts| async move {
            for _ in 0..2 {
                attempts.pause(Fault::PlatformUnavailable.into(), KEPT).await;
            }
            Err(Fault::PlatformRefused.into())
        };
        enrolments.begin("a".to_owned(), work).unwrap();
        for fault in [Fault::PlatformUnavailable, Fault::PlatformUnavailable, Fault::PlatformRefused] {
            let fetched = tokio::time::timeout(Duration::from_secs(10), enrolments.fetch("a")).await;
            assert_eq!(fetched.unwrap().err().unwrap().fault(), fault);
        }
        assert!(!enrolments.knows("a"));
    }
}
