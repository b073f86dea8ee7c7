//! The connections of one user: used again while they are good, so many at once, closed by a lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use life_api::Budget;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::connect::{Connection, Connector, Failed};
use super::gate::Gate;
use crate::error::Fault;

/// How long a connection at rest is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How often connections at rest are looked over.
const SWEEP: Duration = Duration::from_secs(15);
/// How long a connection may take to turn from one request to the next.
const TURN: Duration = Duration::from_millis(20);

/// One user's connections.
pub struct Pool {
    /// What the configuration said when the pool was made.
    pub gate: Arc<Gate>,
    /// Makes connections.
    pub connector: Connector,
    budget: Mutex<Budget>,
    idle: Mutex<Vec<(Connection, Instant)>>,
    places: Arc<Semaphore>,
}

/// A connection at work, with its place. Dropped, it is closed; [`Lease::put_back`] keeps it.
pub struct Lease {
    pool: Arc<Pool>,
    /// The connection.
    pub connection: Connection,
    /// Whether it has carried a request before.
    pub used: bool,
    _place: OwnedSemaphorePermit,
}

impl Pool {
    /// No connection yet.
    pub fn new(gate: Arc<Gate>, connector: Connector) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(gate.connections));
        let pool =
            Arc::new(Self { gate, connector, budget: Mutex::default(), idle: Mutex::default(), places });
        tokio::spawn(sweep(Arc::downgrade(&pool)));
        pool
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What repetitions may cost.
    pub fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection: the one that rests for the shortest time, else a new one.
    pub async fn lease(self: &Arc<Self>) -> Result<Lease, Failed> {
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                let waited =
                    tokio::time::timeout(self.gate.connect, self.places.clone().acquire_owned()).await;
                let full = || Fault::ResourceExhausted.because("all connections of the user are at work");
                waited.ok().and_then(Result::ok).ok_or_else(|| Failed::for_good(full()))?
            }
        };
        while let Some(connection) = self.rested() {
            if let Some(connection) = turned(connection).await {
                return Ok(Lease { pool: self.clone(), connection, used: true, _place: place });
            }
        }
        let connection = self.connector.connect().await?;
        Ok(Lease { pool: self.clone(), connection, used: false, _place: place })
    }

    fn rested(&self) -> Option<Connection> {
        let mut idle = self.idle();
        while let Some((connection, since)) = idle.pop() {
            if !connection.sender.is_closed() && since.elapsed() < IDLE {
                return Some(connection);
            }
        }
        None
    }
}

/// A connection that takes the next request. After an answer it may need a moment.
async fn turned(mut connection: Connection) -> Option<Connection> {
    if connection.sender.is_ready() {
        return Some(connection);
    }
    match tokio::time::timeout(TURN, connection.sender.ready()).await {
        Ok(Ok(())) => Some(connection),
        _ => None,
    }
}

impl Lease {
    /// What the configuration said when the connection was made.
    pub fn gate(&self) -> &Gate {
        &self.pool.gate
    }

    /// Keeps the connection for the next request.
    pub fn put_back(self) {
        if !self.connection.sender.is_closed() {
            self.pool.idle().push((self.connection, Instant::now()));
        }
    }
}

/// Closes connections that rested for too long, as long as there is a pool.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.idle().retain(|(connection, since)| !connection.sender.is_closed() && since.elapsed() < IDLE);
    }
}
