//! Where the passphrase comes from: a descriptor with a ticket, a prompt, the request itself; and what ends a wait.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use life_e2e::agent::Clients;
use life_e2e::{Agent, Platform, Reason, User, users};
use life_proto::v1::secret::Source;
use life_proto::v1::unlock_response::Step;
use life_proto::v1::{self, ParticipantKind};
use life_sys::descriptors::send_with_fds;

fn asking(user: &User, source: Source) -> v1::UnlockRequest {
    v1::UnlockRequest { secret: Some(v1::Secret { source: Some(source) }), ..user.unlock_request() }
}

/// A pinentry of the test's own, which runs what stands in `on_getpin` when it is asked.
fn pinentry(folder: &std::path::Path, on_getpin: &str) -> String {
    let path = folder.join("pinentry");
    let script = format!(
        "#!/bin/sh\necho 'OK hello'\nwhile read -r line; do\ncase \"$line\" in\nGETPIN*) {on_getpin} ;;\n\
         BYE*) echo OK; exit 0 ;;\n*) echo OK ;;\nesac\ndone\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn closed_folder() -> tempfile::TempDir {
    let closed = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(closed).tempdir().unwrap()
}

async fn with_pinentry(on_getpin: &str) -> (Platform, Agent, tempfile::TempDir, Clients, User) {
    let folder = closed_folder();
    let program = pinentry(folder.path(), on_getpin);
    let platform = Platform::start();
    // What the agent starts writes where the agent does: to its spool, for one.
    let config = format!(
        "[agent]\nspool = {:?}\n[unlock]\npinentry = \"{program}\"\nticket_seconds = 2\n",
        folder.path()
    );
    let agent = Agent::start_with(&platform, &config);
    let mut clients = agent.clients().await;
    let user = User::register(&mut clients, ParticipantKind::Patient).await;
    (platform, agent, folder, clients, user)
}

fn prompt() -> Source {
    Source::Prompt(v1::PromptSource::default())
}

#[tokio::test]
async fn a_passphrase_goes_from_pinentry_to_the_vault() {
    let (_platform, _agent, _folder, mut clients, user) =
        with_pinentry("printf 'D quiet-granite-harbour-%%257731\\nOK\\n'").await;
    let identity = users::unlock(&mut clients, asking(&user, prompt())).await.unwrap();
    assert_eq!(identity.user, user.name);
}

#[tokio::test]
async fn a_person_who_cancels_is_told_so() {
    let (_platform, _agent, _folder, mut clients, user) =
        with_pinentry("echo 'ERR 83886179 Operation cancelled <Pinentry>'").await;
    assert_eq!(users::unlock(&mut clients, asking(&user, prompt())).await.reason(), "PROMPT_CANCELLED");
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_pre_empts_an_open_prompt_and_a_vanished_caller_closes_it() {
    let (_platform, agent, folder, mut clients, user) =
        with_pinentry("echo $$ > \"${0%/*}/asked\"; exec sleep 600").await;
    let asked = folder.path().join("asked");
    let wait_for_prompt = async || {
        while std::fs::read_to_string(&asked).map_or(true, |pid| !pid.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let pid = std::fs::read_to_string(&asked).unwrap();
        std::fs::remove_file(&asked).unwrap();
        pid.trim().parse::<u32>().unwrap()
    };
    for vanish in [false, true] {
        let mut asking_clients = agent.clients().await;
        let request = asking(&user, prompt());
        let unlocking = tokio::spawn(async move { users::unlock(&mut asking_clients, request).await });
        let pid = tokio::time::timeout(Duration::from_secs(10), wait_for_prompt()).await.unwrap();
        if vanish {
            unlocking.abort();
        } else {
            clients.agent.lock(v1::LockRequest {}).await.unwrap();
            let ended = tokio::time::timeout(Duration::from_secs(5), unlocking).await.unwrap().unwrap();
            assert_eq!(ended.reason(), "PROMPT_CANCELLED");
        }
        life_e2e::process::eventually("the prompt closes", Duration::from_secs(5), || {
            !life_e2e::process::is_alive(pid)
        });
    }
    // Nothing of it holds the vault up.
    user.unlock(&mut clients).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_one_prompt_at_a_time() {
    // A pinentry that notes when it finds another one open, and waits for a file before it answers.
    let on_getpin = "cd \"${0%/*}\"; if mkdir open; then while [ ! -e go ]; do sleep 0.02; done; rmdir open; \
         printf 'D quiet-granite-harbour-%%257731\\nOK\\n'; else touch overlap; echo 'ERR 1 overlap'; fi";
    let (_platform, _agent, traces, mut clients, one) = with_pinentry(on_getpin).await;
    let two = User::register(&mut clients, ParticipantKind::Institution).await;
    let calls = [one, two].map(|user| {
        let (mut clients, request) = (clients.clone(), asking(&user, prompt()));
        tokio::spawn(async move { users::unlock(&mut clients, request).await.map(|it| it.user == user.name) })
    });
    let end = Instant::now() + Duration::from_secs(10);
    while !traces.path().join("open").exists() {
        assert!(Instant::now() < end, "nobody is asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Time enough for the second prompt, if there were one.
    tokio::time::sleep(Duration::from_millis(300)).await;
    std::fs::write(traces.path().join("go"), "").unwrap();
    for call in calls {
        let ended = tokio::time::timeout(Duration::from_secs(20), call).await.expect("a prompt is forgotten");
        assert!(ended.unwrap().unwrap());
    }
    assert!(!traces.path().join("overlap").exists(), "two prompts were open at once");
}

async fn ticket(
    clients: &mut Clients,
    user: &User,
) -> (tonic::Streaming<v1::UnlockResponse>, v1::DescriptorTicket) {
    let request = asking(user, Source::Descriptor(v1::DescriptorSource {}));
    let mut answers = clients.credentials.unlock(request).await.unwrap().into_inner();
    match answers.message().await.unwrap().unwrap().step {
        Some(Step::Ticket(ticket)) => (answers, ticket),
        other => panic!("no ticket: {other:?}"),
    }
}

/// Hands a descriptor over; says whether it was taken.
fn hand_over(ticket: &v1::DescriptorTicket, secret: &[u8]) -> bool {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(secret).unwrap();
    drop(writer);
    let reader = OwnedFd::from(reader);
    let mut socket = UnixStream::connect(&ticket.socket).unwrap();
    assert_eq!(send_with_fds(&socket, &ticket.ticket, &[reader.as_fd()]).unwrap(), 32);
    let mut answer = [9];
    socket.read_exact(&mut answer).unwrap();
    answer == [0]
}

#[tokio::test]
async fn a_descriptor_comes_with_its_ticket_once_and_in_time() {
    let (_platform, _agent, _folder, mut clients, user) = with_pinentry("exit 1").await;
    let (mut answers, first) = ticket(&mut clients, &user).await;
    assert_eq!(first.ticket.len(), 32);
    assert!(hand_over(&first, &user.passphrase));
    assert!(matches!(answers.message().await.unwrap().unwrap().step, Some(Step::Identity(_))));
    assert!(!hand_over(&first, &user.passphrase), "a ticket is good once");

    let (mut answers, wrong) = ticket(&mut clients, &user).await;
    assert!(hand_over(&wrong, b"another passphrase"));
    assert_eq!(answers.message().await.unwrap_err().reason(), "WRONG_PASSPHRASE");

    // Nobody comes, and then somebody comes too late.
    let (mut answers, late) = ticket(&mut clients, &user).await;
    assert_eq!(answers.message().await.unwrap_err().reason(), "SECRET_TIMEOUT");
    assert!(!hand_over(&late, &user.passphrase));

    // A pinentry that dies.
    assert_eq!(users::unlock(&mut clients, asking(&user, prompt())).await.reason(), "PROMPT_UNAVAILABLE");
}
