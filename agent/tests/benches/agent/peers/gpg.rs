//! GnuPG: its agent with an RSA-3072 key, spoken to in Assuan, and `gpg` for files.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use life_e2e::dev::text;
use life_e2e::process::Process;
use life_e2e::scan::{Kind, Secret};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::UnixStream;

use crate::measure::{self, Client, Missing, missing, output};

const PACKAGE: &str = "gnupg";

/// A home of GnuPG's, with its agent running.
pub struct Gpg {
    home: TempDir,
    socket: PathBuf,
    _agent: Process,
    /// From the agent's start to its first answer.
    pub ready: Duration,
}

impl Gpg {
    /// Starts an agent in an empty home, and waits for its first answer.
    ///
    /// # Errors
    /// When GnuPG is not there.
    pub async fn start() -> Result<Self, Missing> {
        let home = TempDir::with_prefix("life-gpg-").unwrap();
        let mut ask = Command::new("gpgconf");
        let socket =
            text(&output(ask.args(["--list-dirs", "agent-socket"]).env("GNUPGHOME", home.path()), PACKAGE)?);
        let socket = PathBuf::from(socket.trim());
        let mut command = Command::new("gpg-agent");
        command.args(["--daemon", "--no-detach", "--quiet", "--homedir"]).arg(home.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let child = command.spawn().map_err(|error| missing(&command, PACKAGE, &error))?;
        let agent = Process::new(child);
        Assuan::connect(&socket).await;
        Ok(Self { home, socket, _agent: agent, ready: start.elapsed() })
    }

    /// `gpg` in this home, never asking.
    pub fn command(&self) -> Command {
        let mut command = Command::new("gpg");
        command.args(["--quiet", "--batch", "--yes", "--no-autostart", "--homedir"]).arg(self.home.path());
        command.args(["--pinentry-mode", "loopback", "--passphrase", "", "--trust-model", "always"]);
        command
    }

    /// Makes an RSA-3072 key for signing, and another below it for encryption.
    ///
    /// # Errors
    /// When GnuPG is not there.
    pub fn add_key(&self) -> Result<(), Missing> {
        output(self.command().args(["--quick-generate-key", "bench", "rsa3072", "sign", "never"]), PACKAGE)?;
        let fingerprint = self.field("fpr")?;
        output(self.command().args(["--quick-add-key", &fingerprint, "rsa3072", "encr", "never"]), PACKAGE)?;
        Ok(())
    }

    /// The first of these fields of the secret keys.
    fn field(&self, kind: &str) -> Result<String, Missing> {
        let list = ["--with-colons", "--with-keygrip", "--list-secret-keys"];
        let listed = text(&output(self.command().args(list), PACKAGE)?);
        let line = listed.lines().find(|line| line.starts_with(kind)).unwrap();
        Ok(line.split(':').nth(9).unwrap().to_owned())
    }

    /// Its agent's process id: what was started has forked and gone.
    pub async fn pid(&self) -> u32 {
        let mut client = Assuan::connect(&self.socket).await;
        let answer = client.ask("GETINFO pid").await;
        answer.strip_prefix("D ").unwrap().trim().parse().unwrap()
    }

    /// The numbers of the first key, which has no passphrase, from the agent's own file.
    ///
    /// # Errors
    /// When GnuPG is not there.
    pub fn numbers(&self) -> Result<Vec<Secret>, Missing> {
        let path = self.home.path().join("private-keys-v1.d").join(self.field("grp")?).with_extension("key");
        let file: String = std::fs::read_to_string(path).unwrap().split_whitespace().collect();
        let number = |name: &str, kind| {
            let (_, rest) = file.split_once(&format!("({name}#")).unwrap();
            Secret::new(name, kind, &hex::decode(rest.split('#').next().unwrap()).unwrap())
        };
        let whole = |name| number(name, Kind::Number { modulus: None });
        Ok(vec![number("p", Kind::Prime), number("q", Kind::Prime), whole("d"), whole("u")])
    }

    /// Has it forget what it keeps in memory.
    pub async fn forget(&self) {
        Assuan::connect(&self.socket).await.ask("RELOADAGENT").await;
    }

    /// So many clients that sign with the first key.
    ///
    /// # Errors
    /// When GnuPG is not there.
    pub async fn clients(&self, count: usize) -> Result<Vec<Assuan>, Missing> {
        let grip = self.field("grp")?;
        let mut clients = Vec::new();
        for _ in 0..count {
            let mut client = Assuan::connect(&self.socket).await;
            client.ask(&format!("SIGKEY {grip}")).await;
            client.ask(&format!("SETHASH --hash=sha256 {}", "5a".repeat(32))).await;
            clients.push(client);
        }
        Ok(clients)
    }
}

/// A connection that signs.
pub struct Assuan(BufStream<UnixStream>);

impl Assuan {
    async fn connect(socket: &std::path::Path) -> Self {
        let mut client = Self(BufStream::new(measure::connect(socket).await));
        client.answer("connecting").await;
        client
    }

    async fn ask(&mut self, line: &str) -> String {
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
        self.answer(line).await
    }

    /// Reads up to the line that ends an answer, and gives the lines before it.
    async fn answer(&mut self, to: &str) -> String {
        let mut line = Vec::new();
        let mut before = String::new();
        loop {
            line.clear();
            self.0.read_until(b'\n', &mut line).await.unwrap();
            if line.starts_with(b"OK") {
                return before;
            }
            let goes_on = line.starts_with(b"D ") || line.starts_with(b"S ") || line.starts_with(b"#");
            assert!(goes_on, "{to}: {}", text(&line));
            before.push_str(&text(&line));
        }
    }
}

impl Client for Assuan {
    async fn once(&mut self) {
        self.ask("PKSIGN").await;
    }
}
