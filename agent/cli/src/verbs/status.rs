//! `life status`: how the agent is.

use std::fmt::Write;
use std::time::Duration;

use clap::Args;
use life_proto::v1;
use serde::Serialize;

use crate::context::Context;
use crate::error::Error;
use crate::names::bare;
use crate::output::{Report, time_or_none, word};

/// An agent that does not answer within this time is in trouble.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says how the agent is: its processes, who is unlocked, the platform.
///
/// Exits with 69 when no agent answers.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"version\",\"broker\":{\"pid\",\"start_time\",\"protection\"},\"vault\":{\"pid\",\"start_time\",\"protection\"} or null,\"vault_restarts\",
  \"vault_memory\":{\"arena\",\"used\",\"peak\",\"locked\",\"large\",\"large_peak\",\"large_unlocked\",\"refused_requests\",\
\"scratch_protection\"} or null,
  \"descriptor_socket\",\"identities\":[{\"user\",\"uid\",\"credential\",\"credential_kind\",\"state\",\"unlock_time\",\
\"expire_time\",
  \"generation\"}],\"platform\":{\"origin\",\"up\",\"check_time\",\"ca_fingerprint\"} or null}
  protection: {\"undumpable\",\"no_core\",\"no_new_privileges\",\"no_executable_memory\",\"seccomp\",\"landlock\",\"landlock_abi\",
  \"missing\":[]} or null")]
pub struct Arguments {}

#[derive(Serialize)]
struct Status {
    version: String,
    broker: Option<Process>,
    vault: Option<Process>,
    vault_restarts: u32,
    vault_memory: Option<Memory>,
    descriptor_socket: String,
    identities: Vec<Identity>,
    platform: Option<Platform>,
}

/// The vault's memory, in bytes.
#[derive(Serialize)]
struct Memory {
    arena: u64,
    used: u64,
    peak: u64,
    locked: u64,
    large: u64,
    large_peak: u64,
    large_unlocked: u64,
    refused_requests: u64,
    scratch_protection: String,
}

#[derive(Serialize)]
struct Process {
    pid: u32,
    start_time: Option<String>,
    protection: Option<Protection>,
}

/// How a process is protected.
#[derive(Serialize)]
struct Protection {
    undumpable: bool,
    no_core: bool,
    no_new_privileges: bool,
    no_executable_memory: bool,
    seccomp: bool,
    landlock: String,
    landlock_abi: u32,
    missing: Vec<String>,
}

/// An unlocked user.
#[derive(Serialize)]
pub struct Identity {
    user: String,
    uid: String,
    credential: String,
    credential_kind: String,
    state: String,
    unlock_time: Option<String>,
    expire_time: Option<String>,
    generation: u32,
}

#[derive(Serialize)]
struct Platform {
    origin: String,
    up: bool,
    check_time: Option<String>,
    ca_fingerprint: String,
}

/// Runs the verb.
pub async fn run(_arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let mut agent = context.connect().await?.agent();
    let mut request = tonic::Request::new(v1::GetStatusRequest {});
    request.set_timeout(PATIENCE);
    let status = agent.get_status(request).await?.into_inner();
    context.output.answer(&Status::from(status))
}

impl From<v1::GetStatusResponse> for Status {
    fn from(status: v1::GetStatusResponse) -> Self {
        Self {
            version: status.version,
            broker: status.broker.map(Process::from),
            vault: status.vault.map(Process::from),
            vault_restarts: status.vault_restarts,
            vault_memory: status.vault_memory.map(Memory::from),
            descriptor_socket: status.descriptor_socket,
            identities: status.identities.into_iter().map(Identity::from).collect(),
            platform: status.platform.map(|platform| Platform {
                origin: platform.origin,
                up: platform.up,
                check_time: time_or_none(platform.check_time),
                ca_fingerprint: platform.ca_fingerprint,
            }),
        }
    }
}

impl From<v1::VaultMemory> for Memory {
    fn from(memory: v1::VaultMemory) -> Self {
        Self {
            scratch_protection: word(memory.scratch_protection().as_str_name(), "SCRATCH_PROTECTION_"),
            arena: memory.arena_bytes,
            used: memory.used_bytes,
            peak: memory.peak_bytes,
            locked: memory.locked_bytes,
            large: memory.large_bytes,
            large_peak: memory.large_peak_bytes,
            large_unlocked: memory.large_unlocked_bytes,
            refused_requests: memory.refused_requests,
        }
    }
}

impl From<v1::Process> for Process {
    fn from(process: v1::Process) -> Self {
        Self {
            pid: process.pid,
            start_time: time_or_none(process.start_time),
            protection: process.protection.map(Protection::from),
        }
    }
}

impl From<v1::Protection> for Protection {
    fn from(found: v1::Protection) -> Self {
        Self {
            undumpable: found.undumpable,
            no_core: found.no_core,
            no_new_privileges: found.no_new_privileges,
            no_executable_memory: found.no_executable_memory,
            seccomp: found.seccomp,
            landlock: word(found.landlock().as_str_name(), "ENFORCEMENT_"),
            landlock_abi: found.landlock_abi,
            missing: found.missing,
        }
    }
}

impl From<v1::UnlockedIdentity> for Identity {
    fn from(identity: v1::UnlockedIdentity) -> Self {
        Self {
            uid: bare(&identity.user).to_owned(),
            credential_kind: word(identity.credential_kind().as_str_name(), "CREDENTIAL_KIND_"),
            state: word(identity.state().as_str_name(), "UNLOCK_STATE_"),
            user: identity.user,
            credential: identity.credential,
            unlock_time: time_or_none(identity.unlock_time),
            expire_time: time_or_none(identity.expire_time),
            generation: identity.generation,
        }
    }
}

impl Report for Identity {
    fn text(&self) -> String {
        let expiry = self.expire_time.as_deref().map(|time| format!(", expires {time}")).unwrap_or_default();
        format!("{}: {} by {}{expiry}\n", self.uid, self.state, self.credential_kind)
    }
}

impl Status {
    /// One line when all is known to be well; else what each process lacks.
    fn protection(&self) -> String {
        let processes = [("broker", &self.broker), ("vault", &self.vault)];
        let said = processes.map(|(name, process)| Some((name, process.as_ref()?.protection.as_ref()?)));
        let mut lines = String::new();
        for (name, protection) in said.iter().flatten() {
            for missing in &protection.missing {
                let _infallible = writeln!(
                    lines,
                    "protection: the {name} lacks {missing}, which this kernel does not have"
                );
            }
        }
        let complete = lines.is_empty() && said.iter().all(Option::is_some);
        if complete { "protection: complete\n".to_owned() } else { lines }
    }
}

impl Report for Status {
    fn text(&self) -> String {
        let mut text = format!("agent {}\n", self.version);
        for (name, process) in [("broker", &self.broker), ("vault", &self.vault)] {
            let _infallible = match process {
                Some(process) => writeln!(text, "{name}: process {}", process.pid),
                None => writeln!(text, "{name}: none"),
            };
        }
        text.push_str(&self.protection());
        if self.vault_restarts > 0 {
            let _infallible = writeln!(text, "vault restarts: {}", self.vault_restarts);
        }
        if let Some(memory) = &self.vault_memory {
            let kib = |bytes: u64| bytes / 1024;
            let _infallible = writeln!(
                text,
                "vault memory: {} KiB of {} KiB in use, at most {}; {} KiB locked",
                kib(memory.used),
                kib(memory.arena),
                kib(memory.peak),
                kib(memory.locked)
            );
        }
        let _infallible = match &self.platform {
            Some(platform) => {
                let how = match (&platform.check_time, platform.up) {
                    (None, _) => "not asked yet",
                    (Some(_), true) => "up",
                    (Some(_), false) => "down",
                };
                writeln!(text, "platform: {} ({how})", platform.origin)
            }
            None => writeln!(text, "platform: not configured"),
        };
        if self.identities.is_empty() {
            text.push_str("unlocked: nobody\n");
        } else {
            text.push_str("unlocked:\n");
            self.identities.iter().for_each(|identity| text.push_str(&format!("  {}", identity.text())));
        }
        text
    }
}
