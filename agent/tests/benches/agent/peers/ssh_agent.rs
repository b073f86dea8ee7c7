//! OpenSSH's agent with an RSA-3072 key, spoken to in its own protocol (draft-ietf-sshm-ssh-agent).

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use life_e2e::process::Process;
use life_e2e::scan::Secret;
use life_e2e::scan::keys::numbers;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::measure::{self, Client, Missing, missing, output};

const PACKAGE: &str = "openssh-client";
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const RSA_SHA2_256: u32 = 2;

/// A running ssh-agent.
pub struct SshAgent {
    dir: TempDir,
    process: Process,
    /// From its start to its first answer.
    pub ready: Duration,
}

impl SshAgent {
    /// Starts one without keys, and waits for its first answer.
    ///
    /// # Errors
    /// When OpenSSH is not there.
    pub async fn start() -> Result<Self, Missing> {
        let dir = TempDir::with_prefix("life-ssh-").unwrap();
        let socket = dir.path().join("agent.sock");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdin(Stdio::null()).stdout(Stdio::null());
        let start = Instant::now();
        let child = command.spawn().map_err(|error| missing(&command, PACKAGE, &error))?;
        let process = Process::new(child);
        let mut stream = measure::connect(&socket).await;
        assert_eq!(ask(&mut stream, &[REQUEST_IDENTITIES]).await.first(), Some(&IDENTITIES_ANSWER));
        Ok(Self { dir, process, ready: start.elapsed() })
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("agent.sock")
    }

    /// Makes an RSA-3072 key and hands it over.
    ///
    /// # Errors
    /// When OpenSSH is not there.
    pub fn add_key(&self) -> Result<(), Missing> {
        let key = self.dir.path().join("key");
        let make = ["-q", "-t", "rsa", "-b", "3072", "-m", "PKCS8", "-N", "", "-f"];
        output(Command::new("ssh-keygen").args(make).arg(&key), PACKAGE)?;
        output(Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", self.socket()), PACKAGE)?;
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The numbers of its key.
    pub fn numbers(&self) -> Vec<Secret> {
        numbers("key", &std::fs::read(self.dir.path().join("key")).unwrap())
    }

    /// Has it forget its keys.
    ///
    /// # Errors
    /// When OpenSSH is not there.
    pub fn forget(&self) -> Result<(), Missing> {
        output(Command::new("ssh-add").args(["-q", "-D"]).env("SSH_AUTH_SOCK", self.socket()), PACKAGE)?;
        Ok(())
    }

    /// A client that signs with its first key.
    pub async fn client(&self) -> Signer {
        let mut stream = measure::connect(&self.socket()).await;
        let answer = ask(&mut stream, &[REQUEST_IDENTITIES]).await;
        // The type, how many keys, and the first key's blob with its length.
        let length = u32::from_be_bytes(answer[5..9].try_into().unwrap()) as usize;
        let mut request = vec![SIGN_REQUEST];
        request.extend_from_slice(&answer[5..9 + length]);
        request.extend_from_slice(&7u32.to_be_bytes());
        request.extend_from_slice(b"message");
        request.extend_from_slice(&RSA_SHA2_256.to_be_bytes());
        Signer { stream, request }
    }
}

/// A connection that signs.
pub struct Signer {
    stream: UnixStream,
    request: Vec<u8>,
}

impl Client for Signer {
    async fn once(&mut self) {
        let answer = ask(&mut self.stream, &self.request).await;
        assert_eq!(answer.first(), Some(&SIGN_RESPONSE));
    }
}

async fn ask(stream: &mut UnixStream, request: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(request.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(request);
    stream.write_all(&frame).await.unwrap();
    let mut answer = vec![0; stream.read_u32().await.unwrap() as usize];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}
