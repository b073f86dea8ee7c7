//! The platform: who it is, how it is reached, and what it is asked.

mod binding;
mod documents;
mod http;
mod inbox;
mod origin;
mod refusal;
mod register;
mod rest;
mod tls;

pub use binding::{Binding, Platform};
pub use documents::{DocumentCommit, Record, Sharing, Upload};
pub use http::{BODY_PAUSE, Client, next_piece};
pub use inbox::{Deposit, time};
pub use origin::{Origin, parse_fingerprint};
pub use refusal::{tls_error, tls_fault};
pub use register::{Commit, Keys, Registration, State as RegistrationState};
pub use rest::{Account, Base64, Me};
pub use tls::identified;
