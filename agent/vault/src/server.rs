//! The threads, and the way of a request through them.

mod about_cards;
mod slowly;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use life_pki::{Timestamp, Uid};
use life_sys::sandbox::Protection;
use life_sys::scratch;
use life_vault_protocol::{FrameError, Request, RequestKind, Response, VaultError};

use crate::cards::{self, Cards};
use crate::confinement::Sandbox;
use crate::inbox::Inbox;
use crate::keep::Keep;
use crate::lockings::Epoch;
use crate::operations::perform;
use crate::outbox::{Answers, Outbox};
use crate::process::{Memory, ProcessError};
use crate::room::{Lease, Room};
use crate::secret_source::{known, to_be};
use crate::slow::{Claim, NewAccount, PendingCertificate, Slow, SlowJob, SlowWork};
use crate::thread::{Desk, Gate};
use crate::turns::{MAX_WORKERS, Turns, Worker};
use crate::unanswered::Unanswered;
use crate::waiter::{Purpose, Waiter};

/// How long a lock waits for slow work where waiting longer, which ends with the end of this process, would cost others: a
/// user's lock the sessions of everybody else, a lock of all the accounts that are being made.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Why serving ended before the broker closed its end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// More descriptors than any request has, or not with a frame's first bytes.
    #[error("the broker sent descriptors that no request can have")]
    Descriptors,
    /// The framing is broken.
    #[error("the broker broke the framing: {0}")]
    Frame(#[from] FrameError),
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Io(#[from] io::Error),
    /// The random number generator failed.
    #[error("the random number generator failed")]
    Random,
    /// The broker went in the middle of a frame.
    #[error("the broker went in the middle of a frame")]
    Truncated,
}

/// A frame that was read.
struct Task<'a> {
    id: u64,
    lease: Option<Lease<'a>>,
    since: Instant,
    request: Result<Read, VaultError>,
}

life_sys::secret_types!(Task<'static>);

/// A request, its descriptors, and the moment it was read.
struct Read {
    request: Request,
    descriptors: Vec<OwnedFd>,
    epoch: Epoch,
}

life_sys::secret_types!(Read);

struct Server {
    cards: Option<Cards>,
    inbox: Mutex<Inbox>,
    outbox: Outbox,
    keep: Keep,
    room: Room,
    slow: Slow,
    turns: Turns,
    unanswered: Unanswered,
    waiter: Waiter,
    failure: Mutex<Option<ServeError>>,
    protection: Protection,
}

life_sys::secret_types!(Server);

/// Serves one broker until it closes its end; then every key is wiped.
pub(crate) fn serve(
    socket: UnixStream,
    memory: Memory,
    scratch: Option<scratch::Protection>,
    sandbox: Sandbox,
) -> Result<(), ProcessError> {
    // What the sandbox forbids: to read how many processors there are, and to make descriptors.
    let quick_workers = thread::available_parallelism().map_or(2, usize::from).clamp(2, MAX_WORKERS);
    let waiter = Waiter::new().map_err(ServeError::Io)?;
    let pcscd = cards::service();
    let protection = sandbox.enter(pcscd.as_deref())?;
    let server = Server {
        cards: pcscd.map(|_| Cards::start(memory)).transpose()?,
        outbox: Outbox::new(socket.try_clone().map_err(ServeError::Io)?),
        inbox: Mutex::new(Inbox::new(socket)),
        keep: Keep::default(),
        room: Room::new(scratch),
        slow: Slow::default(),
        turns: Turns::default(),
        unanswered: Unanswered::default(),
        waiter,
        failure: Mutex::new(None),
        protection,
    };
    let gate = Gate::default();
    let serving = &server;
    thread::scope(|scope| {
        let closed = gate.close();
        closed.spawn(scope, &gate, "waiter", memory, move |desk| {
            serving.waiter.run(
                desk,
                |id| serving.unanswered.holds(id),
                |wait, secret| serving.awaited(wait, secret),
                |now| serving.keep.expire_pendings(now),
            );
        })?;
        if let Some(cards) = &serving.cards {
            closed.spawn(scope, &gate, "cards", memory, move |desk| serving.answer_about(cards, desk))?;
        }
        for worker in Worker::all_slow() {
            closed.spawn(scope, &gate, "slow", memory, move |desk| serving.work_slowly(desk, worker))?;
        }
        for worker in Worker::all_quick(quick_workers) {
            closed.spawn(scope, &gate, "quick", memory, move |desk| serving.work_quickly(desk, worker))?;
        }
        tracing::info!(pid = std::process::id(), "the vault is ready");
        closed.open();
        Ok::<_, ProcessError>(())
    })?;
    match server.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

impl Server {
    /// Takes turns at the socket: whoever has read a request answers it while another reads on.
    fn work_quickly(&self, desk: &Desk, worker: Worker) {
        // All seed at once, and the first that is ready serves.
        if let Err(error) = desk.seed() {
            crate::process::end(error);
        }
        let mut turn = Ok(Some(Answers::default()));
        loop {
            desk.clear();
            self.turns.end(worker);
            match turn {
                Ok(Some(answers)) => self.outbox.send(answers),
                Ok(None) => break,
                Err(error) => {
                    *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    break;
                }
            }
            turn = self.turn(worker);
        }
        self.shut_down();
    }

    /// Reads one request and does what it asks for. Never inlined: when it returns, all that it worked with is below the
    /// caller's frame and can be wiped before the answers go out.
    #[inline(never)]
    fn turn(&self, worker: Worker) -> Result<Option<Answers>, ServeError> {
        let Some(Task { id, lease, since, request }) = self.read(worker)? else { return Ok(None) };
        let mut answers = Answers::default();
        match request {
            Ok(request) => {
                // Slow work sets aside what it needs by itself, perhaps before this worker comes to its end.
                let lease = lease.filter(|_| !is_slow(request.request.kind()));
                self.take(worker, (id, since), request, &mut answers);
                drop(lease);
            }
            Err(error) => {
                tracing::warn!(%error, "a frame held no request");
                answers.add(id, &Response::Error(error));
            }
        }
        Ok(Some(answers))
    }

    /// Reads one request, and does what must be done in the order of reading: a request that was read before a lock
    /// or a cancellation must not get past it.
    fn read(&self, worker: Worker) -> Result<Option<Task<'_>>, ServeError> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(received) = inbox.next(&self.room)? else { return Ok(None) };
        let handle = received.request.as_ref().ok().and_then(|(request, _)| handle(request));
        // Before another worker can read a lock.
        self.turns.begin(worker, handle.unwrap_or(received.id));
        let epoch = self.keep.epoch();
        let request = received.request.and_then(|(request, descriptors)| {
            self.unanswered.note(received.id, &request)?;
            Ok(Read { request, descriptors, epoch })
        });
        Ok(Some(Task { id: received.id, lease: received.lease, since: Instant::now(), request }))
    }

    /// Answers a request at once, or passes it to those who take longer.
    fn take(&self, worker: Worker, (id, since): (u64, Instant), read: Read, answers: &mut Answers) {
        let Read { request, descriptors, epoch } = read;
        let kind = request.kind();
        let passed_on = match request {
            Request::CancelSecret { request } => {
                if self.unanswered.take(request) {
                    self.waiter.wake();
                    answered(answers, request, since, kind, None, WITHDRAWN);
                }
                answered(answers, id, since, kind, None, Response::Done);
                Ok(())
            }
            Request::LockAll | Request::LockUser { .. } => {
                let of = match request {
                    Request::LockUser { uid } => Some(uid),
                    _ => None,
                };
                for given_up in self.lock(worker, of, since) {
                    answered(answers, given_up, since, kind, None, WITHDRAWN);
                }
                answered(answers, id, since, kind, None, Response::Done);
                Ok(())
            }
            Request::GenerateAccount { uid, kind, algorithm, secret } => {
                let purpose = Purpose::Generate(NewAccount { uid, kind, algorithm });
                (self.keep.pending_room())
                    .and_then(|()| to_be(secret, descriptors))
                    .and_then(|begun| self.begin(id, since, purpose, begun))
                    .map_err(|error| (error, Claim::Shared))
            }
            Request::AwaitCards { seen } => {
                match &self.cards {
                    Some(cards) => cards.await_change((id, since), seen),
                    None => answered(answers, id, since, kind, None, Response::CardsChanged(0)),
                }
                Ok(())
            }
            Request::ListCards => match &self.cards {
                Some(cards) => cards.ask((id, since)).map_err(|error| (error, Claim::Ours)),
                None => {
                    answered(answers, id, since, kind, None, cards::none());
                    Ok(())
                }
            },
            Request::ExportSoftwareCertificate { pending, certificates, issuers } => {
                let work = SlowWork::Export { pending, certificates, issuers };
                let job = SlowJob { id, since, work, claim: Claim::Ours };
                self.slow.push(job).map_err(|error| (error, Claim::Ours))
            }
            Request::OpenSoftwareCertificate { pkcs12, secret, now, expected } => (self.keep.session_room())
                .and_then(|()| Timestamp::from_unix(now).map_err(|_| VaultError::Malformed))
                .and_then(|now| known(secret, descriptors).map(|begun| (now, begun)))
                .and_then(|(now, begun)| {
                    let certificate = PendingCertificate { pkcs12, now, expected, since: epoch };
                    self.begin(id, since, Purpose::Open(certificate), begun)
                })
                .map_err(|error| (error, Claim::Shared)),
            Request::Status => {
                answered(answers, id, since, kind, None, self.status());
                Ok(())
            }
            request => {
                let handle = handle(&request);
                let response = guarded(|| perform(&self.keep, request));
                if kind == RequestKind::Lock {
                    self.turns.settle(worker, |about| Some(about) == handle);
                }
                answered(answers, id, since, kind, handle, response);
                Ok(())
            }
        };
        if let Err((error, claim)) = passed_on {
            // Whoever gave it up has answered it.
            if matches!(claim, Claim::Ours) || self.unanswered.take(id) {
                answered(answers, id, since, kind, None, Response::Error(error));
            }
        }
    }

    /// Locks a user, or everybody. Returns when their keys are wiped, and with them what anybody at work on them, or on a
    /// passphrase that may be theirs, had of that; says which requests were given up by it.
    fn lock(&self, worker: Worker, of: Option<Uid>, since: Instant) -> Vec<u64> {
        let given_up = self.unanswered.take_all(of);
        let sessions = self.keep.lock_all(of);
        self.turns
            .settle(worker, |about| of.is_none() || sessions.contains(&about) || given_up.contains(&about));
        // What quick workers have passed on is in one of these places by now.
        self.waiter.settle();
        self.slow.drop_void(|id| !self.unanswered.holds(id));
        let (_, pendings) = self.keep.counts();
        let costly = of.is_some() || pendings > 0 || self.slow.keeps_accounts(&self.turns);
        // However many locks find the same work: a later one, read while the first waits, has no more time than that.
        let (workers, found) = self.slow.concerned(of, since);
        if !self.turns.settle_these(workers, costly.then(|| found + PATIENCE)) {
            tracing::warn!("locked, but slow work goes on that will come to nothing");
        }
        given_up
    }

    fn status(&self) -> Response {
        let (sessions, pendings) = self.keep.counts();
        let count = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Response::Status {
            pid: std::process::id(),
            sessions: count(sessions),
            pendings: count(pendings),
            memory: self.room.usage(),
            protection: self.protection,
        }
    }

    /// Sends everybody home and wipes every key; may be called more than once.
    fn shut_down(&self) {
        self.cards.iter().for_each(Cards::close);
        self.slow.close();
        self.waiter.close();
        self.keep.lock_all(None);
        self.keep.clear_pendings();
    }
}

/// Adds an answer, and has it logged.
fn answered(
    answers: &mut Answers,
    id: u64,
    since: Instant,
    kind: RequestKind,
    handle: Option<u64>,
    response: Response,
) {
    answers.add(id, &response);
    crate::log::answered(kind, handle, &response, since);
}

const WITHDRAWN: Response = Response::Error(VaultError::SecretWithdrawn);

/// Runs an operation; a panic in it, which no input should cause, ends this request and not the vault.
fn guarded(operation: impl FnOnce() -> Response) -> Response {
    guarded_with(|| (operation(), None)).0
}

fn guarded_with(
    operation: impl FnOnce() -> (Response, Option<PendingCertificate>),
) -> (Response, Option<PendingCertificate>) {
    catch_unwind(AssertUnwindSafe(operation)).unwrap_or((Response::Error(VaultError::Internal), None))
}

/// What takes long: it is passed on to who does nothing else.
fn is_slow(kind: RequestKind) -> bool {
    matches!(
        kind,
        RequestKind::ExportSoftwareCertificate
            | RequestKind::GenerateAccount
            | RequestKind::OpenSoftwareCertificate
    )
}

/// The handle a quick request names, for the log.
fn handle(request: &Request) -> Option<u64> {
    match request {
        Request::AnswerChallenge { pending, .. }
        | Request::CommitAccount { pending, .. }
        | Request::DiscardAccount { pending } => Some(pending.0),
        Request::Lock { session }
        | Request::Mac { session, .. }
        | Request::OpenRoot { session, .. }
        | Request::SignAttributes { session, .. }
        | Request::SignTls { session, .. }
        | Request::UnwrapContentKey { session, .. } => Some(session.0),
        _ => None,
    }
}
