//! Accepts connections, up to a cap, and serves HTTP/1.1 over TLS until told to drain.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::peer::Peer;
use super::rate::prefix;
use super::stream::Patient;
use crate::config::{Config, seconds};

/// The longest head of a request.
const MAX_HEAD: usize = 32 << 10;

/// Serves until `stop` becomes true; then ends idle connections at once and gives running requests time to finish.
pub async fn run(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    router: Router,
    config: Config,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let connections = Arc::new(Semaphore::new(config.limits.connections));
    let addresses = Addresses::default();
    let tracker = TaskTracker::new();
    let config = Arc::new(config);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Some((stream, address, permit)) = accepted else { break };
        let Some(place) = addresses.take(prefix(address.ip()), config.limits.connections_per_address) else {
            tracing::warn!("a connection was refused: too many from one address");
            continue;
        };
        let (acceptor, router, config, stop) =
            (acceptor.clone(), router.clone(), Arc::clone(&config), stop.clone());
        tracker.spawn(async move {
            converse(stream, address, acceptor, router, &config, stop).await;
            drop((permit, place));
        });
    }
    drop(listener);
    tracker.close();
    if tokio::time::timeout(seconds(config.timeouts.drain), tracker.wait()).await.is_err() {
        tracing::warn!(connections = tracker.len(), "not everything finished in time");
    }
}

/// Waits for room, then for a connection: beyond the cap, clients wait in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return Some((stream, address, permit)),
            Err(error) => {
                // Out of descriptors, or a client that is gone already: neither is a reason to stop.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    config: &Config,
    mut stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(seconds(config.timeouts.handshake), acceptor.accept(stream));
    let stream = match handshake.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a handshake failed"),
        Err(_) => return tracing::debug!("a handshake took too long"),
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|der| der.to_vec());
    let service = PeerService { router, peer: Arc::new(Peer::new(address, certificate)) };
    let io = TokioIo::new(Patient::new(stream, seconds(config.timeouts.idle)));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(seconds(config.timeouts.header))
        .max_buf_size(MAX_HEAD)
        .half_close(false)
        .serve_connection(io, service);
    let ended = {
        let mut stopping = pin!(stop.wait_for(|stop| *stop));
        let mut draining = false;
        std::future::poll_fn(|cx| {
            if !draining && stopping.as_mut().poll(cx).is_ready() {
                draining = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            connection.poll_without_shutdown(cx)
        })
        .await
    };
    match ended {
        Ok(()) => connection.into_parts().io.into_inner().close().await,
        Err(error) => tracing::debug!(%error, "a connection ended early"),
    }
}

/// Hands requests to the router, with what is known of the peer.
#[derive(Clone)]
struct PeerService {
    router: Router,
    peer: Arc<Peer>,
}

impl Service<http::Request<Incoming>> for PeerService {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Self::Error>> + Send>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Arc::clone(&self.peer));
        Box::pin(self.router.clone().oneshot(request))
    }
}

/// Open connections by [`prefix`].
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Addresses {
    fn take(&self, address: IpAddr, limit: usize) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Place { addresses: self.clone(), address })
    }
}

/// One open connection of an address.
struct Place {
    addresses: Addresses,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_network_share_their_places() {
        let addresses = Addresses::default();
        let take = |text: &str| addresses.take(prefix(text.parse().unwrap()), 2);
        let held = [take("2001:db8::1"), take("2001:db8::2:3:4:5")];
        assert!(held.iter().all(Option::is_some));
        assert!(take("2001:db8::6").is_none(), "one client has a whole /64");
        assert!(take("2001:db8:0:1::1").is_some(), "the next /64 is somebody else");
        let other = [take("192.0.2.1"), take("::ffff:192.0.2.1")];
        assert!(other.iter().all(Option::is_some));
        assert!(take("192.0.2.1").is_none() && take("192.0.2.2").is_some());
        drop((held, other));
        assert!(addresses.0.lock().unwrap().is_empty(), "nobody is remembered who is gone");
    }
}
