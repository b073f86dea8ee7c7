//! The REST interface under `/v1`: three levels, TLS 1.3 only (FORMATS §8).

pub mod access_log;
pub mod body;
pub mod credentials;
pub mod deposit;
pub mod directory;
pub mod documents;
pub mod dto;
pub mod evidence;
pub mod inbox;
pub mod level;
pub mod maintenance;
pub mod page;
pub mod peer;
pub mod pieces;
pub mod problem;
pub mod public;
pub mod rate;
pub mod receipts;
pub mod registration;
pub mod routes;
pub mod server;
pub mod state;
pub mod stream;
pub mod super_pin;
pub mod tls;
pub mod turns;
