//! An agent of the test's own.

use std::fmt::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use life_proto::v1;
use life_proto::v1::accounts_client::AccountsClient;
use life_proto::v1::agent_client::AgentClient;
use life_proto::v1::api_client::ApiClient;
use life_proto::v1::credentials_client::CredentialsClient;
use life_proto::v1::crypto_client::CryptoClient;
use life_proto::v1::directory_client::DirectoryClient;
use life_proto::v1::documents_client::DocumentsClient;
use life_proto::v1::messages_client::MessagesClient;
use rustix::process::{Uid, geteuid};
use rustix::thread::set_thread_res_uid;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::process::Process;
use crate::{Platform, binaries};

/// The user without privileges, and the user's group: nobody and nogroup.
pub const NOBODY: u32 = 65534;
/// How much a usual user may lock into memory, in bytes.
pub const LOCKED_LIMIT: u64 = 8 << 20;

/// A running agent.
pub struct Agent {
    dir: TempDir,
    broker: Option<Process>,
    clock: Option<String>,
    mount: Option<String>,
    memlock: Option<usize>,
    confined: bool,
}

impl Agent {
    /// Starts an agent bound to a platform.
    #[must_use]
    pub fn start(platform: &Platform) -> Self {
        Self::start_with(platform, "")
    }

    /// Starts an agent whose configuration has further TOML.
    #[must_use]
    pub fn start_with(platform: &Platform, extra: &str) -> Self {
        let mut agent = Self::prepare(platform, extra);
        agent.run();
        agent
    }

    /// Makes the folder and the configuration without starting anything.
    #[must_use]
    pub fn prepare(platform: &Platform, extra: &str) -> Self {
        Self::prepare_at(&platform.origin, platform, extra)
    }

    /// As [`Agent::prepare`], with another way to the platform.
    #[must_use]
    pub fn prepare_at(origin: &str, platform: &Platform, extra: &str) -> Self {
        let dir = TempDir::with_prefix("life-agent-").unwrap();
        let mut config = String::new();
        write!(
            config,
            "{extra}\n[platform]\norigin = \"{origin}\"\nca_fingerprint = \"{}\"\n",
            platform.ca_fingerprint
        )
        .unwrap();
        std::fs::write(dir.path().join("agent.toml"), config).unwrap();
        Self { dir, broker: None, clock: None, mount: None, memlock: None, confined: false }
    }

    /// Starts an agent of a user without any privilege, who may lock [`LOCKED_LIMIT`] bytes: where the test is root's,
    /// the user is [`NOBODY`].
    #[must_use]
    pub fn start_confined(platform: &Platform, extra: &str) -> Self {
        let mut agent = Self::prepare(platform, extra);
        agent.confined = true;
        if geteuid().is_root() {
            // The folder of the binaries may be one that only root can look into.
            for name in ["life-agentd", "life-vault"] {
                std::fs::copy(binaries::path(name), agent.dir.path().join(name)).unwrap();
            }
            chown(agent.dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            chown(agent.dir.path().join("agent.toml"), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        agent.run();
        agent
    }

    /// The broker's program, as a command of the user that the agent is for.
    fn program(&self) -> Command {
        if !self.confined {
            return Command::new(binaries::path("life-agentd"));
        }
        let mut command = Command::new("prlimit");
        command.arg(format!("--memlock={LOCKED_LIMIT}:{LOCKED_LIMIT}"));
        if geteuid().is_root() {
            command.args(as_nobody()).arg(self.dir.path().join("life-agentd"));
        } else {
            command.arg(binaries::path("life-agentd"));
        }
        command
    }

    /// The command that starts the broker, with everything in the agent's own folder.
    #[must_use]
    pub fn command(&self) -> Command {
        let broker = binaries::path("life-agentd");
        let mut command = match &self.clock {
            None => match (&self.mount, self.memlock) {
                (None, None) => self.program(),
                (None, Some(bytes)) => {
                    let mut command = limited(bytes);
                    command.arg(broker);
                    command
                }
                (Some(options), _) => {
                    let script = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" && shift 2 && exec \"$@\"";
                    let mut command = Command::new("unshare");
                    command.args(["-m", "sh", "-c", script, "sh", options]).arg(self.state()).arg(broker);
                    command
                }
            },
            // The library itself: faketime(1) would be another process between us and the broker.
            Some(shift) => {
                let library = std::fs::read_dir("/usr/lib").unwrap().find_map(|folder| {
                    let library = folder.ok()?.path().join("faketime/libfaketime.so.1");
                    library.exists().then_some(library)
                });
                let library = library.expect("install the Debian package faketime");
                let mut command = Command::new(broker);
                std::fs::write(self.clock_file(), shift).unwrap();
                command
                    .env("LD_PRELOAD", library)
                    .env("FAKETIME_TIMESTAMP_FILE", self.clock_file())
                    .env("FAKETIME_NO_CACHE", "1")
                    .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
                command
            }
        };
        command
            .env("LIFE_CONFIG", self.dir.path().join("agent.toml"))
            .env("LIFE_STATE_DIR", self.state())
            .env("LIFE_AGENT_SOCKET", self.socket())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Shifts the clock of the processes started from now on, as faketime(1) spells it: `+1d`, `-1d`, `+5y`.
    pub fn shift_clock(&mut self, shift: &str) {
        self.clock = Some(shift.to_owned());
    }

    /// Shifts the clock of processes that run, whose clock was shifted when they started.
    pub fn move_clock(&mut self, shift: &str) {
        self.shift_clock(shift);
        std::fs::write(self.clock_file(), shift).unwrap();
    }

    /// Lets the processes started from now on lock so many bytes and no more.
    pub fn limit_locked_memory(&mut self, bytes: usize) {
        self.memlock = Some(bytes);
    }

    fn clock_file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    /// Gives the processes started from now on a tmpfs with these options as state folder.
    pub fn mount_state(&mut self, options: &str) {
        std::fs::create_dir_all(self.state()).unwrap();
        self.mount = Some(options.to_owned());
    }

    /// Starts the broker; the exit code when it ends before it answers.
    ///
    /// # Errors
    /// The exit code.
    pub fn try_run(&mut self) -> Result<(), i32> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut broker = Process::new(self.command().stderr(log).spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(20);
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            if let Some(status) = broker.child().try_wait().unwrap() {
                return Err(status.code().unwrap_or(-1));
            }
            assert!(Instant::now() < end, "the agent neither answers nor ends: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.broker = Some(broker);
        Ok(())
    }

    /// Starts the broker and waits until it answers.
    pub fn run(&mut self) {
        if let Err(code) = self.try_run() {
            panic!("the agent ended with {code}: {}", self.log());
        }
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/agent.sock")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("agent.log")
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The broker's process.
    pub fn broker(&mut self) -> &mut Process {
        self.broker.as_mut().unwrap()
    }

    /// Ends the broker at once (SIGKILL).
    pub fn kill(&mut self) {
        self.broker = None;
    }

    /// A connection to the socket.
    pub async fn channel(&self) -> Channel {
        try_channel_as(self.socket(), self.confined && geteuid().is_root()).await.unwrap()
    }

    /// Clients for every service over one connection.
    pub async fn clients(&self) -> Clients {
        Clients::over(self.channel().await)
    }
}

/// What runs a program with a limit on locked memory that no privilege lifts; the program is its next argument.
fn limited(memlock: usize) -> Command {
    let mut command = Command::new("env");
    if geteuid().is_root() {
        // Root locks as much as it likes.
        command.args(["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "--"]);
    }
    let script = format!("ulimit -l {} && exec \"$@\"", memlock / 1024);
    command.args(["sh", "-c", &script, "sh"]);
    command
}

/// Clients for every service.
#[derive(Clone)]
pub struct Clients {
    /// Agent.
    pub agent: AgentClient<Channel>,
    /// Accounts.
    pub accounts: AccountsClient<Channel>,
    /// Api.
    pub api: ApiClient<Channel>,
    /// Credentials.
    pub credentials: CredentialsClient<Channel>,
    /// Crypto, with room for the largest unary message.
    pub crypto: CryptoClient<Channel>,
    /// Directory.
    pub directory: DirectoryClient<Channel>,
    /// Documents.
    pub documents: DocumentsClient<Channel>,
    /// Messages.
    pub messages: MessagesClient<Channel>,
}

impl Clients {
    /// Makes all clients over one channel.
    #[must_use]
    pub fn over(channel: Channel) -> Self {
        let limit = life_proto::MESSAGE_LIMIT + 1024 * 1024;
        Self {
            agent: AgentClient::new(channel.clone()),
            accounts: AccountsClient::new(channel.clone()),
            api: ApiClient::new(channel.clone()),
            credentials: CredentialsClient::new(channel.clone()),
            crypto: CryptoClient::new(channel.clone())
                .max_decoding_message_size(limit)
                .max_encoding_message_size(limit),
            directory: DirectoryClient::new(channel.clone()),
            documents: DocumentsClient::new(channel.clone()),
            messages: MessagesClient::new(channel),
        }
    }

    /// The vault's process id, once there is a vault: just after the start, or a crash, it is still coming.
    pub async fn vault_pid(&mut self) -> u32 {
        for _ in 0..500 {
            if let Some(vault) = self.status().await.vault {
                return vault.pid;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no vault came up within five seconds")
    }

    /// GetStatus.
    pub async fn status(&mut self) -> v1::GetStatusResponse {
        self.agent.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner()
    }
}

/// Connects to a socket.
pub async fn channel(socket: PathBuf) -> Channel {
    try_channel(socket).await.unwrap()
}

/// As [`channel`], where perhaps nobody listens.
///
/// # Errors
/// What the transport says.
pub async fn try_channel(socket: PathBuf) -> Result<Channel, tonic::transport::Error> {
    try_channel_as(socket, false).await
}

async fn try_channel_as(socket: PathBuf, nobody: bool) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_static("http://agent.invalid")
        .initial_stream_window_size(2 << 20)
        .initial_connection_window_size(4 << 20);
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move {
            let stream = if nobody {
                tokio::net::UnixStream::from_std(connect_as_nobody(socket)?)?
            } else {
                tokio::net::UnixStream::connect(socket).await?
            };
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    endpoint.connect_with_connector(connector).await
}

/// Connects on a thread of its own, which does nothing else: the kernel tells the agent whose thread it was.
fn connect_as_nobody(socket: PathBuf) -> std::io::Result<std::os::unix::net::UnixStream> {
    let connecting = std::thread::spawn(move || {
        set_thread_res_uid(None, Some(Uid::from_raw(NOBODY)), None)?;
        let stream = std::os::unix::net::UnixStream::connect(socket)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    });
    connecting.join().unwrap()
}

/// What to put before a command that a user without privileges is to run, where the test is root's.
#[must_use]
pub fn as_nobody() -> Vec<String> {
    let id = |option: &str| format!("--{option}={NOBODY}");
    let words = ["--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--"];
    let words = words.into_iter().map(str::to_owned);
    ["setpriv".to_owned(), id("reuid"), id("regid")].into_iter().chain(words).collect()
}
