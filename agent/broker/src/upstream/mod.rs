//! Calls to the server that the configuration names, in a user's name: what is let through, connections, attempts.

mod attempts;
mod body;
mod connect;
mod exchange;
mod gate;
mod pool;

use std::sync::{Arc, Mutex, PoisonError};

use life_pki::Certificate;
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

pub use attempts::call;
pub use body::{Draw, Payload};
pub use exchange::Answer;
pub use gate::{Gate, GateError};
use pool::Pool;

use crate::error::Result;
use crate::platform::{Binding, identified};
use crate::vault::Session;

/// The way to the server for one user.
pub struct Upstream {
    session: Arc<Session>,
    authentication: Certificate,
    issuers: Vec<Vec<u8>>,
    binding: Arc<Binding>,
    locked: CancellationToken,
    pool: Mutex<Option<Arc<Pool>>>,
}

impl Upstream {
    /// As the user whose authentication key is open in `session`, until `locked`.
    pub fn new(
        session: Arc<Session>,
        authentication: Certificate,
        issuers: Vec<Vec<u8>>,
        binding: Arc<Binding>,
        locked: CancellationToken,
    ) -> Self {
        Self { session, authentication, issuers, binding, locked, pool: Mutex::default() }
    }

    /// The user's connections, as the configuration has them now: one that changed begins with none.
    ///
    /// # Errors
    /// INTERNAL when TLS cannot be set up.
    pub fn pool(&self, gate: &Arc<Gate>) -> Result<Arc<Pool>> {
        let mut kept = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = kept.as_ref().filter(|pool| Arc::ptr_eq(&pool.gate, gate)) {
            return Ok(pool.clone());
        }
        let pinned = [CertificateDer::from(self.binding.bundle.server_root.der())];
        let roots = gate.roots.as_deref().unwrap_or(&pinned);
        let mut tls = identified(roots, self.session.clone(), &self.authentication, &self.issuers)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let origin = gate.origin.as_ref().unwrap_or(&self.binding.origin);
        let connector = connect::Connector::new(origin, tls, gate.connect, self.locked.clone())?;
        let pool = Pool::new(gate.clone(), connector);
        *kept = Some(pool.clone());
        Ok(pool)
    }
}
