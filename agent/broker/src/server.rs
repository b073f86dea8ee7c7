//! Serving: sockets, services, signals, drain.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc as orders;

use life_proto::FILE_DESCRIPTOR_SET;
use life_proto::v1::accounts_server::AccountsServer;
use life_proto::v1::agent_server::AgentServer;
use life_proto::v1::api_server::ApiServer;
use life_proto::v1::credentials_server::CredentialsServer;
use life_proto::v1::directory_server::DirectoryServer;
use life_proto::v1::documents_server::DocumentsServer;
use life_proto::v1::locked::Cause;
use life_proto::v1::messages_server::MessagesServer;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tonic::transport::Server;

use crate::agent::Agent;
use crate::cards;
use crate::connections::incoming;
use crate::policy::PolicyLayer;
use crate::service_manager;
use crate::services::{
    Accounts, AgentService, Api, BulkCrypto, Credentials, DirectoryService, Documents, Messages,
};
use crate::socket::Socket;
use crate::vault::{Fresh, Order, Vault};

/// The largest gain of all settings: a chunk goes out in few frames.
const FRAME: u32 = 256 * 1024;
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Streams on one connection; the limit on calls is the configuration's.
const STREAMS: u32 = 1024;

/// The sockets of an agent.
pub struct Sockets {
    /// For gRPC.
    pub agent: Socket,
    /// For tickets with descriptors.
    pub descriptors: Socket,
}

/// Serves until told to stop, then lets running calls end.
///
/// # Errors
/// What the transport says.
pub async fn serve(
    agent: Arc<Agent>,
    mut sockets: Sockets,
    fresh: mpsc::Receiver<Fresh>,
    orders: orders::Sender<Order>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // However serving ends, the main thread must learn of it.
    let _keeper = StopKeeper(orders.clone(), agent.vault.clone());
    let listener = sockets.agent.listener().ok_or("the socket was taken")?;
    let descriptors = sockets.descriptors.listener().ok_or("the socket was taken")?;
    tokio::spawn(keep_vault(agent.clone(), fresh, orders.clone()));
    tokio::spawn(agent.tickets.clone().serve(descriptors));
    tokio::spawn(reload_on_hangup(agent.clone()));
    tokio::spawn(seed_and_probe(agent.clone()));
    tokio::spawn(cards::watch(agent.clone()));
    tokio::spawn(service_manager::accompany(agent.clone()));

    tracing::info!("serving");
    let serving = services(&agent)?.serve_with_incoming_shutdown(
        incoming(listener, agent.confined.programs.clone()),
        stop(agent.clone()),
    );
    let mut serving = std::pin::pin!(serving);
    let outcome = tokio::select! {
        ended = &mut serving => ended,
        () = agent.stopping.cancelled() => {
            let drain = agent.config().limits.drain_seconds.duration();
            tokio::time::timeout(drain, &mut serving).await.unwrap_or_else(|_| {
                tracing::warn!("calls are still running and are given up");
                Ok(())
            })
        }
    };
    agent.stopping.cancel();
    agent.identities.forget_all(Cause::Shutdown);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), agent.vault.lock_all()).await;
    tracing::info!("stopped");
    Ok(outcome?)
}

/// Stops the keeper when dropped, and closes the link so that the vault ends.
struct StopKeeper(orders::Sender<Order>, Vault);

impl Drop for StopKeeper {
    fn drop(&mut self) {
        let _ = self.0.send(Order::Stop);
        self.1.close();
    }
}

type Router =
    tonic::transport::server::Router<tower::layer::util::Stack<PolicyLayer, tower::layer::util::Identity>>;

fn services(agent: &Arc<Agent>) -> Result<Router, Box<dyn std::error::Error + Send + Sync>> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let names = life_proto::PERMISSIONS.iter().filter_map(|(path, _)| path.split('/').nth(1));
    for name in names.collect::<std::collections::BTreeSet<_>>() {
        let health = health.clone();
        tokio::spawn(
            async move { health.set_service_status(name, tonic_health::ServingStatus::Serving).await },
        );
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let a = || agent.clone();
    Ok(Server::builder()
        .max_frame_size(FRAME)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .layer(PolicyLayer(a()))
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(AgentServer::new(AgentService(a())))
        .add_service(AccountsServer::new(Accounts(a())))
        .add_service(ApiServer::new(Api(a())))
        .add_service(CredentialsServer::new(Credentials(a())))
        .add_service(BulkCrypto::new(a()))
        .add_service(DirectoryServer::new(DirectoryService(a())))
        .add_service(DocumentsServer::new(Documents(a())))
        .add_service(MessagesServer::new(Messages(a()))))
}

/// Waits for a signal to stop, and tells everything that never ends by itself.
async fn stop(agent: Arc<Agent>) {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::interrupt()) => {}
        () = agent.stopping.cancelled() => {}
    }
    tracing::info!("stopping");
    service_manager::stopping(agent.config().limits.drain_seconds.duration()).await;
    agent.stopping.cancel();
}

/// AWS-LC's first random draw in a process takes as long as everything else before the first call. It happens beside that,
/// and the first who needs it is the probe of the platform.
async fn seed_and_probe(agent: Arc<Agent>) {
    // Whoever draws when that fails is told so again.
    let _ = tokio::task::spawn_blocking(|| aws_lc_rs::rand::fill(&mut [0; 1])).await;
    agent.platform.clone().probe().await;
}

async fn reload_on_hangup(agent: Arc<Agent>) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        service_manager::reloading().await;
        match agent.reload() {
            Ok(()) => tracing::info!("configuration read again"),
            Err(error) => tracing::error!(%error, "the configuration stays as it was"),
        }
        service_manager::reloaded(&agent).await;
    }
}

/// Links each fresh vault, and asks for another when its link breaks.
async fn keep_vault(agent: Arc<Agent>, mut fresh: mpsc::Receiver<Fresh>, orders: orders::Sender<Order>) {
    let mut first = true;
    while let Some(vault) = fresh.recv().await {
        let pid = vault.pid;
        if !std::mem::take(&mut first) {
            agent.vault_restarts.fetch_add(1, Ordering::Relaxed);
            agent.events.vault_restarted(pid);
        }
        agent.vault.serve(vault).await;
        if agent.stopping.is_cancelled() {
            return;
        }
        tracing::error!(pid, "the vault is lost: everything is locked");
        agent.identities.forget_all(Cause::VaultLost);
        if orders.send(Order::Replace).is_err() {
            return;
        }
    }
}
