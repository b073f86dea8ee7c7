//! The way of a request that takes long: it waits for a secret, then for one of the slow workers, and may be given up
//! meanwhile.

use std::time::{Duration, Instant};

use life_sys::secret::SecretBytes;
use life_vault_protocol::request::MAX_SECRET_SECONDS;
use life_vault_protocol::{RequestKind, Response, VaultError};

use super::{Server, WITHDRAWN, answered, guarded_with};
use crate::operations::{perform_slow, undo};
use crate::outbox::Answers;
use crate::secret_source::Begun;
use crate::slow::{Claim, NewPassphrase, SlowJob, SlowWork};
use crate::thread::Desk;
use crate::turns::Worker;
use crate::waiter::{Purpose, Wait};

impl Server {
    /// Sets to work with a secret that is there, makes one, or waits for it.
    pub(super) fn begin(
        &self,
        id: u64,
        since: Instant,
        purpose: Purpose,
        begun: Begun,
    ) -> Result<(), VaultError> {
        let (work, claim) = match (begun, purpose) {
            (Begun::There(passphrase), purpose) => (work(purpose, passphrase), Claim::Shared),
            (Begun::Made(fd), Purpose::Generate(account)) => {
                (SlowWork::Generate { account, passphrase: NewPassphrase::Made(fd) }, Claim::Shared)
            }
            (Begun::Made(_), Purpose::Open(_)) => return Err(VaultError::Malformed),
            (Begun::Awaited(source, seconds), purpose) => {
                let deadline = since + Duration::from_secs(seconds.min(MAX_SECRET_SECONDS).into());
                self.waiter.add(Wait { id, since, deadline, source, purpose });
                return Ok(());
            }
        };
        self.slow.push(SlowJob { id, since, work, claim })
    }

    /// A secret has come, or will not come.
    pub(super) fn awaited(&self, wait: Wait, secret: Result<SecretBytes, VaultError>) {
        let Wait { id, since, deadline, source, purpose } = wait;
        let kind = purpose.kind();
        let passed_on = secret.and_then(|passphrase| {
            let claim = Claim::Awaited { source, deadline };
            self.slow.push(SlowJob { id, since, work: work(purpose, passphrase), claim })
        });
        if let Err(error) = passed_on {
            let mut answers = Answers::default();
            self.answer_claimed(&mut answers, id, since, kind, Response::Error(error));
            self.outbox.send(answers);
        }
    }

    pub(super) fn work_slowly(&self, desk: &Desk, worker: Worker) {
        while let Some(job) = self.slow.pop(worker, &self.turns) {
            let answers = self.slow_turn(job);
            desk.clear();
            self.turns.end(worker);
            self.outbox.send(answers);
        }
    }

    /// Does a piece of slow work. Never inlined, as [`Server::turn`].
    #[inline(never)]
    fn slow_turn(&self, job: SlowJob) -> Answers {
        let SlowJob { id, since, work, mut claim } = job;
        let kind = work.kind();
        let wanted = || matches!(claim, Claim::Ours) || self.unanswered.holds(id);
        let room = match kind {
            RequestKind::ExportSoftwareCertificate => self.room.set_aside(work.memory()),
            _ => self.room.let_in(work.memory()),
        };
        let (response, certificate) = match room {
            // Nothing is derived and decrypted that would then be refused.
            _ if !wanted() => (WITHDRAWN, None),
            Ok(_lease) => guarded_with(|| perform_slow(&self.keep, work, &wanted)),
            Err(error) => (Response::Error(error), None),
        };
        if kind == RequestKind::GenerateAccount {
            // The waiting thread has to know of it, to let it expire.
            self.waiter.wake();
        }
        let another_try = match (&mut claim, &response) {
            (Claim::Awaited { source, .. }, Response::Error(error)) if is_mistyped(*error) => {
                source.again(*error)
            }
            _ => false,
        };
        let mut answers = Answers::default();
        match (claim, certificate) {
            (Claim::Ours, _) => answered(&mut answers, id, since, kind, None, response),
            (Claim::Awaited { source, deadline }, Some(certificate)) if another_try => {
                let purpose = Purpose::Open(certificate);
                self.waiter.add(Wait { id, since, deadline, source, purpose });
            }
            _ => self.answer_claimed(&mut answers, id, since, kind, response),
        }
        answers
    }

    /// Answers what was awaited, unless whoever gave it up has: then nothing of it stays.
    fn answer_claimed(
        &self,
        answers: &mut Answers,
        id: u64,
        since: Instant,
        kind: RequestKind,
        response: Response,
    ) {
        if self.unanswered.take(id) {
            answered(answers, id, since, kind, None, response);
        } else {
            undo(&self.keep, &response);
        }
    }
}

/// Whether another try may do better.
fn is_mistyped(error: VaultError) -> bool {
    matches!(error, VaultError::SecretUnusable | VaultError::WrongPassphrase)
}

/// What is done with a secret once it is there.
fn work(purpose: Purpose, passphrase: SecretBytes) -> SlowWork {
    match purpose {
        Purpose::Generate(account) => {
            SlowWork::Generate { account, passphrase: NewPassphrase::Given(passphrase) }
        }
        Purpose::Open(certificate) => SlowWork::Open { certificate, passphrase },
    }
}
