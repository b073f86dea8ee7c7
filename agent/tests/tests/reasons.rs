//! Reasons that take more than a client to provoke: forged logs and envelopes, another user of the machine, a vault that
//! refuses, an agent that stops.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use life_e2e::agent::Clients;
use life_e2e::{Agent, Platform, Reason, User, binaries, forge, skip, users};
use life_envelope::root_seal::RootKeySeal;
use life_envelope::{Envelope, OwnKey, recipient};
use life_pki::{PrivateKey, Uid};
use life_proto::v1::{self, ParticipantKind};
use rusqlite::{Connection, params};
use rustix::process::Signal;
use tonic_types::StatusExt;

fn encrypt(from: &User, to: &User) -> v1::EncryptRequest {
    v1::EncryptRequest {
        user: from.name.clone(),
        recipients: vec![to.name.clone()],
        plaintext: b"finding".to_vec().into(),
        ..Default::default()
    }
}

fn decrypt(user: &User, envelope: Vec<u8>) -> v1::DecryptRequest {
    v1::DecryptRequest { user: user.name.clone(), envelope: envelope.into(), ..Default::default() }
}

#[tokio::test]
async fn another_user_of_the_machine_is_refused() {
    let root = rustix::process::geteuid().is_root();
    if !skip::needs("callers of another uid", "needs root to become one", root) {
        return;
    }
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    // Somebody opens every door to the socket; whose call it is counts all the same.
    let open = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    open(agent.dir(), 0o711);
    open(agent.socket().parent().unwrap(), 0o711);
    open(&agent.socket(), 0o666);
    let life = agent.dir().join("life");
    std::fs::copy(binaries::path("life"), &life).unwrap();
    open(&life, 0o755);
    let call = |uid: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", uid, "--regid", uid, "--clear-groups", "--"]).arg(&life);
        command.args(["status", "--json"]).env("LIFE_AGENT_SOCKET", agent.socket()).current_dir("/");
        command.stdin(Stdio::null()).output().unwrap()
    };
    assert!(call("0").status.success());
    let refused = call("65534");
    let error: serde_json::Value = serde_json::from_slice(&refused.stderr)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&refused.stderr)));
    assert_eq!((refused.status.code(), &error["error"]["reason"]), (Some(77), &"PERMISSION_DENIED".into()));
}

/// A user's root key, opened as its owner could: with the software certificate and the seal.
fn root_key(database: &Connection, user: &User) -> PrivateKey {
    let uid: Uid = user.uid().parse().unwrap();
    let seal: Vec<u8> = database
        .query_row("SELECT der FROM seal WHERE uid = ?1", [uid.as_bytes()], |row| row.get(0))
        .unwrap();
    let seal = forge::keys_of(user).iter().find_map(|key| RootKeySeal::open(&seal, key).ok()).unwrap();
    // EXPOSE: a key of the test's own.
    PrivateKey::from_pkcs8(seal.root_key.expose()).unwrap()
}

#[tokio::test]
async fn a_recipient_for_whom_nobody_vouches_is_told() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let clinic = User::ready(&mut clients, ParticipantKind::Institution).await;
    let patient = User::ready(&mut clients, ParticipantKind::Patient).await;
    let doctor = User::ready(&mut clients, ParticipantKind::HealthCareProfessional).await;
    let sealed = clients.crypto.encrypt(encrypt(&clinic, &patient)).await.unwrap().into_inner().envelope;

    // The patient wraps the content key for a stranger, past the agent, and says nothing.
    let database = Connection::open(platform.database()).unwrap();
    let root = root_key(&database, &patient);
    let mut envelope = Envelope::parse(&sealed).unwrap().into_owned();
    let own = [OwnKey { hash: root.public_key().hash(), issuer_serial: None }];
    let key = recipient::unwrap(envelope.find(&own).unwrap(), &root).unwrap();
    let stranger = root_key(&database, &doctor).public_key().clone();
    envelope.add_recipients(&key, &[stranger]).unwrap();
    let tampered = envelope.to_der();
    let refused = clients.crypto.decrypt(decrypt(&patient, tampered.clone())).await;
    assert_eq!(refused.reason(), "RECIPIENT_UNACCOUNTED");
    // To the stranger it is simply not meant for them.
    assert_eq!(clients.crypto.decrypt(decrypt(&doctor, tampered)).await.reason(), "RECIPIENT_MISMATCH");
    clients.crypto.decrypt(decrypt(&patient, sealed.to_vec())).await.unwrap();
}

#[tokio::test]
async fn a_signer_whom_the_log_does_not_know_is_no_sender() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let clinic = User::ready(&mut clients, ParticipantKind::Institution).await;
    let patient = User::register(&mut clients, ParticipantKind::Patient).await;
    let sealed = clients.crypto.encrypt(encrypt(&clinic, &patient)).await.unwrap().into_inner().envelope;

    // To somebody who meets the sender now, the platform shows an account with other keys.
    let uid: Uid = clinic.uid().parse().unwrap();
    let database = Connection::open(platform.database()).unwrap();
    database.execute("DELETE FROM log_entry WHERE uid = ?1", [uid.as_bytes()]).unwrap();
    for (position, der) in forge::account(uid).log.iter().enumerate() {
        let row = params![uid.as_bytes(), position as i64, der];
        database.execute("INSERT INTO log_entry (uid, position, der) VALUES (?1, ?2, ?3)", row).unwrap();
    }
    let reader = Agent::start(&platform);
    let mut clients = reader.clients().await;
    patient.unlock(&mut clients).await;
    let refused = clients.crypto.decrypt(decrypt(&patient, sealed.to_vec())).await;
    assert_eq!(refused.reason(), "SIGNER_UNKNOWN");
}

fn registering(registration: String) -> v1::RegisterUserRequest {
    let request = users::registering_with(ParticipantKind::Institution, b"quiet-granite-harbour");
    v1::RegisterUserRequest { registration, ..request }
}

#[tokio::test]
async fn a_registration_that_was_left_lying_is_over() {
    let platform = Platform::start_with(&["--approval", "registrar"]);
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let pending = users::register(&mut clients, registering(String::new())).await;
    assert_eq!(pending.reason(), "REGISTRATION_PENDING");
    let metadata = pending.unwrap_err().get_details_error_info().unwrap().metadata;
    let database = Connection::open(platform.database()).unwrap();
    assert_eq!(database.execute("UPDATE registration SET expires = created - 1", []).unwrap(), 1);
    let over = users::register(&mut clients, registering(metadata["registration"].clone())).await;
    assert_eq!(over.reason(), "REGISTRATION_EXPIRED");
}

#[tokio::test]
async fn who_watches_an_agent_that_stops_is_told_so() {
    let platform = Platform::start();
    let mut agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let mut events = clients.agent.watch_events(v1::WatchEventsRequest {}).await.unwrap().into_inner();
    events.message().await.unwrap().unwrap();
    agent.broker().signal(Signal::TERM);
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            if let Err(status) = events.message().await {
                return status;
            }
        }
    });
    assert_eq!(ended.await.expect("it hangs").reason(), "SHUTTING_DOWN");
}

/// Starts an agent whose vault refuses to sign, and answers other requests for what they did not ask.
async fn with_refusing_vault(platform: &Platform) -> (Agent, Clients) {
    let mut agent = Agent::prepare(platform, "");
    // What the agent starts may start others from its own folder only.
    let beside = |name: &str, program: &Path| {
        let copy = agent.dir().join(name);
        std::fs::copy(program, &copy).unwrap();
        copy
    };
    let program = beside("refusing", &std::env::current_exe().unwrap());
    let real = beside("life-vault", &binaries::path("life-vault"));
    let script = agent.dir().join("vault");
    let text = format!(
        "#!/bin/sh\nLIFE_REAL_VAULT='{}' exec '{}' --exact refusing::vault --ignored --nocapture --test-threads=1\n",
        real.display(),
        program.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o700)).unwrap();
    let config = agent.dir().join("agent.toml");
    let bound = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{bound}\n[vault]\nprogram = \"{}\"\n", script.display())).unwrap();
    agent.run();
    let clients = agent.clients().await;
    (agent, clients)
}

#[tokio::test]
async fn a_vault_that_refuses_or_answers_nonsense_is_a_fault_of_the_agent() {
    let platform = Platform::start();
    let good = Agent::start(&platform);
    let mut clients = good.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    let sealed = clients.crypto.encrypt(encrypt(&user, &user)).await.unwrap().into_inner().envelope;

    let (_agent, mut clients) = with_refusing_vault(&platform).await;
    user.unlock(&mut clients).await;
    let sign = v1::SignRequest { user: user.name.clone(), content: b"x".to_vec().into(), form: 0 };
    assert_eq!(clients.crypto.sign(sign).await.reason(), "SIGNING_FAILED");
    assert_eq!(clients.crypto.decrypt(decrypt(&user, sealed.to_vec())).await.reason(), "INTERNAL");
}

/// The vault of the test above: this very program, between the broker and a real vault.
mod refusing {
    use std::collections::HashMap;
    use std::io::{Read, Write};
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};
    use std::sync::{Arc, Mutex};

    use life_vault_protocol::{FrameDecoder, Request, Response, VaultError, encode_response};

    type Altered = Arc<Mutex<HashMap<u64, Response>>>;

    /// Hands on whole frames, as long as both ends are there. `alter` sees each and may give another.
    fn forward(mut from: UnixStream, mut to: UnixStream, alter: impl Fn(u64, &[u8]) -> Option<Vec<u8>>) {
        let mut decoder = FrameDecoder::new();
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut input = &buffer[..count];
            while let Some(frame) = decoder.next_frame(&mut input).unwrap() {
                // EXPOSE: a test's secrets.
                let body = frame.body.expose();
                let length = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
                let plain = || [&length[..], &frame.id.to_be_bytes(), body].concat();
                if to.write_all(&alter(frame.id, body).unwrap_or_else(plain)).is_err() {
                    return;
                }
            }
        }
        let _gone = to.shutdown(std::net::Shutdown::Both);
    }

    #[test]
    #[ignore = "it is the vault of another test"]
    fn vault() {
        let Some(real) = std::env::var_os("LIFE_REAL_VAULT") else { return };
        let broker = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut vault = Command::new(real).stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
        let altered = Altered::default();
        let (asked, from, to) = (altered.clone(), broker.try_clone().unwrap(), ours.try_clone().unwrap());
        std::thread::spawn(move || {
            forward(from, to, |id, body| {
                let answer = match Request::decode(body) {
                    Ok(Request::SignAttributes { .. }) => Response::Error(VaultError::AttributesRefused),
                    Ok(Request::UnwrapContentKey { .. }) => Response::Done,
                    _ => return None,
                };
                asked.lock().unwrap().insert(id, answer);
                None
            });
        });
        forward(ours, broker, |id, _| {
            let answer = altered.lock().unwrap().remove(&id)?;
            // EXPOSE: a test's secrets.
            Some(encode_response(id, &answer).unwrap().expose().to_vec())
        });
        let _ended = vault.wait();
    }
}
