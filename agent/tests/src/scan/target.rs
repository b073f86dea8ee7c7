//! Processes that are looked into: their mappings, and their threads, which stand still meanwhile.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::Process;

/// A mapping of a process, as smaps describes it (proc_pid_smaps(5)).
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Its first address.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// What smaps says of it in one line: mode, name, flags.
    pub line: String,
    /// Locked into memory, and kept out of dumps.
    pub sheltered: bool,
    /// Whether any page of it is there, or swapped.
    pub resident: bool,
    /// Pages of the kernel's, which nobody writes to.
    kernels: bool,
}

impl Mapping {
    /// Everything in it.
    ///
    /// Panics for memory that cannot be read, such as that of memfd_secret(2).
    #[must_use]
    pub fn read(&self, pid: u32) -> Vec<u8> {
        if self.kernels {
            return Vec::new();
        }
        let file = File::open(format!("/proc/{pid}/mem")).unwrap();
        let mut bytes = vec![0; usize::try_from(self.end - self.start).unwrap()];
        if let Err(error) = file.read_exact_at(&mut bytes, self.start) {
            panic!("cannot look into {} of {pid}: {error}", self.line);
        }
        bytes
    }
}

/// All mappings of a process.
#[must_use]
pub fn mappings(pid: u32) -> Vec<Mapping> {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let mut found: Vec<Mapping> = Vec::new();
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap();
        if let Some((start, end)) = first.split_once('-') {
            let address = |hex: &str| u64::from_str_radix(hex, 16).unwrap();
            found.push(Mapping {
                start: address(start),
                end: address(end),
                line: line.split_whitespace().collect::<Vec<_>>().join(" "),
                sheltered: false,
                resident: false,
                kernels: line.contains("[vvar") || line.contains("[vsyscall]"),
            });
            continue;
        }
        let mapping = found.last_mut().unwrap();
        match first {
            "Rss:" | "Swap:" => mapping.resident |= words.next() != Some("0"),
            "VmFlags:" => {
                let flags: Vec<_> = words.collect();
                mapping.sheltered = flags.contains(&"lo") && flags.contains(&"dd");
                mapping.line = format!("{} [{}]", mapping.line, flags.join(" "));
            }
            _ => {}
        }
    }
    assert!(!found.is_empty(), "{pid} has no memory: it has ended");
    found
}

/// A thread that stands still.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its process.
    pub pid: u32,
    /// Its id.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// Where its stack has come to.
    pub stack_pointer: u64,
    /// All its registers, general and vector, one after the other.
    pub registers: Vec<u8>,
}

/// Processes of which every thread stands still until this is dropped.
pub struct Held {
    /// All threads of all of them.
    pub threads: Vec<Thread>,
    holder: Process,
}

impl Held {
    /// Stops every thread and reads its registers. ptrace(2) needs unsafe code, so a Python program does it.
    ///
    /// Panics when one cannot be held.
    #[must_use]
    pub fn still(pids: &[u32]) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("testkit/hold_still.py");
        let mut command = Command::new("python3");
        command.arg(program).args(pids.iter().map(u32::to_string));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut holder = Process::new(child);
        let mut lines = BufReader::new(holder.child().stdout.take().unwrap()).lines();
        let mut threads = Vec::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("{pids:?} cannot be held still")).unwrap();
            if line == "still" {
                break;
            }
            let fields: Vec<&str> = line.splitn(5, ' ').collect();
            let [pid, tid, stack_pointer, registers, name] = fields[..] else { panic!("{line}") };
            threads.push(Thread {
                pid: pid.parse().unwrap(),
                tid: tid.parse().unwrap(),
                name: name.to_owned(),
                stack_pointer: stack_pointer.parse().unwrap(),
                registers: hex::decode(registers).unwrap(),
            });
        }
        for pid in pids {
            assert!(threads.iter().any(|thread| thread.pid == *pid), "{pid} has no thread");
        }
        Self { threads, holder }
    }

    /// The mappings of one of them.
    #[must_use]
    pub fn mappings(&self, pid: u32) -> Vec<Mapping> {
        mappings(pid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The end of its input tells it to let go; its end would, too.
        drop(self.holder.child().stdin.take());
        let _ended = self.holder.child().wait();
    }
}
