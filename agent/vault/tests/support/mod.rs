//! A client that plays the broker: the real binary at the other end of a socket pair.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where")]

#[path = "../../../credentials/tests/support/mod.rs"]
pub mod people;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use life_pki::{KeySlot, ParticipantKind, Uid};
use life_sys::descriptors::send_with_fds;
use life_sys::secret::SecretBytes;
use life_vault_protocol::*;
use people::{Account, Authority, now};

pub const PASSPHRASE: &str = "a-distinctive-passphrase-7";

pub fn secret(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

/// A running vault and the broker's end of its socket.
pub struct Vault {
    pub child: Child,
    pub socket: UnixStream,
    decoder: FrameDecoder,
    answers: HashMap<u64, Response>,
    unread: Vec<u8>,
    next_id: u64,
}

impl Vault {
    pub fn start() -> Self {
        Self::start_logging("debug", Stdio::null())
    }

    pub fn start_logging(filter: &str, log: Stdio) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_life-vault")), filter, log)
    }

    /// A vault that may lock so many bytes and no more, whoever runs the test.
    pub fn start_limited(memlock: usize) -> Self {
        let script = format!("ulimit -l {} && exec \"$@\"", memlock / 1024);
        let mut command = Command::new("env");
        if rustix::process::geteuid().is_root() {
            // Root locks as much as it likes.
            command.args(["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "--"]);
        }
        command.args(["sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_life-vault")]);
        Self::spawn(command, "debug", Stdio::null())
    }

    pub fn spawn(mut command: Command, filter: &str, log: Stdio) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let child = command
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(log)
            .env("LIFE_LOG", filter)
            .spawn()
            .unwrap();
        // No test waits longer than this for anything.
        ours.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self {
            child,
            socket: ours,
            decoder: FrameDecoder::new(),
            answers: HashMap::new(),
            unread: Vec::new(),
            next_id: 1,
        }
    }

    pub fn send(&mut self, request: &Request) -> u64 {
        self.send_with(request, &[])
    }

    pub fn send_with(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let frame = encode_request(id, request).unwrap();
        let sent = send_with_fds(&self.socket, frame.expose(), fds).unwrap();
        self.socket.write_all(&frame.expose()[sent..]).unwrap();
        id
    }

    /// Sends bytes as they are, as a frame's body.
    pub fn send_body(&mut self, body: &[u8]) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let length = u32::try_from(body.len() + 8).unwrap();
        let frame = [&length.to_be_bytes()[..], &id.to_be_bytes(), body].concat();
        self.socket.write_all(&frame).unwrap();
        id
    }

    /// Waits for the answer to one request; others are kept.
    pub fn wait(&mut self, id: u64) -> Response {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer;
            }
            let (id, answer) = self.any();
            self.answers.insert(id, answer);
        }
    }

    /// Waits for any answer.
    pub fn any(&mut self) -> (u64, Response) {
        loop {
            let unread = std::mem::take(&mut self.unread);
            let mut rest = unread.as_slice();
            let frame = self.decoder.next_frame(&mut rest).unwrap();
            self.unread = rest.to_vec();
            if let Some(frame) = frame {
                return (frame.id, Response::decode(frame.body.expose()).unwrap());
            }
            let mut buffer = vec![0; 65536];
            let count = read_some(&mut self.socket, &mut buffer).unwrap();
            assert!(count > 0, "the vault closed its end");
            self.unread.extend_from_slice(&buffer[..count]);
        }
    }

    pub fn call(&mut self, request: &Request) -> Response {
        let id = self.send(request);
        self.wait(id)
    }

    /// Expects a refusal.
    pub fn refusal(&mut self, request: &Request) -> VaultError {
        error_of(self.call(request))
    }

    pub fn status(&mut self) -> (u32, u32) {
        match self.call(&Request::Status) {
            Response::Status { sessions, pendings, .. } => (sessions, pendings),
            _ => panic!("no status"),
        }
    }

    pub fn memory(&mut self) -> MemoryUse {
        match self.call(&Request::Status) {
            Response::Status { memory, .. } => memory,
            _ => panic!("no status"),
        }
    }

    /// Closes the broker's end and waits for the process.
    pub fn close(mut self) -> ExitStatus {
        drop(self.socket);
        self.child.wait().unwrap()
    }

    /// Waits for the process to end by itself, which closes its end.
    pub fn ended(mut self) -> ExitStatus {
        assert_eq!(read_some(&mut self.socket, &mut [0; 1]).unwrap_or(0), 0);
        self.child.wait().unwrap()
    }

    pub fn open(&mut self, account: &Account, ca: &Authority) -> SessionId {
        let file = account.file(ca, PASSPHRASE);
        match self.call(&open_request(&file, PASSPHRASE)) {
            Response::Opened { session, uid, .. } => {
                assert_eq!(uid, account.uid);
                session
            }
            _ => panic!("not opened"),
        }
    }

    pub fn unlock(&mut self, account: &Account, ca: &Authority) -> SessionId {
        let session = self.open(account, ca);
        let seals = vec![account.seal(|_| {})].into();
        match self.call(&Request::OpenRoot {
            session,
            log: account.log.clone().into(),
            seals,
            now: now().unix(),
        }) {
            Response::Root { .. } => session,
            other => panic!("not unlocked: {:?}", error_of(other)),
        }
    }

    pub fn generate(&mut self, uid: Uid, algorithm: WorkingKeyAlgorithm) -> Generated {
        match self.call(&generate_request(uid, algorithm)) {
            Response::Account {
                pending,
                credential_id,
                authentication_csr,
                signature_csr,
                encryption_spki,
                root_spki,
            } => Generated {
                pending,
                credential_id,
                authentication_csr,
                signature_csr,
                encryption_spki,
                root_spki,
            },
            other => panic!("not generated: {:?}", error_of(other)),
        }
    }
}

/// What GenerateAccount answers.
pub struct Generated {
    pub pending: PendingId,
    pub credential_id: [u8; 16],
    pub authentication_csr: Vec<u8>,
    pub signature_csr: Vec<u8>,
    pub encryption_spki: Vec<u8>,
    pub root_spki: Vec<u8>,
}

pub fn generate_request(uid: Uid, algorithm: WorkingKeyAlgorithm) -> Request {
    generate_from(uid, algorithm, NewSecretSource::Inline(secret(PASSPHRASE)))
}

pub fn generate_from(uid: Uid, algorithm: WorkingKeyAlgorithm, secret: NewSecretSource) -> Request {
    Request::GenerateAccount { uid, kind: ParticipantKind::Patient, algorithm, secret }
}

pub fn open_request(file: &[u8], passphrase: &str) -> Request {
    open_from(file, SecretSource::Inline(secret(passphrase)))
}

pub fn open_from(file: &[u8], source: SecretSource) -> Request {
    Request::OpenSoftwareCertificate {
        pkcs12: file.to_vec(),
        secret: source,
        now: now().unix(),
        expected: None,
    }
}

pub fn error_of(response: Response) -> VaultError {
    match response {
        Response::Error(error) => error,
        _ => panic!("not refused"),
    }
}

pub fn signature_of(response: Response) -> Vec<u8> {
    match response {
        Response::Signature(signature) => signature,
        Response::Error(error) => panic!("refused: {error}"),
        _ => panic!("no signature"),
    }
}

/// The input of a TLS client's signature.
pub fn tls_input() -> Vec<u8> {
    [&[0x20; 64], &b"TLS 1.3, client CertificateVerify\0"[..], &[5; 32]].concat()
}

/// One of the account's certificates.
pub fn certificate(account: &Account, slot: KeySlot) -> &life_pki::certificate::Certificate {
    account.certificates.iter().find(|certificate| certificate.slot() == Some(slot)).unwrap()
}

/// A pipe: what is written to the second comes out of the first.
pub fn pipe() -> (OwnedFd, std::fs::File) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (read, write.into())
}

/// Lets a value lend its descriptor.
pub fn fd(lender: &impl AsFd) -> BorrowedFd<'_> {
    lender.as_fd()
}

/// Reads what is there. A read with a time limit ends with EINTR when a signal comes in between, whatever the signal's
/// flags are (signal(7)), so it is tried again.
pub fn read_some(socket: &mut UnixStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
