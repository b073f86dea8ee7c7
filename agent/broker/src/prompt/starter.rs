//! The thread that starts pinentries. The kernel ties a child's death signal to the thread that started it, and the
//! runtime's threads come and go: this one lives as long as the agent, however that ends.

use std::io;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use life_sys::child::end_with_spawner;
use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Starts children that end with the agent.
pub struct Starter(mpsc::Sender<Job>);

struct Job {
    command: Command,
    started: oneshot::Sender<io::Result<Child>>,
}

impl Starter {
    /// Starts the thread. Call it inside the runtime.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        let (sender, jobs) = mpsc::channel::<Job>();
        let runtime = Handle::current();
        let work = move || {
            let _inside = runtime.enter();
            for Job { mut command, started } in jobs {
                end_with_spawner(&mut command);
                let child = tokio::process::Command::from(command).kill_on_drop(true).spawn();
                // Nobody waits any more: the child ends as it is dropped.
                let _ = started.send(child);
            }
        };
        thread::Builder::new().name("starter".to_owned()).spawn(work)?;
        Ok(Self(sender))
    }

    /// Starts a command.
    ///
    /// # Errors
    /// What the system says.
    pub async fn start(&self, command: Command) -> io::Result<Child> {
        let (started, waiting) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.send(Job { command, started }).map_err(|_| gone())?;
        waiting.await.map_err(|_| gone())?
    }
}
