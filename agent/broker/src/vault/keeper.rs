//! The vault's process: started and reaped by the main thread, which does nothing else, because the kernel ties the
//! child's death signal to the thread that started it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::config::Sandbox;

/// A vault that lives shorter than this is started again only after a pause.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// The pause after the first short life; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a vault may take to end once its socket is closed because the agent stops.
const GRACE: Duration = Duration::from_secs(2);
/// How long a vault may take to end whose link broke: it has ended already, or hangs.
const LOST_GRACE: Duration = Duration::from_millis(100);

/// What the runtime asks of the main thread.
pub enum Order {
    /// The link broke: put an end to the process and start another.
    Replace,
    /// The agent stops: the link is closed, wait for the process to end.
    Stop,
}

/// A vault that was just started.
pub struct Fresh {
    /// Its process id.
    pub pid: u32,
    /// The broker's end of the socket pair.
    pub socket: UnixStream,
}

/// Starts vaults and waits for their end.
pub struct Keeper {
    program: PathBuf,
    sandbox: Sandbox,
    /// Where pcscd listens, if the vault may talk to it.
    cards: Option<PathBuf>,
    pause: Duration,
}

impl Keeper {
    /// A keeper of this program. The vault may talk to pcscd where `cards` says where that listens.
    pub fn new(program: PathBuf, sandbox: Sandbox, cards: Option<PathBuf>) -> Self {
        Self { program, sandbox, cards, pause: Duration::ZERO }
    }

    /// Starts vaults until told to stop. `tell` hands each fresh one to the runtime, and says whether anybody listens.
    ///
    /// # Errors
    /// When the first one cannot be started; later failures are logged and tried again.
    pub fn run(mut self, orders: &mpsc::Receiver<Order>, tell: impl Fn(Fresh) -> bool) -> io::Result<()> {
        let mut first = true;
        loop {
            let started = Instant::now();
            match self.start() {
                Ok((child, fresh)) => {
                    first = false;
                    let listening = tell(fresh);
                    let order = if listening { orders.recv().unwrap_or(Order::Stop) } else { Order::Stop };
                    if matches!(order, Order::Stop) {
                        end(child, GRACE);
                        return Ok(());
                    }
                    end(child, LOST_GRACE);
                }
                Err(error) if first => return Err(error),
                Err(error) => tracing::error!(%error, "the vault cannot be started"),
            }
            if self.rest(started.elapsed(), orders) {
                return Ok(());
            }
        }
    }

    /// Pauses after a short life; says whether to stop meanwhile.
    fn rest(&mut self, life: Duration, orders: &mpsc::Receiver<Order>) -> bool {
        if life >= SHORT_LIFE {
            self.pause = Duration::ZERO;
            return false;
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        matches!(orders.recv_timeout(self.pause), Ok(Order::Stop) | Err(mpsc::RecvTimeoutError::Disconnected))
    }

    /// Starts one with the socket pair's end as its standard input, and an environment with nothing in it but
    /// where pcscd listens.
    fn start(&self) -> io::Result<(Child, Fresh)> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = Command::new(&self.program)
            .args(self.sandbox.required.then_some("--require-sandbox"))
            .env_clear()
            .envs(self.cards.iter().map(|socket| ("PCSCLITE_CSOCK_NAME", socket)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .current_dir("/")
            .spawn()?;
        tracing::info!(pid = child.id(), "vault started");
        let fresh = Fresh { pid: child.id(), socket: ours };
        Ok((child, fresh))
    }
}

/// Waits for the process to end, and kills it when it does not.
fn end(mut child: Child, grace: Duration) {
    let deadline = Instant::now() + grace;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return tracing::info!(%status, "vault ended"),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) | Err(_) => break,
        }
    }
    tracing::warn!("the vault does not end and is killed");
    let _ = child.kill();
    let _ = child.wait();
}
