//! Starting everything: platform, agent, users.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::future::try_join_all;
use life_sys::files::write_atomically;
use serde::Serialize;
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::binaries;
use super::layout::Layout;
use super::process::{Started, spawn};
use super::shell::Environment;
use super::state::State;
use super::stop::stop;
use super::users::{self, User};
use crate::connection::{Connection, SOCKET_VARIABLE, check_path};
use crate::error::Error;
use crate::verbs::register::Kind;

/// As long as any socket inside the platform's folder.
const LONGEST_INSIDE: &str = "ca-socket/ca.sock";

/// What was started.
#[derive(Serialize)]
pub struct Summary {
    /// The folder.
    pub dir: PathBuf,
    /// The file a shell sources.
    pub env: PathBuf,
    /// The agent's socket.
    pub socket: PathBuf,
    /// The platform's origin.
    pub platform: String,
    /// SHA-256 of the platform's trust bundle.
    pub ca_fingerprint: String,
    /// The certificates of the user CA, PEM.
    pub ca_file: PathBuf,
    /// What the file `env` sets.
    pub environment: BTreeMap<String, String>,
    /// The users, by kind.
    pub users: BTreeMap<&'static str, UserSummary>,
    /// Process ids, by name.
    pub processes: BTreeMap<String, u32>,
}

/// A user.
#[derive(Serialize)]
pub struct UserSummary {
    /// The bare user id.
    pub uid: String,
    /// The resource name.
    pub user: String,
    /// The PKCS#12 file.
    pub software_certificate: PathBuf,
    /// The file with its passphrase.
    pub passphrase_file: PathBuf,
}

/// A set-up that runs; told apart from its processes because they may outlive it.
pub struct Running {
    /// What was started.
    pub summary: Summary,
    /// The processes.
    pub processes: Vec<Started>,
}

/// Starts everything; ends and removes everything again when a step fails.
pub async fn start(layout: &Layout, kinds: &[Kind]) -> Result<Running, Error> {
    let mut guard = Guard { layout, armed: true };
    let running = Starter { layout, state: State::new(), processes: Vec::new() }.run(kinds).await?;
    guard.armed = false;
    Ok(running)
}

/// Undoes a start that failed, or was interrupted.
struct Guard<'a> {
    layout: &'a Layout,
    armed: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.armed {
            // The folder was empty before: whatever lies there now is ours, with or without a state file.
            let _first_error_is_told = stop(self.layout);
            let _first_error_is_told = self.layout.remove();
        }
    }
}

struct Starter<'a> {
    layout: &'a Layout,
    state: State,
    processes: Vec<Started>,
}

impl Starter<'_> {
    async fn run(mut self, kinds: &[Kind]) -> Result<Running, Error> {
        let (folder, elsewhere) = self.layout.socket_folder()?;
        self.state.short_folder = elsewhere.then(|| folder.clone());
        self.state.write(self.layout)?;
        let socket = folder.join("agent.sock");

        let ca_fingerprint = self.init_platform().await?;
        self.spawn_platform("ca", &[]).await?;
        let ready = self.spawn_platform("serve", &["--listen", "127.0.0.1:0"]).await?;
        let address = text(&ready, "listening", "life-platform serve")?;
        let platform = format!("https://{address}");

        let connection = self.spawn_agent(&socket, &platform, &ca_fingerprint).await?;
        let users = kinds.iter().map(|kind| users::make(&connection, self.layout, *kind));
        let users = try_join_all(users).await?;
        if let Some(user) = users.first() {
            let authorities = users::authorities(&connection, user).await?;
            write(&self.layout.ca(), authorities.as_bytes())?;
        }
        let mut summary = self.summary(socket, platform, ca_fingerprint, &users);
        summary.environment = environment(&summary);
        write(&self.layout.env(), shell(&summary, elsewhere).text().as_bytes())?;
        Ok(Running { summary, processes: self.processes })
    }

    /// A command of the platform. Where its folder has a path too long for the sockets in it, the path is relative.
    fn platform(&self, part: &str) -> Result<Command, Error> {
        let mut command = Command::new(binaries::find("life-platform")?);
        let folder = self.layout.platform();
        command.current_dir(self.layout.root()).args([part, "--dir"]);
        match (check_path(&folder.join(LONGEST_INSIDE)), folder.file_name()) {
            (Err(_), Some(name)) => command.arg(name),
            _ => command.arg(folder),
        };
        Ok(command)
    }

    /// Makes a platform; gives the fingerprint of its trust bundle.
    async fn init_platform(&self) -> Result<String, Error> {
        let mut command = self.platform("init")?;
        command.args(["--json", "--listen", "127.0.0.1:0", "--approval", "auto"]);
        let output = spawn_blocking(move || command.output()).await;
        let output = output.map_err(|error| Error::Software(error.to_string()))?;
        let output = output.map_err(|error| Error::Dev(format!("life-platform does not start: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::Dev(format!("life-platform init failed: {}", said.trim_end())));
        }
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_default();
        text(&answer, "ca_fingerprint", "life-platform init")
    }

    /// Starts a part of the platform; gives the line with which it says that it is ready.
    async fn spawn_platform(&mut self, part: &str, arguments: &[&str]) -> Result<Value, Error> {
        let mut command = self.platform(part)?;
        command.args(arguments);
        let started = self.spawn(&format!("platform-{part}"), command)?;
        started.wait_until(first_line).await
    }

    async fn spawn_agent(
        &mut self,
        socket: &Path,
        origin: &str,
        ca_fingerprint: &str,
    ) -> Result<Connection, Error> {
        let folder = self.layout.agent();
        let config = folder.join("agent.toml");
        // Both values are the platform's own words, of letters and digits: nothing needs escaping.
        let toml = format!("[platform]\norigin = \"{origin}\"\nca_fingerprint = \"{ca_fingerprint}\"\n");
        write(&config, toml.as_bytes())?;
        let mut command = Command::new(binaries::find("life-agentd")?);
        command.env("LIFE_CONFIG", &config).env("LIFE_STATE_DIR", folder.join("state"));
        command.env(SOCKET_VARIABLE, socket);
        let started = self.spawn("agent", command)?;
        started.wait_until(async |_| Connection::open(socket).await.ok()).await
    }

    /// Starts a process; it is in the state file before anything else happens.
    fn spawn(&mut self, name: &str, command: Command) -> Result<&mut Started, Error> {
        let started = spawn(name, command, &self.layout.logs())?;
        self.state.processes.push(started.process.clone());
        let written = self.state.write(self.layout);
        if let Err(error) = written {
            started.process.end()?;
            return Err(error);
        }
        self.processes.push(started);
        self.processes.last_mut().ok_or_else(|| Error::Software("a process was lost".into()))
    }

    fn summary(&self, socket: PathBuf, platform: String, ca_fingerprint: String, users: &[User]) -> Summary {
        let user = |user: &User| {
            let summary = UserSummary {
                uid: user.uid.clone(),
                user: format!("users/{}", user.uid),
                software_certificate: user.folder.join("software-certificate.p12"),
                passphrase_file: user.folder.join("passphrase"),
            };
            (user.kind.word(), summary)
        };
        let processes = self.state.processes.iter().map(|process| (process.name.clone(), process.pid));
        Summary {
            dir: self.layout.root().to_owned(),
            env: self.layout.env(),
            socket,
            platform,
            ca_fingerprint,
            ca_file: self.layout.ca(),
            environment: BTreeMap::new(),
            users: users.iter().map(user).collect(),
            processes: processes.collect(),
        }
    }
}

/// The variables by which programs find everything.
fn environment(summary: &Summary) -> BTreeMap<String, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut variables = BTreeMap::from([
        (SOCKET_VARIABLE.to_owned(), text(&summary.socket)),
        ("LIFE_DEV_CA_FILE".to_owned(), text(&summary.ca_file)),
        ("LIFE_DEV_CA_FINGERPRINT".to_owned(), summary.ca_fingerprint.clone()),
        ("LIFE_DEV_DIR".to_owned(), text(&summary.dir)),
        ("LIFE_DEV_PLATFORM".to_owned(), summary.platform.clone()),
    ]);
    for (kind, user) in &summary.users {
        variables.insert(format!("LIFE_DEV_{}", kind.to_uppercase()), user.uid.clone());
    }
    variables
}

/// The same for a shell to source.
fn shell(summary: &Summary, elsewhere: bool) -> Environment {
    let mut environment = Environment::default();
    environment.comment("A throwaway LIFE platform, agent and users. Source this file in a shell.");
    environment.comment(&format!("It all ends with: life dev down --dir {}", summary.dir.display()));
    if elsewhere {
        environment
            .comment("The socket lies outside this folder, because its path would be too long for a socket.");
    }
    for (name, value) in &summary.environment {
        environment.export(name, value);
    }
    environment
}

/// The first whole line that a process printed, as JSON.
async fn first_line(out: &Path) -> Option<Value> {
    let text = fs::read_to_string(out).ok()?;
    let (line, _) = text.split_once('\n')?;
    serde_json::from_str(line).ok()
}

fn text(answer: &Value, field: &str, who: &str) -> Result<String, Error> {
    let value = answer.get(field).and_then(Value::as_str);
    value.map(str::to_owned).ok_or_else(|| Error::Dev(format!("{who} did not say its {field}")))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_atomically(path, bytes, 0o600).map_err(|error| Error::write(path.display().to_string(), error))
}
