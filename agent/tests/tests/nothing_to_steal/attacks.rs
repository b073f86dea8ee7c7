//! Those who try to take memory: another program of the same user, and root with a debugger.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use life_e2e::agent::as_nobody;
use life_e2e::process::{Process, eventually};
use life_e2e::scan::{self, Needles};
use life_e2e::{Agent, Platform, User, dev, skip};
use life_proto::v1::ParticipantKind;
use rustix::process::Signal;

use crate::scene::{Pids, end_by, lock, needles, use_keys};

/// What a program of the same user can try: each prints its result and fails when it was refused.
const ATTACKS: &[(&str, &str)] = &[
    ("ptrace", "import ctypes,sys\nsys.exit(ctypes.CDLL(None).ptrace(16, int(sys.argv[1]), 0, 0) != 0)"),
    ("seize", "import ctypes,sys\nsys.exit(ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), 0, 0) != 0)"),
    ("read /proc/PID/mem", "import sys\nopen(f'/proc/{sys.argv[1]}/mem', 'rb')"),
    ("write /proc/PID/mem", "import sys\nopen(f'/proc/{sys.argv[1]}/mem', 'r+b')"),
    ("read /proc/PID/maps", "import sys\nsys.exit(not open(f'/proc/{sys.argv[1]}/maps').read())"),
    ("read /proc/PID/environ", "import sys\nopen(f'/proc/{sys.argv[1]}/environ').read()"),
    ("list /proc/PID/fd", "import os,sys\nos.listdir(f'/proc/{sys.argv[1]}/fd')"),
    (
        "process_vm_readv",
        "import ctypes,sys\nb=ctypes.create_string_buffer(1)\n\
         class V(ctypes.Structure): _fields_=[('b',ctypes.c_void_p),('l',ctypes.c_size_t)]\n\
         f=ctypes.CDLL(None).process_vm_readv\nf.restype=ctypes.c_ssize_t\n\
         l,r=V(ctypes.addressof(b),1),V(int(sys.argv[2]),1)\n\
         sys.exit(f(int(sys.argv[1]),ctypes.byref(l),1,ctypes.byref(r),1,0) != 1)",
    ),
    (
        "pidfd_getfd",
        "import ctypes,os,sys\np=os.pidfd_open(int(sys.argv[1]))\nsys.exit(ctypes.CDLL(None).syscall(438, p, 0, 0) < 0)",
    ),
];

/// Tries it on a process, as nobody.
fn attack(program: &str, pid: u32) -> Output {
    // Some address that can be read, which root looks up for the attacker.
    let address = scan::target::mappings(pid).into_iter().find(|mapping| mapping.resident).unwrap().start;
    let mut command = Command::new("setpriv");
    command.args(&as_nobody()[1..]).args([
        "/usr/bin/python3",
        "-c",
        program,
        &pid.to_string(),
        &address.to_string(),
    ]);
    command.stdin(Stdio::null()).current_dir("/").output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_the_same_user_reaches_neither_process() {
    if !skip::needs("attacks by the same user", "only root can be somebody else", scan::may_look()) {
        return;
    }
    let platform = Platform::start();
    let agent = Agent::start_confined(&platform, "");
    let mut clients = agent.clients().await;
    User::ready(&mut clients, ParticipantKind::Patient).await;
    let pids = Pids::of(&mut clients).await;
    // The control: each of them works on a program that takes no care.
    let mut careless = Command::new("setpriv");
    careless.args(&as_nobody()[1..]).args(["sleep", "600"]).stdin(Stdio::null());
    let careless = Process::new(careless.spawn().unwrap());
    eventually("it is nobody's", Duration::from_secs(5), || {
        fs::read_to_string(format!("/proc/{}/comm", careless.pid())).unwrap() == "sleep\n"
    });
    for (what, program) in ATTACKS {
        let done = attack(program, careless.pid());
        assert!(done.status.success(), "{what}: the control fails: {}", dev::text(&done.stderr));
        for pid in [pids.broker, pids.vault] {
            let refused = attack(program, pid);
            assert_eq!(refused.status.code(), Some(1), "{what} on {pid}: {}", dev::text(&refused.stderr));
        }
    }
    assert_eq!(Pids::of(&mut clients).await, pids, "they have taken no notice");
}

/// How many pieces of secrets are in a core that gdb's gcore(1) writes, as root.
fn pieces_in_core(folder: &Path, pid: u32, needles: &Needles) -> usize {
    let prefix = folder.join("core");
    let output = Command::new("gcore").arg("-o").arg(&prefix).arg(pid.to_string()).output();
    let output = output.expect("install the Debian package gdb");
    let path = folder.join(format!("core.{pid}"));
    assert!(path.exists(), "{}{}", dev::text(&output.stdout), dev::text(&output.stderr));
    let core = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(core.starts_with(b"\x7fELF") && core.len() > 1 << 16, "no core: {} bytes", core.len());
    needles.search(&core).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_root_writes_has_no_secret_in_it() {
    if !skip::needs("cores that root writes", "only root can write them", scan::may_look()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::register(&mut agent.clients().await, ParticipantKind::Patient).await;
    let needles = needles(&platform, &user);
    let pids = Pids::of(&mut clients).await;
    user.unlock(&mut agent.clients().await).await;
    use_keys(&agent, &user, 4).await;
    // gcore leaves out what is kept out of dumps, which is where the secrets are.
    assert_eq!(pieces_in_core(folder.path(), pids.vault, &needles), 0, "the vault, unlocked");
    lock(&mut clients).await;
    for pid in [pids.vault, pids.broker] {
        assert_eq!(pieces_in_core(folder.path(), pid, &needles), 0, "{pids:?}: {pid}, locked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_process_leaves_a_core() {
    if !skip::needs("cores of processes that crash", "only root may read them", scan::may_look()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The control, and a system that writes no cores at all has nothing to be tested.
    let script = "ulimit -c unlimited && exec sleep 600";
    let mut careless = Command::new("sh");
    careless.args(["-c", script]).current_dir(folder.path()).stdin(Stdio::null());
    let mut careless = Process::new(careless.spawn().unwrap());
    eventually("it sleeps", Duration::from_secs(5), || {
        fs::read_to_string(format!("/proc/{}/comm", careless.pid())).unwrap() == "sleep\n"
    });
    careless.signal(Signal::SEGV);
    let dumped = careless.wait(Duration::from_secs(10)).expect("it ends").core_dumped();
    if !skip::needs("cores of processes that crash", "this system writes none", dumped) {
        return;
    }
    let platform = Platform::start();
    let mut agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let pids = Pids::of(&mut clients).await;
    for pid in [pids.vault, pids.broker] {
        // Root may do so in most places; then only that the processes are not dumpable stands in the way.
        let _where_allowed =
            Command::new("prlimit").args(["--core=unlimited", "--pid", &pid.to_string()]).output();
    }
    end_by(pids.vault, Signal::SEGV);
    eventually("the vault's end is logged", Duration::from_secs(10), || agent.log().contains("signal: 11"));
    assert!(!agent.log().contains("core dumped"), "{}", agent.log());
    end_by(pids.broker, Signal::SEGV);
    let ended = agent.broker().wait(Duration::from_secs(10)).expect("the broker ends");
    assert!(ended.signal() == Some(11) && !ended.core_dumped(), "{ended:?}");
}
