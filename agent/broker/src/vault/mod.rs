//! The broker's side of the vault: its process, the link to it, and calls over the link.

mod awake;
mod calls;
mod keeper;
mod link;

pub use calls::{Account, Opened, PendingAccount, Session};
pub use keeper::{Fresh, Keeper, Order};
pub use link::Vault;
