//! A line between agent and platform that the test can cut, hold or lead elsewhere: TCP, so that neither end notices more than that.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::Platform;

/// Whether something happens to what passes from now on.
type When = Box<dyn Fn() -> bool + Send>;

/// What is held back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hold {
    /// Nothing.
    Nothing,
    /// The next answer, on whatever connection it comes.
    Next,
    /// What comes on this connection.
    Connection(usize),
    /// Every connection.
    Everything,
}

impl Hold {
    fn is_of(self, number: usize) -> bool {
        self == Self::Connection(number) || self == Self::Everything
    }
}

/// A line to a platform, open until told otherwise.
pub struct Tap {
    /// What an agent is to take for the platform's origin.
    pub origin: String,
    line: Arc<Line>,
}

struct Line {
    /// Where new connections go.
    end: Mutex<SocketAddr>,
    loses: Mutex<Option<When>>,
    /// Whether the next request is held, as if it were an answer.
    holds: Mutex<Option<When>>,
    hold: watch::Sender<Hold>,
    /// Bytes that came from the agent.
    asked: AtomicU64,
}

impl Tap {
    /// Lays a line to a platform.
    pub async fn to(platform: &Platform) -> Self {
        let address = address_of(platform);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://{}", listener.local_addr().unwrap());
        let hold = watch::channel(Hold::Nothing).0;
        let line = Arc::new(Line {
            end: Mutex::new(address),
            loses: Mutex::default(),
            holds: Mutex::default(),
            hold,
            asked: AtomicU64::new(0),
        });
        tokio::spawn(serve(listener, line.clone()));
        Self { origin, line }
    }

    /// From now on an answer gets lost, with its connection, if this holds when it comes.
    pub fn lose_answers_when(&self, holds: impl Fn() -> bool + Send + 'static) {
        *self.line.loses.lock().unwrap() = Some(Box::new(holds));
    }

    /// Bytes that came from the agent so far.
    pub fn asked(&self) -> u64 {
        self.line.asked.load(Ordering::Relaxed)
    }

    /// New connections go to another place; those that are open stay.
    pub fn lead_to(&self, address: SocketAddr) {
        *self.line.end.lock().unwrap() = address;
    }

    /// Nothing gets lost any more.
    pub fn mend(&self) {
        *self.line.loses.lock().unwrap() = None;
    }

    /// Holds the next answer, with its connection; what comes on others is not touched.
    pub fn hold_next(&self) {
        self.line.hold.send_replace(Hold::Next);
    }

    /// Holds the next request for which this holds, with its connection; others are not touched.
    pub fn hold_request_when(&self, holds: impl Fn() -> bool + Send + 'static) {
        *self.line.holds.lock().unwrap() = Some(Box::new(holds));
    }

    /// Holds whatever comes from now on, on all connections.
    pub fn hold_everything(&self) {
        self.line.hold.send_replace(Hold::Everything);
    }

    /// Waits until there is something to hold.
    pub async fn held(&self) {
        let mut hold = self.line.hold.subscribe();
        hold.wait_for(|hold| matches!(hold, Hold::Connection(_))).await.unwrap();
    }

    /// Lets go what is held.
    pub fn release(&self) {
        self.line.hold.send_replace(Hold::Nothing);
    }
}

/// Where a platform listens.
pub fn address_of(platform: &Platform) -> SocketAddr {
    platform.origin.strip_prefix("https://").unwrap().parse().unwrap()
}

async fn serve(listener: TcpListener, line: Arc<Line>) {
    for number in 0.. {
        let Ok((agent, _)) = listener.accept().await else { return };
        let end = *line.end.lock().unwrap();
        let Ok(server) = TcpStream::connect(end).await else { continue };
        let (from_agent, to_agent) = agent.into_split();
        let (from_server, to_server) = server.into_split();
        let line = line.clone();
        // The end of one direction is the end of both.
        tokio::spawn(async move {
            tokio::select! {
                () = ask(from_agent, to_server, number, &line) => {}
                () = answer(from_server, to_agent, number, &line) => {}
            }
        });
    }
}

async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: usize, line: &Line) {
    let mut buffer = vec![0; 64 * 1024];
    let mut hold = line.hold.subscribe();
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        line.asked.fetch_add(count as u64, Ordering::Relaxed);
        let held = line.holds.lock().unwrap().take_if(|holds| holds()).is_some();
        if held {
            line.hold.send_replace(Hold::Connection(number));
        }
        if hold.wait_for(|hold| !hold.is_of(number)).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: usize, line: &Line) {
    let mut buffer = vec![0; 64 * 1024];
    let mut hold = line.hold.subscribe();
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        line.hold.send_if_modified(|hold| {
            let next = *hold == Hold::Next;
            if next {
                *hold = Hold::Connection(number);
            }
            next
        });
        if hold.wait_for(|hold| !hold.is_of(number)).await.is_err() {
            return;
        }
        if line.loses.lock().unwrap().as_ref().is_some_and(|loses| loses()) {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
