//! The agent under a service manager: sockets that were opened for it, and what it tells (sd_notify(3)).
//!
//! systemd itself need not run: `systemd-socket-activate` opens the sockets, and the test is the manager that listens.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use life_e2e::dev::{life, text};
use life_e2e::process::{Process, eventually, signal_pid};
use life_e2e::{Agent, Platform, User, binaries, skip};
use life_proto::v1::ParticipantKind;
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(20);

/// Opens the sockets, and starts the agent at the first connection, in the same process.
fn activated(agent: &Agent, sockets: &[PathBuf]) -> Process {
    let run = agent.socket().parent().unwrap().to_path_buf();
    std::fs::create_dir_all(&run).unwrap();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o700)).unwrap();
    let log = std::fs::OpenOptions::new().create(true).append(true).open(agent.dir().join("agent.log"));
    let mut command = Command::new("systemd-socket-activate");
    for socket in sockets {
        command.arg("-l").arg(socket);
    }
    // It passes on no more of its environment than it is told to.
    let config = agent.dir().join("agent.toml");
    command.arg(format!("--setenv=LIFE_CONFIG={}", config.display()));
    command.arg(format!("--setenv=LIFE_STATE_DIR={}", agent.state().display()));
    command.arg(binaries::path("life-agentd"));
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.unwrap()).spawn();
    let process = Process::new(started.unwrap());
    eventually("the sockets are open", PATIENCE, || {
        agent.log().matches("Listening on").count() == sockets.len()
    });
    process
}

fn both(agent: &Agent) -> [PathBuf; 2] {
    [agent.socket(), agent.socket().with_file_name("fd.sock")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_clients_start_the_agent_and_are_answered() {
    let platform = Platform::start();
    let agent = Agent::prepare(&platform, "");
    let mut sockets = both(&agent);
    // Their order says nothing.
    sockets.reverse();
    let mut process = activated(&agent, &sockets);

    // All connect before there is an agent, or while it starts; none is lost.
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut command = life(["status", "--json", "--socket"]);
            command.arg(agent.socket()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for client in clients {
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "{}{}", text(&output.stderr), agent.log());
    }

    let mut clients = agent.clients().await;
    let status = clients.status().await;
    assert_eq!(status.broker.unwrap().pid, process.pid());
    assert_eq!(status.descriptor_socket, both(&agent)[1].to_str().unwrap());

    // The second socket works as well: a passphrase takes its way through it.
    let user = User::register(&mut clients, ParticipantKind::Patient).await;
    std::fs::write(agent.dir().join("me.p12"), &user.pkcs12).unwrap();
    std::fs::write(agent.dir().join("passphrase"), &user.passphrase).unwrap();
    let output = life(["unlock", "--socket"])
        .arg(agent.socket())
        .arg(agent.dir().join("me.p12"))
        .arg("--passphrase-file")
        .arg(agent.dir().join("passphrase"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(clients.status().await.identities.len(), 1);

    // The sockets are not the agent's: it leaves them when it ends.
    process.signal(Signal::TERM);
    assert_eq!(process.wait(PATIENCE).expect("it does not end").code(), Some(0), "{}", agent.log());
    for socket in both(&agent) {
        assert!(socket.symlink_metadata().unwrap().file_type().is_socket());
    }
}

#[tokio::test]
async fn a_socket_that_others_can_open_is_refused() {
    let platform = Platform::start();
    let agent = Agent::prepare(&platform, "");
    let mut process = activated(&agent, &both(&agent));
    std::fs::set_permissions(agent.socket(), std::fs::Permissions::from_mode(0o660)).unwrap();
    let _client = std::os::unix::net::UnixStream::connect(agent.socket()).unwrap();
    let status = process.wait(PATIENCE).expect("it serves what others can open");
    assert_eq!(status.code(), Some(78), "{}", agent.log());
    assert!(agent.log().contains("0600"), "{}", agent.log());
}

#[tokio::test]
async fn one_agent_serves_a_path_whoever_opened_it() {
    let platform = Platform::start();
    let mut agent = Agent::start(&platform);
    // As systemd does, the tool takes the path away from who serves it.
    for socket in both(&agent) {
        std::fs::remove_file(socket).unwrap();
    }
    let mut process = activated(&agent, &both(&agent));
    let _client = std::os::unix::net::UnixStream::connect(agent.socket()).unwrap();
    let status = process.wait(PATIENCE).expect("two agents have the same state");
    assert_eq!(status.code(), Some(69), "{}", agent.log());
    agent.broker().signal(Signal::TERM);
    assert!(agent.broker().wait(PATIENCE).is_some());
    assert!(agent.socket().exists(), "the older agent took its successor's socket away");
}

/// The manager's end.
struct Manager(UnixDatagram);

impl Manager {
    /// The next message; none when there is none for a while.
    fn next(&self, patience: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(patience)).unwrap();
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).ok()?;
        Some(text(&message[..length]))
    }

    /// The first message from now on that has a line which starts like this.
    fn until(&self, start: &str) -> String {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(message) = self.next(Duration::from_millis(100))
                && message.lines().any(|line| line.starts_with(start))
            {
                return message;
            }
        }
        panic!("no {start} came")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manager_learns_how_the_agent_is() {
    const PERIOD: Duration = Duration::from_millis(1500);
    let platform = Platform::start();
    let agent = Agent::prepare(&platform, "");
    let path = agent.dir().join("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    let log = std::fs::File::create(agent.dir().join("agent.log")).unwrap();
    let mut command = agent.command();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", PERIOD.as_micros().to_string()).stderr(log);
    let mut process = Process::new(command.spawn().unwrap());

    assert!(manager.until("READY=1").contains("STATUS=Nobody is unlocked"));
    let mut clients = agent.clients().await;
    let vault = clients.status().await.vault.expect("ready without a vault").pid;
    manager.until("WATCHDOG=1");
    let environment = std::fs::read(format!("/proc/{vault}/environ"));
    if skip::needs("what the vault learns of the manager", "only root may look", environment.is_ok()) {
        assert_eq!(text(&environment.unwrap()), "");
    }

    // Nobody reads meanwhile: messages pile up, and do not hold the agent up.
    User::ready(&mut clients, ParticipantKind::Patient).await;
    manager.until("STATUS=1 user is unlocked");

    process.signal(Signal::HUP);
    assert!(manager.until("RELOADING=1").contains("\nMONOTONIC_USEC="));
    manager.until("READY=1");

    // Signs of life stand for a vault that answers, and come again with it.
    let silences = || agent.log().matches("no sign of life").count();
    let before = silences();
    signal_pid(vault, Signal::STOP);
    eventually("the silence is logged", PATIENCE, || silences() > before);
    while manager.next(Duration::from_millis(1)).is_some() {}
    let end = Instant::now() + 2 * PERIOD;
    while Instant::now() < end {
        let message = manager.next(Duration::from_millis(50)).unwrap_or_default();
        assert!(!message.contains("WATCHDOG=1"), "a sign of life without a vault");
    }
    signal_pid(vault, Signal::CONT);
    manager.until("WATCHDOG=1");
    assert_eq!(clients.vault_pid().await, vault);

    process.signal(Signal::TERM);
    let message = manager.until("STOPPING=1");
    // Ten seconds for the calls that run, ten more for all else.
    assert!(message.contains("\nEXTEND_TIMEOUT_USEC=20000000\n"), "{message}");
    assert_eq!(process.wait(PATIENCE).expect("it does not end").code(), Some(0), "{}", agent.log());
}
