//! The services of the contract, one file each. The contract's types stop here.

mod accounts;
mod agent;
mod api;
mod bulk;
mod cards;
mod credentials;
mod crypto;
mod directory;
mod documents;
mod messages;
mod streams;

pub use accounts::Accounts;
pub use agent::AgentService;
pub use api::Api;
pub use bulk::BulkCrypto;
pub use credentials::Credentials;
use crypto::Crypto;
pub use directory::DirectoryService;
pub use documents::Documents;
pub use messages::Messages;
