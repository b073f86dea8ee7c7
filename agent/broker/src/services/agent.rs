//! The service Agent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use life_proto::v1::{
    self, GetStatusRequest, GetStatusResponse, LockRequest, LockResponse, WatchEventsRequest,
    WatchEventsResponse, agent_server,
};
use life_sys::scratch;
use life_vault_protocol::MemoryUse;
use tonic::{Request, Response, Status};

use super::streams::{Answers, answer, call};
use crate::agent::Agent;
use crate::error::{Fault, Result};
use crate::protection;

/// A watcher may leave events unread as long as it likes: it loses the oldest.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The service Agent.
pub struct AgentService(pub Arc<Agent>);

impl AgentService {
    fn platform(&self) -> Option<v1::PlatformStatus> {
        let (origin, ca_fingerprint) = self.0.platform.describe()?;
        let up = self.0.platform.up();
        Some(v1::PlatformStatus {
            origin,
            up: up.is_some_and(|(up, _)| up),
            check_time: up.map(|(_, at)| at.into()),
            ca_fingerprint,
        })
    }
}

#[tonic::async_trait]
impl agent_server::Agent for AgentService {
    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        let agent = &self.0;
        let process = |pid, since: std::time::SystemTime, protection| v1::Process {
            pid,
            start_time: Some(since.into()),
            protection,
        };
        let (memory, protected) = agent.vault.report().await;
        let vault = agent.vault.process();
        Ok(Response::new(GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            broker: Some(process(
                std::process::id(),
                agent.started,
                Some(protection::of_broker(agent.confined.confinement)),
            )),
            vault: vault
                .map(|(pid, since)| process(pid, since, protected.as_ref().map(protection::of_vault))),
            identities: agent.identities.list().iter().map(|identity| identity.to_wire()).collect(),
            platform: self.platform(),
            vault_restarts: agent.vault_restarts.load(Ordering::Relaxed),
            vault_memory: memory.as_ref().map(vault_memory),
            descriptor_socket: agent.paths.descriptor_socket.to_string_lossy().into_owned(),
        }))
    }

    type WatchEventsStream = Answers<WatchEventsResponse>;

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let mut watch = self.0.events.watch();
        let stopping = self.0.stopping.clone();
        Ok(answer(call(&request), NEVER, |out| async move {
            loop {
                let event = tokio::select! {
                    biased;
                    event = watch.next() => event,
                    () = stopping.cancelled() => None,
                };
                match event {
                    Some(event) => out.send(event).await?,
                    None => return Err(Fault::ShuttingDown.into()),
                }
            }
        }))
    }

    async fn lock(&self, _: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        self.0.tickets.void(None);
        self.0.prompts.void(None);
        let count = self.0.identities.forget_all(v1::locked::Cause::Requested);
        // A vault that does not answer is replaced: the keys are gone with its process.
        self.0.vault.lock_all().await?;
        Ok(Response::new(LockResponse { locked_count: u32::try_from(count).unwrap_or(u32::MAX) }))
    }
}

fn vault_memory(memory: &MemoryUse) -> v1::VaultMemory {
    v1::VaultMemory {
        arena_bytes: memory.arena,
        used_bytes: memory.used,
        peak_bytes: memory.peak,
        locked_bytes: memory.locked,
        large_bytes: memory.large,
        large_peak_bytes: memory.large_peak,
        large_unlocked_bytes: memory.large_unlocked,
        refused_requests: memory.refused,
        scratch_protection: match memory.scratch {
            None => v1::ScratchProtection::Unspecified,
            Some(scratch::Protection::Locked) => v1::ScratchProtection::Locked,
            Some(scratch::Protection::Droppable) => v1::ScratchProtection::Droppable,
            Some(scratch::Protection::Hidden) => v1::ScratchProtection::Hidden,
        }
        .into(),
    }
}
