//! Programs of Debian's that do similar work, started by the measurement and ended with it.

pub mod gpg;
pub mod nginx;
pub mod ssh_agent;
