//! Looks for secrets in running processes: in all memory that can be read, and in the registers of every thread.
//!
//! Whoever calls it knows the secrets. Each is expanded into the [`forms`] that programs keep it in; every aligned word
//! of eight bytes is looked up among all words of all forms ([`needles`]), so any run of 15 bytes is found, whatever its
//! alignment. While it looks, every thread of the processes stands still ([`target`]). It needs root.
//!
//! Not seen: the kernel's memory (socket buffers, page cache), swapped pages of other processes, and other processes.

pub mod forms;
pub mod keys;
pub mod logs;
pub mod needles;
pub mod target;

use std::fmt;

pub use forms::{Kind, Secret};
pub use needles::Needles;
use target::{Held, Mapping};

/// Runs of one form that are no further apart than this are one copy, in bytes.
const ONE_COPY: u64 = 64;
/// How much of a finding's neighbourhood is shown on each side, in bytes.
const NEAR: usize = 48;

/// Where a piece of a secret was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Memory that is locked and kept out of dumps.
    Sheltered,
    /// Other memory.
    Memory,
    /// A thread's registers.
    Registers,
}

/// A piece of a secret that was found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The process.
    pub pid: u32,
    /// Where.
    pub place: Place,
    /// The mapping or the thread, for people.
    pub whereabouts: String,
    /// The first byte's address; for registers its place among them.
    pub address: u64,
    /// How many bytes.
    pub length: usize,
    /// The secret's name.
    pub secret: String,
    /// The form it was found in.
    pub form: &'static str,
    /// What stands around it.
    pub near: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, place, whereabouts, address, length, secret, form, near } = self;
        write!(
            f,
            "{pid} {place:?} {length} bytes of {secret} ({form}) at {address:x}, {whereabouts}\n    {near}"
        )
    }
}

/// Everything that was found in some processes.
#[derive(Debug, Default)]
pub struct Findings {
    /// Each run of bytes.
    pub all: Vec<Finding>,
    /// How many bytes were looked at.
    pub looked_at: u64,
}

impl Findings {
    /// How many copies there are: runs of one form that lie close together are one.
    #[must_use]
    pub fn copies(&self) -> usize {
        copies(self.all.iter())
    }

    /// How many of the copies lie elsewhere than in locked memory that is kept out of dumps.
    #[must_use]
    pub fn exposed(&self) -> usize {
        copies(self.all.iter().filter(|found| found.place != Place::Sheltered))
    }

    /// What is in one process.
    #[must_use]
    pub fn of(&self, pid: u32) -> Vec<&Finding> {
        self.all.iter().filter(|found| found.pid == pid).collect()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copies = self.copies();
        writeln!(f, "{copies} copies, {} of them exposed, in {} bytes:", self.exposed(), self.looked_at)?;
        self.all.iter().try_for_each(|found| writeln!(f, "{found}"))
    }
}

fn copies<'a>(found: impl Iterator<Item = &'a Finding>) -> usize {
    let mut sorted: Vec<_> =
        found.map(|it| (it.pid, &it.secret, it.form, &it.whereabouts, it.address, it.length)).collect();
    sorted.sort();
    let mut count = 0;
    let mut last = None;
    for (pid, secret, form, whereabouts, address, length) in sorted {
        let same = (pid, secret, form, whereabouts);
        if last.is_none_or(|(before, end)| before != same || address > end + ONE_COPY) {
            count += 1;
        }
        last = Some((same, address + length as u64));
    }
    count
}

/// Whether this user may look into processes.
#[must_use]
pub fn may_look() -> bool {
    rustix::process::geteuid().is_root()
}

/// Holds the processes still and looks for the secrets in all of them.
///
/// Panics when a process cannot be held or memory that it can read cannot be read here: what was not looked at must not
/// pass for clean.
#[must_use]
pub fn scan(pids: &[u32], needles: &Needles) -> Findings {
    let held = Held::still(pids);
    let mut findings = Findings::default();
    for pid in pids {
        for mapping in held.mappings(*pid).iter().filter(|mapping| mapping.resident) {
            let memory = mapping.read(*pid);
            findings.looked_at += memory.len() as u64;
            findings.all.extend(needles.search(&memory).into_iter().map(|run| Finding {
                pid: *pid,
                place: if mapping.sheltered { Place::Sheltered } else { Place::Memory },
                whereabouts: whereabouts(&held, *pid, mapping),
                address: mapping.start + run.start as u64,
                length: run.length,
                secret: run.secret.to_owned(),
                form: run.form,
                near: near(&memory, run.start, run.length),
            }));
        }
    }
    for thread in &held.threads {
        findings.looked_at += thread.registers.len() as u64;
        findings.all.extend(needles.search(&thread.registers).into_iter().map(|run| Finding {
            pid: thread.pid,
            place: Place::Registers,
            whereabouts: format!("thread {} ({})", thread.tid, thread.name),
            address: run.start as u64,
            length: run.length,
            secret: run.secret.to_owned(),
            form: run.form,
            near: near(&thread.registers, run.start, run.length),
        }));
    }
    findings
}

/// A mapping, and whose stack it is.
fn whereabouts(held: &Held, pid: u32, mapping: &Mapping) -> String {
    let on_it = |sp: u64| (mapping.start..mapping.end).contains(&sp);
    let stacks: Vec<_> = (held.threads.iter())
        .filter(|thread| thread.pid == pid && on_it(thread.stack_pointer))
        .map(|thread| format!(", stack of {} {} from {:x}", thread.name, thread.tid, thread.stack_pointer))
        .collect();
    format!("{}{}", mapping.line, stacks.concat())
}

/// The bytes around a run, which stands between brackets; what is printable as text.
fn near(memory: &[u8], start: usize, length: usize) -> String {
    let show =
        |bytes: &[u8]| -> String { bytes.iter().map(|byte| byte.escape_ascii().to_string()).collect() };
    let end = start + length;
    format!(
        "{}⟦{}⟧{}",
        show(&memory[start.saturating_sub(NEAR)..start]),
        show(&memory[start..end]),
        show(&memory[end..memory.len().min(end + NEAR)])
    )
}
