//! How the agent's processes are protected: as it says, as the kernel says, and on a kernel that has less.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use life_e2e::agent::{Clients, channel};
use life_e2e::binaries;
use life_e2e::process::{Process, eventually, is_alive, signal_pid};
use life_proto::v1::protection::Enforcement;
use rustix::process::Signal;

/// Runs a program on a kernel that answers to landlock_create_ruleset(2), 444 everywhere, that it does not have it.
const WITHOUT_LANDLOCK: &str = r#"
import ctypes, os, struct, sys
program = b"".join(struct.pack("HBBI", *each) for each in
    ((0x20, 0, 0, 0), (0x15, 0, 1, 444), (6, 0, 0, 0x50000 | 38), (6, 0, 0, 0x7fff0000)))
room = ctypes.create_string_buffer(program)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(4, ctypes.addressof(room))), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"#;

/// An agent without a platform.
struct Bare {
    folder: tempfile::TempDir,
    broker: Process,
}

impl Bare {
    fn start(prefix: &[&str], config: &str) -> Self {
        let folder =
            tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("agent.toml"), config).unwrap();
        let broker = binaries::path("life-agentd");
        let mut command = match prefix.split_first() {
            None => Command::new(&broker),
            Some((program, further)) => {
                let mut command = Command::new(program);
                command.args(further).arg(&broker);
                command
            }
        };
        command
            .env("LIFE_CONFIG", at("agent.toml"))
            .env("LIFE_STATE_DIR", at("state"))
            .env("LIFE_AGENT_SOCKET", at("run/agent.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(at("agent.log")).unwrap());
        let broker = Process::new(command.spawn().unwrap());
        Self { folder, broker }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("run/agent.sock")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("agent.log")).unwrap()
    }

    async fn clients(&self) -> Clients {
        eventually("the agent listens", Duration::from_secs(20), || {
            std::os::unix::net::UnixStream::connect(self.socket()).is_ok()
        });
        let mut clients = Clients::over(channel(self.socket()).await);
        clients.vault_pid().await;
        clients
    }

    /// What `life status` says.
    fn status(&self, arguments: &[&str]) -> String {
        let output = Command::new(binaries::path("life"))
            .arg("status")
            .args(arguments)
            .env("LIFE_AGENT_SOCKET", self.socket())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A field of `/proc/PID/status`.
fn kernel_says(pid: u32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.trim().to_owned()
}

#[tokio::test]
async fn what_the_agent_says_of_its_protection_is_what_the_kernel_says() {
    let agent = Bare::start(&[], "");
    let status = agent.clients().await.status().await;
    let (broker, vault) = (status.broker.unwrap(), status.vault.unwrap());
    let (of_broker, of_vault) = (broker.protection.unwrap(), vault.protection.unwrap());
    for (pid, said) in [(broker.pid, &of_broker), (vault.pid, &of_vault)] {
        assert!(said.missing.is_empty(), "{said:?}");
        assert!(said.undumpable && said.no_core && said.no_new_privileges && said.no_executable_memory);
        assert_eq!(kernel_says(pid, "NoNewPrivs"), "1");
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"]);
    }
    assert!(of_vault.seccomp && !of_broker.seccomp);
    assert_eq!((of_vault.landlock(), of_broker.landlock()), (Enforcement::Full, Enforcement::Full));
    assert_eq!(kernel_says(vault.pid, "Seccomp"), "2");
    assert_eq!(kernel_says(vault.pid, "Threads").parse::<u32>().unwrap(), threads_confined(vault.pid));
    assert!(agent.status(&[]).contains("protection: complete\n"));
    let json: serde_json::Value = serde_json::from_str(&agent.status(&["--json"])).unwrap();
    assert_eq!(json["vault"]["protection"]["landlock"], "FULL");
    assert_eq!(json["vault"]["protection"]["seccomp"], true);
}

/// How many of a process's threads have a filter.
fn threads_confined(pid: u32) -> u32 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let confined = tasks.filter(|task| {
        let status = fs::read_to_string(task.as_ref().unwrap().path().join("status")).unwrap();
        status.lines().any(|line| line == "Seccomp:\t2")
    });
    u32::try_from(confined.count()).unwrap()
}

/// The vault has standard input, output and error, its socket again, and what wakes its waiter: nothing inherited.
#[tokio::test]
async fn the_vault_inherits_no_descriptor_and_ends_by_no_signal_of_a_terminal() {
    // A descriptor that is not closed on exec, as a careless parent leaves them.
    let agent = Bare::start(&["/bin/sh", "-c", "exec 9</etc/passwd; exec \"$@\"", "sh"], "");
    let mut clients = agent.clients().await;
    let vault = clients.vault_pid().await;
    let opened: Vec<_> = fs::read_dir(format!("/proc/{vault}/fd"))
        .unwrap()
        .map(|entry| fs::read_link(entry.unwrap().path()).unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(!opened.iter().any(|path| path == "/etc/passwd"), "{opened:?}");
    for signal in [Signal::INT, Signal::QUIT, Signal::HUP, Signal::PIPE] {
        signal_pid(vault, signal);
    }
    let after = clients.status().await;
    assert_eq!((after.vault.unwrap().pid, after.vault_restarts), (vault, 0));
    assert!(is_alive(vault));
}

#[tokio::test]
async fn a_kernel_that_has_less_is_reported_or_refused() {
    let poor = ["/usr/bin/python3", "-c", WITHOUT_LANDLOCK];
    let agent = Bare::start(&poor, "");
    let status = agent.clients().await.status().await;
    let of_broker = status.broker.unwrap().protection.unwrap();
    assert_eq!((of_broker.missing, of_broker.landlock_abi), (vec!["landlock".to_owned()], 0));
    let said = status.vault.unwrap().protection.unwrap();
    assert_eq!(said.missing, ["landlock"]);
    assert_eq!((said.landlock(), said.landlock_abi, said.seccomp), (Enforcement::None, 0, true));
    assert!(agent.status(&[]).contains("protection: the broker lacks landlock"), "{}", agent.status(&[]));
    assert!(agent.status(&[]).contains("protection: the vault lacks landlock"), "{}", agent.status(&[]));
    assert!(agent.log().contains("this kernel lacks"), "{}", agent.log());

    let mut refused = Bare::start(&poor, "[sandbox]\nrequired = true\n");
    assert_eq!(refused.broker.wait(Duration::from_secs(20)).and_then(|status| status.code()), Some(78));
    assert!(refused.log().contains("lacks landlock, and sandbox.required asks for it"), "{}", refused.log());

    let config = refused.folder.path().join("agent.toml");
    let check = |prefix: &[&str]| {
        let mut command = Command::new(prefix[0]);
        command.args(&prefix[1..]).arg("--check-config").env("LIFE_CONFIG", &config).output().unwrap().status
    };
    let program = binaries::path("life-agentd");
    let program = program.to_str().unwrap();
    assert_eq!(check(&[&poor[..], &[program]].concat()).code(), Some(78));
    assert_eq!(check(&[program]).code(), Some(0));

    let complete = Bare::start(&[], "[sandbox]\nrequired = true\n");
    assert!(complete.clients().await.status().await.vault.is_some());
}

/// Where it may start programs is settled when it starts.
#[tokio::test]
async fn a_pinentry_elsewhere_needs_a_restart() {
    let programs = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| {
        let folder = programs.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::copy("/bin/true", folder.join("pinentry")).unwrap();
        format!("[unlock]\npinentry = {:?}\n", folder.join("pinentry"))
    });
    let agent = Bare::start(&[], &one);
    let mut clients = agent.clients().await;
    let reload = |config: &str, says: &str| {
        let before = agent.log().matches(says).count();
        fs::write(agent.folder.path().join("agent.toml"), config).unwrap();
        agent.broker.signal(Signal::HUP);
        eventually(says, Duration::from_secs(20), || agent.log().matches(says).count() > before);
    };
    reload(&two, "unlock.pinentry: is started from there only by an agent that starts anew");
    reload(&one, "configuration read again");
    reload("[unlock]\npinentry = \"/bin/sh\"\n", "configuration read again");
    clients.status().await;
}
