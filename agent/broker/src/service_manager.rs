//! What the service manager is told (sd_notify(3)): that the agent is ready, reloads, stops, how it is, and signs of
//! life while it is well. Without a service manager nothing of this happens.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::UnixDatagram;

use crate::agent::Agent;

/// How long the vault and the threads may take to end after the last call.
const AFTER_DRAIN: Duration = Duration::from_secs(10);
/// How long a service manager may leave a message unread.
const LONGEST: Duration = Duration::from_secs(1);
/// How long to wait before asking for the vault anew where there is none.
const PAUSE: Duration = Duration::from_millis(500);

/// Sends one message. A service manager that does not read must not hold the agent up: it is waited for without
/// blocking the thread, and not for long.
async fn tell(states: &[NotifyState<'_>]) {
    let message: String = states.iter().map(|state| format!("{state}\n")).collect();
    let told = match connect() {
        Ok(None) => return,
        Ok(Some(socket)) => tokio::time::timeout(LONGEST, socket.send(message.as_bytes())).await,
        Err(error) => Ok(Err(error)),
    };
    match told {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the service manager cannot be told"),
        Err(_) => tracing::warn!("the service manager does not listen"),
    }
}

/// A connection of the message's own: the manager may have been started anew since the last one.
fn connect() -> io::Result<Option<UnixDatagram>> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(None) };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = std::os::unix::net::UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket).map(Some)
}

/// Tells that the configuration is being read again; [`reloaded`] must follow.
pub async fn reloading() {
    // Service managers since systemd 253 compare the time with that of their own request.
    match NotifyState::monotonic_usec_now() {
        Ok(time) => tell(&[NotifyState::Reloading, time]).await,
        Err(error) => tracing::warn!(%error, "the service manager cannot be told"),
    }
}

/// Tells that the configuration was read again, or stays as it was.
pub async fn reloaded(agent: &Agent) {
    tell(&[NotifyState::Ready, NotifyState::Status(&status(agent))]).await;
}

/// Tells that the agent stops, and how long its calls may take to end.
pub async fn stopping(drain: Duration) {
    let time = u32::try_from((drain + AFTER_DRAIN).as_micros()).unwrap_or(u32::MAX);
    let status = NotifyState::Status("Stopping: running calls may end");
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(time), status]).await;
}

/// Tells that the agent is ready once a vault is linked, then how it is, until it stops.
///
/// The signs of life of a watchdog are sent from the runtime's one I/O thread, each after an answer of the vault's: a
/// thread that is blocked sends none, and neither does an agent that could not use a key.
pub async fn accompany(agent: Arc<Agent>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let stopping = agent.stopping.clone();
    tokio::select! {
        () = stopping.cancelled() => {}
        () = watch(agent) => {}
    }
}

async fn watch(agent: Arc<Agent>) {
    // From here on no change is missed.
    let mut changes = agent.events.changes();
    while agent.vault.linked().await.is_err() {}
    tell(&[NotifyState::Ready, NotifyState::Status(&status(&agent))]).await;
    if let Some(period) = sd_notify::watchdog_enabled() {
        tokio::spawn(signs_of_life(agent.clone(), period));
    }
    while changes.changed().await.is_ok() {
        tell(&[NotifyState::Status(&status(&agent))]).await;
    }
}

/// Three times in each period, so that one late answer does no harm. A vault that has not answered within a third counts
/// as one that does not answer.
async fn signs_of_life(agent: Arc<Agent>, period: Duration) {
    let third = period / 3;
    let mut well = true;
    while !agent.stopping.is_cancelled() {
        let answered = matches!(tokio::time::timeout(third, agent.vault.answers()).await, Ok(Ok(_)));
        if answered {
            tell(&[NotifyState::Watchdog]).await;
        } else if well {
            tracing::error!("the vault does not answer: the service manager gets no sign of life");
        }
        well = answered;
        tokio::time::sleep(if well { third } else { PAUSE.min(third) }).await;
    }
}

/// How the agent is, in a line without names.
fn status(agent: &Agent) -> String {
    let unlocked = match agent.identities.list().len() {
        0 => "Nobody is unlocked".to_owned(),
        1 => "1 user is unlocked".to_owned(),
        count => format!("{count} users are unlocked"),
    };
    match agent.platform.up() {
        None => unlocked,
        Some((true, _)) => format!("{unlocked}, the platform answered last time"),
        Some((false, _)) => format!("{unlocked}, the platform did not answer last time"),
    }
}
