//! Load: many callers with mixed operations, and faults meanwhile; what they were told is kept and compared at the end.
//!
//! Every call has a deadline, which must not be reached, and ends with an answer or a stable reason. A transport error
//! without a reason is right only where the broker itself was killed while the call ran.

mod documents;
mod faults;
mod files;
mod ledger;
mod messages;
mod operations;
mod random;
mod verdict;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use life_proto::v1::{self, ParticipantKind};
use tonic::Status;
use tonic_types::StatusExt;

use crate::agent::{Clients, try_channel};
use crate::{Agent, Platform, User};
pub use faults::{Fault, Faults};
pub use ledger::Ledger;
pub use random::{Random, content};
pub use verdict::verify;

/// No call may take this long, whatever happens meanwhile.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// Reasons that calls may end with while vault and platform come and go.
const REASONS: &[&str] = &["CREDENTIAL_LOCKED", "PLATFORM_UNAVAILABLE", "VAULT_UNAVAILABLE"];

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// The broker was killed meanwhile.
    Killed,
    /// A stable reason.
    Reason(String),
}

/// What all callers share.
pub struct Shared {
    /// The users that act, unlocked when there is somebody to ask.
    pub users: Vec<User>,
    /// What callers were told.
    pub ledger: Mutex<Ledger>,
    /// Where the agent is.
    pub socket: PathBuf,
    /// Where files are.
    pub folder: PathBuf,
    /// Odd while there is no broker; another number for each broker.
    epoch: AtomicU64,
    /// Operations that are over.
    done: AtomicUsize,
    unlocking: tokio::sync::Mutex<()>,
}

impl Shared {
    /// What callers were told.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// Operations that are over.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }
}

/// A platform and an agent with users, to be loaded.
pub struct World {
    /// The platform.
    pub platform: Platform,
    /// The agent.
    pub agent: Agent,
    /// What all callers share.
    pub shared: Arc<Shared>,
}

impl World {
    /// Starts it; three users act.
    pub async fn start() -> Self {
        let limit = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            for line in lines.iter_mut().filter(|line| line.contains("deposits_per_minute")) {
                let name = line.split(" = ").next().unwrap().to_owned();
                *line = format!("{name} = 0");
            }
            lines.join("\n")
        };
        let platform = Platform::start_edited(&["--approval", "auto"], limit);
        let agent = Agent::start(&platform);
        let mut clients = agent.clients().await;
        let mut users = Vec::new();
        for kind in
            [ParticipantKind::Institution, ParticipantKind::Patient, ParticipantKind::HealthCareProfessional]
        {
            users.push(User::ready(&mut clients, kind).await);
        }
        let folder = agent.dir().join("files");
        std::fs::create_dir(&folder).unwrap();
        let shared = Shared {
            users,
            ledger: Mutex::default(),
            socket: agent.socket(),
            folder,
            epoch: AtomicU64::new(0),
            done: AtomicUsize::new(0),
            unlocking: tokio::sync::Mutex::default(),
        };
        Self { platform, agent, shared: Arc::new(shared) }
    }

    /// A caller with a connection of its own.
    pub async fn caller(&self, seed: u64) -> Caller {
        Caller::connect(self.shared.clone(), Random::new(seed)).await
    }
}

/// Somebody who calls the agent, again and again.
pub struct Caller {
    /// What all callers share.
    pub shared: Arc<Shared>,
    /// What to do next.
    pub random: Random,
    clients: Clients,
    epoch: u64,
}

impl Caller {
    /// Connects, as soon as there is a broker.
    pub async fn connect(shared: Arc<Shared>, random: Random) -> Self {
        let (clients, epoch) = connect(&shared).await;
        Self { shared, random, clients, epoch }
    }

    /// Makes a call, with a deadline. `ok` are reasons that are right here besides those of vault and platform.
    ///
    /// # Errors
    /// The reason. Panics when the call hangs, has no reason, or one that is never right.
    pub async fn call<T, F>(
        &mut self,
        what: &'static str,
        ok: &[&str],
        call: impl FnOnce(Clients) -> F,
    ) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, Status>>,
    {
        if self.shared.epoch.load(Ordering::SeqCst) != self.epoch {
            (self.clients, self.epoch) = connect(&self.shared).await;
        }
        let ended = tokio::time::timeout(DEADLINE, call(self.clients.clone())).await;
        let ended = ended.unwrap_or_else(|_| panic!("{what} hangs"));
        let refused = ended.as_ref().err().map(|status| self.refused(what, ok, status));
        let outcome = match &refused {
            None => "answer",
            Some(Refused::Killed) => "(killed)",
            Some(Refused::Reason(reason)) => reason,
        };
        self.shared.ledger().count(what, outcome);
        match (ended, refused) {
            (Ok(answer), _) => Ok(answer),
            (Err(_), refused) => Err(refused.unwrap_or(Refused::Killed)),
        }
    }

    fn refused(&self, what: &str, ok: &[&str], status: &Status) -> Refused {
        let Some(info) = status.get_details_error_info() else {
            let now = self.shared.epoch.load(Ordering::SeqCst);
            assert_ne!(
                now, self.epoch,
                "{what}: an error without reason from an agent that lives: {status:?}"
            );
            return Refused::Killed;
        };
        let right = REASONS.contains(&info.reason.as_str()) || ok.contains(&info.reason.as_str());
        assert!(right, "{what}: {} was not to be expected: {}", info.reason, status.message());
        Refused::Reason(info.reason)
    }

    /// Unlocks a user, unless somebody else has.
    ///
    /// # Errors
    /// As [`Caller::call`].
    pub async fn unlock(&mut self, user: usize) -> Result<(), Refused> {
        let shared = self.shared.clone();
        let _one = shared.unlocking.lock().await;
        let user = &shared.users[user];
        let list =
            |mut it: Clients| async move { it.credentials.list_unlocked(v1::ListUnlockedRequest {}).await };
        let unlocked = self.call("list unlocked", &[], list).await?.into_inner().identities;
        if unlocked.iter().any(|identity| identity.user == user.name) {
            return Ok(());
        }
        let request = user.unlock_request();
        self.call("unlock", &[], |mut it| async move { crate::users::unlock(&mut it, request).await })
            .await
            .map(drop)
    }

    /// Does something that needs a user; unlocks it first where that is why it failed.
    ///
    /// # Errors
    /// As [`Caller::call`].
    pub async fn act<T, F>(
        &mut self,
        what: &'static str,
        user: usize,
        ok: &[&str],
        call: impl Fn(Clients) -> F,
    ) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, Status>>,
    {
        match self.call(what, ok, &call).await {
            Err(Refused::Reason(reason)) if reason == "CREDENTIAL_LOCKED" => {
                self.unlock(user).await?;
                self.call(what, ok, call).await
            }
            ended => ended,
        }
    }
}

/// Connects, as soon as there is a broker; gives its number too.
async fn connect(shared: &Shared) -> (Clients, u64) {
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        assert!(tokio::time::Instant::now() < end, "no broker came back");
        let epoch = shared.epoch.load(Ordering::SeqCst);
        if epoch.is_multiple_of(2)
            && let Ok(channel) = try_channel(shared.socket.clone()).await
        {
            return (Clients::over(channel), epoch);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
