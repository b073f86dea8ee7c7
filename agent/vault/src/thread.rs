//! The vault's threads: each is ready for secrets before any of them sees one.

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{Builder, Scope};

use life_sys::stack::LockedStack;

use crate::process::{Memory, ProcessError};
use crate::server::ServeError;

/// The size of a thread's stack, all of which is locked.
const STACK: usize = 256 * 1024;

/// A thread's own place for what it works on.
pub(crate) struct Desk(Option<LockedStack>);

impl Desk {
    /// Locks the calling thread's stack.
    fn new(memory: Memory) -> Result<Self, ProcessError> {
        let stack = match memory {
            Memory::Locked => Some(LockedStack::of_this_thread().map_err(ProcessError::Memory)?),
            Memory::Plain => None,
        };
        Ok(Self(stack))
    }

    /// Has AWS-LC seed the thread's random number generator, which would otherwise hold up somebody's first signature.
    pub(crate) fn seed(&self) -> Result<(), ServeError> {
        let seeded = aws_lc_rs::rand::fill(&mut [0; 32]).map_err(|_| ServeError::Random);
        self.clear();
        seeded
    }

    /// Wipes what the last operation left on the stack and in registers. The operation is a function of its own that is
    /// never inlined, and has returned.
    pub(crate) fn clear(&self) {
        if let Some(stack) = &self.0 {
            stack.wipe();
        }
    }
}

/// Holds threads back until all are ready.
#[derive(Default)]
pub(crate) struct Gate(Mutex<bool>);

/// The gate, closed; what waits goes on when this is opened or dropped.
pub(crate) struct Closed<'a>(MutexGuard<'a, bool>);

impl Gate {
    pub(crate) fn close(&self) -> Closed<'_> {
        Closed(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits; says whether to work.
    fn pass(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a thread that nobody waits for: it ends with the process.
pub(crate) fn detached(
    name: &str,
    memory: Memory,
    body: impl FnOnce(&Desk) + Send + 'static,
) -> Result<(), ProcessError> {
    let (report, ready) = mpsc::sync_channel(1);
    let thread = move || match Desk::new(memory) {
        Ok(desk) => {
            let _ = report.send(Ok(()));
            body(&desk);
        }
        Err(error) => {
            let _ = report.send(Err(error));
        }
    };
    Builder::new().name(name.to_owned()).stack_size(STACK).spawn(thread).map_err(ServeError::Io)?;
    ready.recv().map_err(|_| ServeError::Io(std::io::ErrorKind::Other.into()))?
}

impl Closed<'_> {
    /// Lets all threads work. Without it they go home.
    pub(crate) fn open(mut self) {
        *self.0 = true;
    }

    /// Starts a thread and waits until it is ready.
    pub(crate) fn spawn<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        gate: &'scope Gate,
        name: &str,
        memory: Memory,
        body: impl FnOnce(&Desk) + Send + 'scope,
    ) -> Result<(), ProcessError> {
        let (report, ready) = mpsc::sync_channel(1);
        let thread = move || match Desk::new(memory) {
            Ok(desk) => {
                let _ = report.send(Ok(()));
                if gate.pass() {
                    body(&desk);
                }
            }
            Err(error) => {
                let _ = report.send(Err(error));
            }
        };
        let builder = Builder::new().name(name.to_owned()).stack_size(STACK);
        builder.spawn_scoped(scope, thread).map_err(ServeError::Io)?;
        ready.recv().map_err(|_| ServeError::Io(std::io::ErrorKind::Other.into()))?
    }
}
