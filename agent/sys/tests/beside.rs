//! A process beside a confined one says what others run. It is made by fork(2), for which there must be no other thread,
//! so this is a program of its own and no harness's.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_macros, reason = "what a test says")]

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use life_sys::hardening::{Children, harden};
use life_sys::peer::{Peer, Programs};
use life_sys::sandbox::{Places, confine_broker, has_landlock};
use rustix::process::{Pid, Signal, kill_process};

const SCENE: &str = "LIFE_TEST_SCENE";
const FOLDER: &str = "LIFE_TEST_FOLDER";

fn main() {
    match std::env::var(SCENE).as_deref() {
        Ok("looking") => looking(),
        Ok(_) => looking_without_an_answer(),
        Err(_) => {
            for scene in ["looking", "looking_without_an_answer"] {
                let folder = tempfile::tempdir().unwrap();
                let mut command = Command::new(std::env::current_exe().unwrap());
                let status = command.env(SCENE, scene).env(FOLDER, folder.path()).status().unwrap();
                assert!(status.success(), "{scene}: {status}");
                println!("test {scene} ... ok");
            }
        }
    }
}

/// A process that connects, and stays until the connection is closed.
fn client(socket: &Path) -> Child {
    let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ns.recv(1)";
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", script]).arg(socket);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A client of the test's, its connection, and what it runs.
fn connected() -> (Child, UnixStream, PathBuf) {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let listener = UnixListener::bind(folder.join("socket")).unwrap();
    let client = client(&folder.join("socket"));
    let (connection, _) = listener.accept().unwrap();
    (client, connection, fs::canonicalize("/usr/bin/python3").unwrap())
}

/// The process that looks, which is the youngest child.
fn beside(client: &Child) -> (Programs, u32) {
    let programs = Programs::beside().unwrap();
    let looker = children().into_iter().find(|pid| *pid != client.id()).unwrap();
    (programs, looker)
}

fn looking() {
    assert!(has_landlock());
    let (mut client, connection, python) = connected();
    harden(Children::Free).unwrap();
    let (programs, looker) = beside(&client);
    confine_broker(&Places::default()).unwrap();
    // The reason for all this.
    assert_eq!(Peer::capture(&connection, &Programs::own()).unwrap().executable, None);
    for _ in 0..100 {
        let peer = Peer::capture(&connection, &programs).unwrap();
        assert_eq!(peer.executable.as_deref(), Some(&*python));
        assert_eq!(peer.parent.unwrap().executable, std::env::current_exe().ok());
    }
    let status = fs::read_to_string(format!("/proc/{looker}/status")).unwrap();
    assert!(status.contains("Name:\tlife-programs\n") && status.contains("Seccomp:\t2\n"), "{status}");
    drop(connection);
    client.wait().unwrap();
}

fn looking_without_an_answer() {
    let (mut client, connection, python) = connected();
    let (programs, looker) = beside(&client);
    let looker = Pid::from_raw(looker.cast_signed()).unwrap();
    let program = || Peer::capture(&connection, &programs).unwrap().executable;
    assert_eq!(program().as_ref(), Some(&python));
    // It has its socket and no other descriptor.
    let open = fs::read_dir(format!("/proc/{}/fd", looker.as_raw_nonzero())).unwrap();
    assert_eq!(open.count(), 1);
    // Stopped, it holds nobody up for long, and late answers are not taken for later ones.
    kill_process(looker, Signal::STOP).unwrap();
    assert_eq!(program(), None);
    kill_process(looker, Signal::CONT).unwrap();
    assert_eq!(program().as_ref(), Some(&python));
    kill_process(looker, Signal::KILL).unwrap();
    assert_eq!(program(), None);
    drop(connection);
    client.wait().unwrap();
}

/// The children of this process.
fn children() -> Vec<u32> {
    let this = std::process::id();
    let listed = fs::read_to_string(format!("/proc/{this}/task/{this}/children")).unwrap();
    listed.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
