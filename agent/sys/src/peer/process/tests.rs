//! Real processes connect, and try to be taken for others.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::*;

const SOCKET: &str = "LIFE_TEST_SOCKET";
const DEED: &str = "LIFE_TEST_DEED";
const WAYS: [Way; 2] = [Way::Socket, Way::Number];

/// Not a test of its own: what the child processes of the tests below run.
#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    let (Some(path), Ok(deed)) = (std::env::var_os(SOCKET), std::env::var(DEED)) else { return };
    if deed == "observe" {
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        say("ready");
        let peer = Peer::capture(listener.accept().unwrap().0, &Programs::own()).unwrap();
        say(&format!("{} {:?} {}", peer.uid, peer.executable, peer.cgroup.is_some()));
        return;
    }
    let stream = UnixStream::connect(path).unwrap();
    say("connected");
    match deed.as_str() {
        "wait" => drop(io::stdin().read_line(&mut String::new())),
        // Another process keeps the connection, and nobody waits for it: it ends with the other side's socket.
        "leave" => {
            drop(Command::new("cat").stdin(OwnedFd::from(stream)).stdout(Stdio::null()).spawn().unwrap())
        }
        "exec" => {
            // Exactly one byte: the rest is for the program.
            rustix::io::read(io::stdin(), &mut [0; 1]).unwrap();
            let program = std::env::var("LIFE_TEST_PROGRAM").unwrap();
            let _keeps_the_connection = std::mem::ManuallyDrop::new(rustix::io::dup(&stream).unwrap());
            panic!("{}", Command::new(program).exec());
        }
        other => panic!("{other}"),
    }
}

/// A line to the test that started this process, apart from what the test harness prints.
fn say(line: &str) {
    writeln!(io::stdout(), "\n{line}").unwrap();
}

/// A child process that connected, and our end.
struct Client {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    ours: UnixStream,
    _folder: tempfile::TempDir,
}

fn command(program: &Path, socket: &Path, deed: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--exact", "--ignored", "--nocapture", "peer::process::tests::child"])
        .env(SOCKET, socket)
        .env(DEED, deed)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

fn wait_for(output: &mut impl BufRead, what: &str) {
    let mut line = String::new();
    while line.trim() != what {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child ended before it said {what}");
    }
}

impl Client {
    fn run(program: &Path, deed: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut child = command(program, &path, deed).env("LIFE_TEST_PROGRAM", "/bin/cat").spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        wait_for(&mut output, "connected");
        let ours = listener.accept().unwrap().0;
        Self { child, output, ours, _folder: folder }
    }

    fn start(deed: &str) -> Self {
        Self::run(&std::env::current_exe().unwrap(), deed)
    }

    fn look(&self, way: Way) -> io::Result<Peer> {
        Peer::look(self.ours.as_fd(), &Programs::own(), way)
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_program_its_control_group_and_its_parent_are_seen() {
    let client = Client::start("wait");
    let own = std::env::current_exe().unwrap();
    let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", client.pid())).unwrap();
    for way in WAYS {
        let peer = client.look(way).unwrap();
        assert_eq!((peer.uid, peer.pid), (super::super::own_uid(), client.pid()));
        assert_eq!(peer.executable.as_deref(), Some(own.as_path()));
        assert!(cgroup.lines().any(|line| line.ends_with(peer.cgroup.as_deref().unwrap())), "{cgroup}");
        let us = std::process::id().cast_signed();
        assert_eq!(peer.parent, Some(Parent { pid: us, executable: Some(own.clone()) }));
        assert!(peer.read("stat").unwrap().starts_with(client.pid().to_string().as_bytes()));
    }
}

#[test]
fn who_has_ended_before_the_look_is_refused_and_not_read_after_it() {
    let mut client = Client::start("wait");
    let peers = WAYS.map(|way| client.look(way).unwrap());
    client.child.kill().unwrap();
    // Ended, but not yet waited for: the number is still its own.
    wait_until_ended(&peers[0]);
    for way in WAYS {
        assert_eq!(client.look(way).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
    client.child.wait().unwrap();
    for way in WAYS {
        assert_eq!(client.look(way).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
    for peer in peers {
        assert_eq!(peer.read("stat").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

fn wait_until_ended(peer: &Peer) {
    let process = pidfd_open(Pid::from_raw(peer.pid).unwrap(), PidfdFlags::empty()).unwrap();
    poll(&mut [PollFd::new(&process, PollFlags::IN)], None).unwrap();
}

#[test]
fn a_process_that_got_the_number_of_one_that_ended_is_not_taken_for_it() {
    const LAST: &str = "/proc/sys/kernel/ns_last_pid";
    // Its connection stays open: another process has it.
    let mut client = Client::start("leave");
    client.child.wait().unwrap();
    let number = client.pid();
    if let Err(error) = std::fs::write(LAST, (number - 1).to_string()) {
        assert!(
            std::env::var_os("LIFE_ALLOW_SKIP").is_some(),
            "{LAST}: {error}; run as root, or set LIFE_ALLOW_SKIP"
        );
        let _seen = writeln!(io::stderr(), "SKIPPED: numbers that change hands: {LAST}: {error}");
        return;
    }
    let mut heir = None;
    for _ in 0..1000 {
        std::fs::write(LAST, (number - 1).to_string()).unwrap();
        let mut other = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        if other.id().cast_signed() == number {
            heir = Some(other);
            break;
        }
        other.kill().unwrap();
        other.wait().unwrap();
    }
    let mut heir = heir.expect("the number was not given out again in a thousand tries");
    assert_eq!(credentials(&client.ours).unwrap().pid, number);
    assert_eq!(client.look(Way::Socket).unwrap_err().kind(), io::ErrorKind::NotFound);
    heir.kill().unwrap();
    heir.wait().unwrap();
}

#[test]
fn who_executes_another_program_is_recorded_as_what_ran_at_the_look() {
    let mut client = Client::start("exec");
    let before = client.look(Way::Socket).unwrap();
    assert_eq!(before.executable, Some(std::env::current_exe().unwrap()));
    let mut input = client.child.stdin.take().unwrap();
    input.write_all(b"!echoed\n").unwrap();
    wait_for(&mut client.output, "echoed");
    let cat = std::fs::canonicalize("/bin/cat").unwrap();
    assert_eq!(client.look(Way::Socket).unwrap().executable, Some(cat));
    assert_eq!(before.executable, Some(std::env::current_exe().unwrap()));
}

#[test]
fn a_program_whose_file_is_gone_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("app");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let client = Client::run(&program, "wait");
    std::fs::remove_file(&program).unwrap();
    let seen = client.look(Way::Socket).unwrap().executable.unwrap();
    assert_eq!(seen, Path::new(&format!("{} (deleted)", program.display())));
}

/// An unprivileged process looks at one of root's: it sees who it is, not what it runs.
#[test]
fn the_program_of_another_user_is_not_seen() {
    if super::super::own_uid() != 0 {
        assert!(std::env::var_os("LIFE_ALLOW_SKIP").is_some(), "run as root, or set LIFE_ALLOW_SKIP");
        let _seen = writeln!(io::stderr(), "SKIPPED: programs of other users: not root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let program = folder.path().join("observer");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let socket = folder.path().join("socket");
    let mut observer =
        command(&program, &socket, "observe").uid(65534).gid(65534).current_dir("/").spawn().unwrap();
    let mut output = BufReader::new(observer.stdout.take().unwrap());
    wait_for(&mut output, "ready");
    let _connected = UnixStream::connect(&socket).unwrap();
    wait_for(&mut output, "0 None true");
    assert!(observer.wait().unwrap().success());
}
