//! Registration: begin, approval, keys with challenges, commit (FORMATS §8). Every step can be repeated.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use life_envelope::challenge;
use life_pki::account_log::Entry;
use life_pki::key::KeyAlgorithm;
use life_pki::{KeySlot, ParticipantKind, PublicKey, Timestamp, Uid};
use life_sys::secret::Key256;

use super::body::{self, json};
use super::directory::by_name;
use super::dto::{BeginRegistration, Challenges, Commit, Committed, RegistrationInfo};
use super::evidence::{check_seal, check_time, invalid, out_of_time};
use super::problem::{Problem, Reason};
use super::public::{issuer_list, needs_approval};
use super::state::{App, blocking};
use crate::authority::client::Certificates;
use crate::authority::evidence::{CheckedEvidence, Evidence, Keys};
use crate::config::seconds;
use crate::encoding::{Base64, random};
use crate::error::Error;
use crate::store::accounts;
use crate::store::registrations::{self, Accepted, Challenge, Proving, Registration, State as Progress};

/// What the proof in the first request covers begins with.
pub const BEGIN_PREFIX: &[u8] = b"LIFE registration v1\0";

/// Begins a registration, or answers the same key as before.
pub(super) async fn begin(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let begin: BeginRegistration = body::parse(&parts.headers, &body)?;
    let kind = ParticipantKind::from_name(&begin.kind)
        .ok_or_else(|| Problem::new(Reason::InvalidArgument, "GET /v1/participant-kinds lists the kinds"))?;
    let key = PublicKey::from_spki(&begin.key.0)
        .ok()
        .filter(|key| key.algorithm() == KeyAlgorithm::P256)
        .ok_or_else(|| Problem::new(Reason::InvalidArgument, "key is a P-256 SubjectPublicKeyInfo"))?;
    key.verify(&[BEGIN_PREFIX, &begin.key.0].concat(), &begin.proof.0)
        .map_err(|_| Problem::new(Reason::ProofInvalid, "proof is the key's signature over itself"))?;
    let (status, registration) = blocking(&app, move |app| begin_with(app, kind, &begin.key.0)).await?;
    json(status, &info(&registration))
}

fn begin_with(app: &App, kind: ParticipantKind, key: &[u8]) -> Result<(StatusCode, Registration), Problem> {
    let now = app.clock.now();
    let approval = needs_approval(app.config.approval, kind);
    let (state, lifetime) = if approval {
        (Progress::PendingApproval, app.config.timeouts.approval)
    } else {
        (Progress::Open, app.config.timeouts.registration)
    };
    let new = Registration {
        id: random()?,
        uid: Uid::from_random(random()?),
        kind,
        client_key: key.to_vec(),
        state,
        created: now,
        expires: later(now, lifetime),
        proving: None,
        accepted: None,
    };
    app.database.write(|tx| {
        registrations::sweep(tx, now)?;
        match registrations::find_by_key(tx, key)? {
            Some(known) if known.kind == kind => Ok((StatusCode::OK, known)),
            Some(_) => {
                let detail = "this key began a registration of another kind; make a new key";
                Err(Problem::new(Reason::RegistrationConflict, detail))
            }
            None => {
                registrations::insert(tx, &new)?;
                Ok((StatusCode::CREATED, new))
            }
        }
    })
}

pub(super) async fn show(Extension(registration): Extension<Arc<Registration>>) -> Result<Response, Problem> {
    json(StatusCode::OK, &info(&registration))
}

/// Takes the keys and answers with challenges; the same keys get the same challenges.
pub(super) async fn keys(
    State(app): State<Arc<App>>,
    Extension(registration): Extension<Arc<Registration>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let keys: Keys = body::parse(&parts.headers, &body)?;
    let [encryption, root] = blocking(&app, move |app| take_keys(app, &registration, keys)).await?;
    let challenges = [(KeySlot::Encryption, encryption), (KeySlot::Root, root)];
    let challenges = challenges.map(|(slot, envelope)| (slot.name(), Base64(envelope)));
    json(StatusCode::OK, &Challenges { challenges: challenges.into() })
}

/// The challenges for these keys, of the encryption key and the root credential.
fn take_keys(app: &App, registration: &Registration, keys: Keys) -> Result<[Vec<u8>; 2], Problem> {
    let challenges = |proving: &Proving| [proving.encryption.envelope.clone(), proving.root.envelope.clone()];
    if let Some(proving) = registration.proving.as_ref().filter(|proving| proving.keys == keys) {
        return Ok(challenges(proving));
    }
    require_open(registration)?;
    let checked = keys.check(registration.uid).map_err(|fault| invalid(&fault))?;
    let hashes = checked.slots().map(|(_, key)| key.hash());
    let proving = Proving {
        keys,
        encryption: challenge_for(registration.uid, KeySlot::Encryption, &checked.encryption)?,
        root: challenge_for(registration.uid, KeySlot::Root, &checked.root)?,
    };
    app.database.write(|tx| {
        let current = registrations::find(tx, &registration.id)?.ok_or_else(gone)?;
        require_open(&current)?;
        if accounts::any_key_known(tx, &hashes)? {
            return Err(Problem::new(Reason::KeyInUse, "make new keys for a new account"));
        }
        registrations::set_proving(tx, &registration.id, &proving)?;
        Ok(challenges(&proving))
    })
}

fn challenge_for(uid: Uid, slot: KeySlot, key: &PublicKey) -> Result<Challenge, Problem> {
    let nonce = Key256::take(&mut random()?);
    // EXPOSE: to seal it to the key that is to be proven.
    let envelope =
        challenge::seal(nonce.expose(), uid, slot, key).map_err(|error| Problem::internal(&error))?;
    Ok(Challenge { nonce, envelope })
}

/// Checks everything, makes it durable, has certificates issued, and makes the account, in this order.
///
/// A commit that was accepted can be repeated for ever: after a crash, and while the CA is away.
pub(super) async fn commit(
    State(app): State<Arc<App>>,
    Extension(registration): Extension<Arc<Registration>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let commit: Commit = body::parse(&parts.headers, &body)?;
    let certificates = blocking(&app, move |app| {
        let (accepted, checked) = accept(app, &registration, commit)?;
        complete(app, &registration, &accepted, &checked)
    });
    let certificates = by_name(certificates.await?);
    json(StatusCode::OK, &Committed { certificates, issuers: issuer_list(&app) })
}

fn accept(
    app: &App,
    registration: &Registration,
    commit: Commit,
) -> Result<(Accepted, CheckedEvidence), Problem> {
    if registration.state != Progress::Committed {
        require_approved(registration)?;
    }
    let proving = registration
        .proving
        .as_ref()
        .ok_or_else(|| Problem::new(Reason::KeysMissing, "PUT the keys and open their challenges first"))?;
    check_answers(proving, &commit)?;
    let evidence_of = Evidence { keys: proving.keys.clone(), log: commit.log.clone() };
    let now = app.clock.now();
    let checked = evidence_of.check(registration.uid, now).map_err(|fault| match fault {
        fault if fault.is_clock_skew() => out_of_time(now),
        fault => invalid(&fault),
    })?;
    check_seal(&commit.seal.0, &checked.credential.keys.encryption.0)?;
    if checked.state.kind() != registration.kind {
        return Err(invalid(&"the account log names another kind of participant"));
    }
    let [genesis, first_root] =
        <[Base64; 2]>::try_from(commit.log).map_err(|_| invalid(&"a registration's log has two entries"))?;
    check_times(app, registration, [&genesis.0, &first_root.0])?;
    let accepted = Accepted { log: [genesis.0, first_root.0], seal: commit.seal.0 };
    let hashes = checked.keys.slots().map(|(_, key)| key.hash());
    app.database.write(|tx| {
        let current = registrations::find(tx, &registration.id)?.ok_or_else(gone)?;
        match &current.accepted {
            Some(known) if *known == accepted => return Ok(()),
            Some(_) => return Err(conflict()),
            None => {}
        }
        if current.proving.as_ref().map(|proving| &proving.keys) != Some(&proving.keys) {
            return Err(conflict());
        }
        if !accounts::claim(tx, registration.uid, &hashes, checked.credential.keys.id)? {
            return Err(Problem::new(
                Reason::KeyInUse,
                "make new keys and a new credential id for a new account",
            ));
        }
        Ok(registrations::set_accepted(tx, &registration.id, &accepted)?)
    })?;
    Ok((accepted, checked))
}

fn complete(
    app: &App,
    registration: &Registration,
    accepted: &Accepted,
    checked: &CheckedEvidence,
) -> Result<Certificates, Problem> {
    let (current, issued) = app.database.read(|connection| {
        let current = registrations::find(connection, &registration.id)?.ok_or_else(gone)?;
        let issued = accounts::certificates(connection, registration.uid, checked.credential.keys.id)?;
        Ok::<_, Problem>((current, issued))
    })?;
    if current.state == Progress::Committed {
        return Ok(issued);
    }
    let certificates = app.ca.issue(registration.uid, current.evidence().ok_or_else(gone)?)?;
    if certificates.len() != KeySlot::ALL.len() {
        return Err(Error::CaRefused("the answer lacks a certificate".to_owned()).into());
    }
    let now = app.clock.now();
    app.database.write(|tx| {
        let current = registrations::find(tx, &registration.id)?.ok_or_else(gone)?;
        if current.state != Progress::Committed {
            accounts::create(tx, registration, accepted, checked, &certificates, now)?;
            registrations::set_state(tx, &registration.id, Progress::Committed, registration.expires)?;
        }
        Ok::<_, Problem>(())
    })?;
    Ok(certificates)
}

fn check_answers(proving: &Proving, commit: &Commit) -> Result<(), Problem> {
    // Both are compared, in constant time, before either is judged.
    let right = |challenge: &Challenge, answer: &Base64| {
        Key256::from_slice(&answer.0).is_some_and(|answer| challenge.nonce.ct_eq(&answer))
    };
    let encryption = right(&proving.encryption, &commit.answers.encryption);
    let root = right(&proving.root, &commit.answers.root);
    if encryption & root { Ok(()) } else { Err(invalid(&"an answer is not the nonce of its challenge")) }
}

fn check_times(app: &App, registration: &Registration, log: [&[u8]; 2]) -> Result<(), Problem> {
    if registration.accepted.is_some() {
        return Ok(());
    }
    let now = app.clock.now();
    for entry in log {
        let entry = Entry::from_der(entry).map_err(|fault| invalid(&fault))?;
        check_time(&entry, registration.created, now)?;
    }
    Ok(())
}

fn require_approved(registration: &Registration) -> Result<(), Problem> {
    match registration.state {
        Progress::Open | Progress::Committed => Ok(()),
        Progress::PendingApproval => {
            let detail = "ask again later, or ask the platform's operator";
            Err(Problem::new(Reason::RegistrationPending, detail).retry_after(30))
        }
        Progress::Refused => {
            Err(Problem::new(Reason::RegistrationRefused, "ask the platform's operator why"))
        }
    }
}

fn require_open(registration: &Registration) -> Result<(), Problem> {
    require_approved(registration)?;
    if registration.accepted.is_some() || registration.state == Progress::Committed {
        return Err(conflict());
    }
    Ok(())
}

fn info(registration: &Registration) -> RegistrationInfo {
    RegistrationInfo {
        registration: hex::encode(registration.id),
        uid: registration.uid.to_string(),
        state: registration.state.name(),
        expire_time: registration.expires.to_string(),
    }
}

fn later(now: Timestamp, seconds: u64) -> Timestamp {
    now.plus(u32::try_from(seconds).unwrap_or(u32::MAX))
}

fn conflict() -> Problem {
    Problem::new(Reason::RegistrationConflict, "an accepted commit can only be repeated as it was")
}

fn gone() -> Problem {
    Problem::new(Reason::RegistrationExpired, "begin a new registration")
}
