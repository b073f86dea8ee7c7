//! The development set-up: a throwaway platform, an agent, and registered, unlocked users.

mod binaries;
mod layout;
mod passphrase;
mod process;
mod shell;
mod start;
mod state;
mod stop;
mod trust;
mod users;

pub use layout::Layout;
pub use start::{Running, Summary, start};
pub use stop::{remove, stop};
