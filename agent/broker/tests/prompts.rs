//! Prompts: what they say, who may open one where, and what ends them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use life_e2e::agent::Clients;
use life_e2e::process::{eventually, is_alive};
use life_e2e::{Agent, Platform, Reason, User, users};
use life_proto::v1::secret::Source;
use life_proto::v1::{self, ParticipantKind};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::task::JoinHandle;

const LIMIT: Duration = Duration::from_secs(20);

struct Scene {
    _platform: Platform,
    agent: Agent,
    folder: tempfile::TempDir,
    clients: Clients,
    user: User,
}

/// A pinentry of the test's own, which notes what it is told and runs what stands in `on_getpin` when it is asked.
async fn scene(on_getpin: &str, config: &str) -> Scene {
    let closed = fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().permissions(closed).tempdir().unwrap();
    let path = folder.path().join("pinentry");
    let script = format!(
        "#!/bin/sh\nhere=${{0%/*}}\necho $$ >>\"$here/pids\"\necho 'OK hello'\nwhile read -r line; do\n\
         printf '%s\\n' \"$line\" >>\"$here/lines\"\ncase \"$line\" in\nGETPIN*) {on_getpin} ;;\n*) echo OK ;;\nesac\ndone\n"
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let platform = Platform::start();
    // What the agent starts writes where the agent does: the notes go to its spool.
    let spool = folder.path().display();
    let config =
        format!("[agent]\nspool = \"{spool}\"\n[unlock]\npinentry = \"{}\"\n{config}", path.display());
    let agent = Agent::start_with(&platform, &config);
    let mut clients = agent.clients().await;
    let user = User::register(&mut clients, ParticipantKind::Patient).await;
    Scene { _platform: platform, agent, folder, clients, user }
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lines(&self) -> String {
        fs::read_to_string(self.path("lines")).unwrap_or_default()
    }

    fn request(&self, place: v1::PromptSource) -> v1::UnlockRequest {
        let secret = Some(v1::Secret { source: Some(Source::Prompt(place)) });
        v1::UnlockRequest { user: self.user.name.clone(), secret, ..self.user.unlock_request() }
    }

    async fn prompt(&mut self) -> Result<v1::UnlockedIdentity, tonic::Status> {
        let request = self.request(v1::PromptSource::default());
        users::unlock(&mut self.clients, request).await
    }

    fn prompt_aside(&self) -> JoinHandle<Result<v1::UnlockedIdentity, tonic::Status>> {
        let (mut clients, request) = (self.clients.clone(), self.request(v1::PromptSource::default()));
        tokio::spawn(async move { users::unlock(&mut clients, request).await })
    }

    /// The pinentry that was asked for its secret.
    async fn asked(&self) -> u32 {
        let asking = || self.lines().lines().any(|line| line.starts_with("GETPIN"));
        tokio::time::timeout(LIMIT, async {
            while !asking() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("nobody is asked");
        fs::read_to_string(self.path("pids")).unwrap().lines().last().unwrap().parse().unwrap()
    }
}

const FOREVER: &str = "exec sleep 600";

#[tokio::test]
async fn a_prompt_says_what_is_opened_for_whom_and_who_asks() {
    let mut scene = scene("printf 'D quiet-granite-harbour-%%257731\\nOK\\n'", "prompt_seconds = 77\n").await;
    scene.prompt().await.unwrap();
    let lines = scene.lines();
    let description = lines.lines().find_map(|line| line.strip_prefix("SETDESC ")).unwrap();
    let own = std::env::current_exe().unwrap().canonicalize().unwrap();
    let said = description.replace("%0A", "\n").replace("%25", "%");
    assert!(said.contains("opens a software certificate"), "{said}");
    assert!(
        said.contains(&format!("Asked for by “{}” (process {})", own.display(), std::process::id())),
        "{said}"
    );
    assert!(said.contains("started by “/"), "{said}");
    assert!(said.contains("3 tries within 77 seconds"), "{said}");
    assert!(said.contains(&format!("Of the user {}, says the program", scene.user.uid())), "{said}");
    assert!(said.contains("The file, says the program: “praxis.p12”"), "{said}");
    assert!(lines.contains("SETTIMEOUT 77\n"), "{lines}");
}

#[tokio::test]
async fn a_person_has_three_tries() {
    let answers = "if [ -e \"$here/second\" ]; then printf 'D quiet-granite-harbour-%%257731\\nOK\\n'; else touch \
                   \"$here/second\"; printf 'D wrong\\nOK\\n'; fi";
    let mut first = scene(answers, "").await;
    first.prompt().await.unwrap();
    assert!(first.lines().contains("SETERROR Wrong passphrase. Try 2 of 3\n"), "{}", first.lines());

    let mut never = scene("printf 'D wrong\\nOK\\n'", "").await;
    assert_eq!(never.prompt().await.reason(), "WRONG_PASSPHRASE");
    assert_eq!(never.lines().matches("GETPIN").count(), 3);
}

#[tokio::test]
async fn pinentries_that_do_not_answer_or_do_not_stop_are_ended() {
    for (on_getpin, reason) in [
        (FOREVER, "SECRET_TIMEOUT"),
        ("yes 'S flood'", "PROMPT_UNAVAILABLE"),
        ("yes | tr -d '\\n'", "PROMPT_UNAVAILABLE"),
        ("kill -9 $$", "PROMPT_UNAVAILABLE"),
        ("trap '' TERM; while :; do sleep 1; done", "SECRET_TIMEOUT"),
    ] {
        let mut scene = scene(on_getpin, "prompt_seconds = 2\n").await;
        assert_eq!(scene.prompt().await.reason(), reason, "{on_getpin}");
        let pid = scene.asked().await;
        eventually("the pinentry ends", LIMIT, || !is_alive(pid));
        scene.user.unlock(&mut scene.clients).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinentry_ends_with_the_broker_however_that_ends() {
    let mut scene = scene(FOREVER, "").await;
    let call = scene.prompt_aside();
    let pid = scene.asked().await;
    scene.agent.kill();
    eventually("the pinentry ends", LIMIT, || !is_alive(pid));
    assert!(call.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_ends_the_prompts_that_wait_and_no_further_one_opens() {
    let mut scene = scene(FOREVER, "").await;
    let open = scene.prompt_aside();
    let pid = scene.asked().await;
    // Eight may wait: of nine more, one is refused.
    let mut waiting: Vec<_> = (0..9).map(|_| scene.prompt_aside()).collect();
    let refused = async {
        loop {
            if let Some(at) = waiting.iter().position(JoinHandle::is_finished) {
                return waiting.remove(at).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let refused = tokio::time::timeout(LIMIT, refused).await.unwrap();
    assert_eq!(refused.reason(), "RESOURCE_EXHAUSTED");

    scene.clients.agent.lock(v1::LockRequest {}).await.unwrap();
    for call in waiting.into_iter().chain([open]) {
        let ended = tokio::time::timeout(LIMIT, call).await.unwrap().unwrap();
        assert_eq!(ended.reason(), "PROMPT_CANCELLED");
    }
    eventually("the prompt closes", LIMIT, || !is_alive(pid));
    assert_eq!(fs::read_to_string(scene.path("pids")).unwrap().lines().count(), 1, "one after the lock");

    // Locking one user ends that user's prompt alone.
    fs::remove_file(scene.path("lines")).unwrap();
    let call = scene.prompt_aside();
    scene.asked().await;
    let other = v1::LockCredentialRequest { user: "users/123e4567-e89b-42d3-a456-426614174000".to_owned() };
    scene.clients.credentials.lock(other).await.unwrap();
    assert!(!call.is_finished());
    let own = v1::LockCredentialRequest { user: scene.user.name.clone() };
    scene.clients.credentials.lock(own).await.unwrap();
    let ended = tokio::time::timeout(LIMIT, call).await.unwrap().unwrap();
    assert_eq!(ended.reason(), "PROMPT_CANCELLED");
}

#[tokio::test]
async fn a_terminal_that_is_not_the_callers_is_refused() {
    let mut scene = scene(FOREVER, "").await;
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let own = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    for (display, terminal) in
        [("", own.as_str()), ("", "/dev/null"), ("", "/etc/passwd"), ("evil.example:0", ""), ("--help", "")]
    {
        let place = v1::PromptSource { display: display.to_owned(), terminal: terminal.to_owned() };
        let request = scene.request(place);
        let refused = users::unlock(&mut scene.clients, request).await;
        assert_eq!(refused.reason(), "INVALID_ARGUMENT", "{display} {terminal}");
    }
    assert!(!scene.path("pids").exists(), "a pinentry was started");
}

/// Registers with a source, handing the descriptor over when its ticket comes.
async fn register(
    clients: &mut Clients,
    source: v1::new_secret::Source,
    descriptor: Option<std::os::fd::OwnedFd>,
) -> Result<v1::RegisteredUser, tonic::Status> {
    use v1::register_user_response::Step;
    let request = users::registering(ParticipantKind::Patient, source);
    let mut answers = clients.accounts.register_user(request).await?.into_inner();
    let mut descriptor = descriptor;
    while let Some(answer) = answers.message().await? {
        match answer.step.unwrap() {
            Step::Ticket(ticket) => users::hand_over(&ticket, &descriptor.take().unwrap()),
            Step::Registered(registered) => return Ok(registered),
        }
    }
    panic!("no result")
}

#[tokio::test]
async fn a_new_passphrase_comes_by_any_way_but_inline_where_that_is_forbidden() {
    use std::io::{Read, Write};
    use v1::new_secret::Source as New;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinentry");
    let script = "#!/bin/sh\necho OK\nwhile read -r line; do case \"$line\" in GETPIN*) printf 'D the passphrase of a person\\nOK\\n' ;;\
                  *) echo OK ;; esac; done\n";
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let config = format!("[unlock]\npinentry = \"{}\"\ninline_secrets = \"forbid\"\n", path.display());
    let platform = Platform::start();
    let agent = Agent::start_with(&platform, &config);
    let mut clients = agent.clients().await;

    let inline = New::Inline(b"long enough passphrase".to_vec());
    assert_eq!(register(&mut clients, inline, None).await.map(drop).reason(), "SECRET_SOURCE_FORBIDDEN");
    let pipe = |text: &str| {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        Some(reader.into())
    };
    let descriptor = |twice| New::Descriptor(v1::NewDescriptorSource { twice });
    for (source, text, reason) in [
        (descriptor(false), "eleven char", "PASSPHRASE_TOO_SHORT"),
        (descriptor(true), "long enough one\nlong enough two\n", "INVALID_ARGUMENT"),
    ] {
        assert_eq!(register(&mut clients, source, pipe(text)).await.map(drop).reason(), reason);
    }
    let twice = "long enough passphrase\nlong enough passphrase\n";
    let (mut reader, writer) = std::io::pipe().unwrap();
    let registered = [
        register(&mut clients, descriptor(true), pipe(twice)).await.unwrap(),
        register(&mut clients, New::Prompt(v1::PromptSource::default()), None).await.unwrap(),
        register(&mut clients, New::Generated(v1::GeneratedSource {}), Some(writer.into())).await.unwrap(),
    ];
    let mut made = String::new();
    reader.read_to_string(&mut made).unwrap();
    assert_eq!(made.len(), 34);
    for (registered, passphrase) in
        registered.into_iter().zip(["long enough passphrase", "the passphrase of a person", &made])
    {
        let user = User {
            name: registered.user.unwrap().name,
            pkcs12: registered.pkcs12.to_vec(),
            passphrase: passphrase.as_bytes().to_vec(),
        };
        assert_eq!(
            users::unlock(&mut clients, user.unlock_request()).await.reason(),
            "SECRET_SOURCE_FORBIDDEN"
        );
        users::unlock_by_descriptor(&mut clients, &user).await.unwrap();
    }
}
