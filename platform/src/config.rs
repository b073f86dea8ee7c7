//! Configuration of `serve` (`platform.toml`) and of `ca` (`ca/ca.toml`).
//!
//! Every value has a default; an unknown one is refused, so that a misspelt limit is not silently ignored.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, io};

/// Who lets institutions and professionals in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Approval {
    /// Nobody: every registration is open at once. For development.
    Auto,
    /// A registrar, by `life-platform registrar approve`. Patients are let in at once.
    #[default]
    Registrar,
}

/// Configuration of `serve`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who lets institutions and professionals in.
    pub approval: Approval,
    /// The CA's socket, when it is not the one in the platform's folder.
    pub ca_socket: Option<PathBuf>,
    /// Sizes and rates.
    pub limits: Limits,
    /// Times in seconds.
    pub timeouts: Timeouts,
    /// Logging.
    pub log: Log,
}

/// Sizes and rates.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections, all clients together.
    pub connections: usize,
    /// Open connections from one address (IPv6: one /64), less than half of all.
    pub connections_per_address: usize,
    /// New registrations a minute from one address.
    pub registrations_per_minute: u32,
    /// Logins with a SuperPIN that may begin in an hour from one address. They are counted across restarts.
    pub super_pin_logins_per_hour: u32,
    /// Logins with a SuperPIN that may begin in an hour from all addresses.
    pub all_super_pin_logins_per_hour: u32,
    /// Requests a second from one address at the anonymous and bootstrap levels.
    pub requests_per_second: u32,
    /// Bytes of one message.
    pub message_bytes: u64,
    /// Bytes of all messages in one inbox.
    pub inbox_bytes: u64,
    /// Messages in one inbox.
    pub inbox_messages: u64,
    /// Bytes of one depositor's messages in one inbox.
    pub share_bytes: u64,
    /// One depositor's messages in one inbox, with those deleted within 30 days.
    pub share_messages: u64,
    /// Bytes of one depositor's messages in all inboxes.
    pub depositor_bytes: u64,
    /// One depositor's messages in all inboxes, with those deleted within 30 days.
    pub depositor_messages: u64,
    /// Deposits a minute of one depositor, repeated ones included.
    pub deposits_per_minute: u32,
    /// Deposits a minute of one depositor in one inbox, repeated ones included.
    pub share_deposits_per_minute: u32,
    /// Bytes of one document's content.
    pub document_bytes: u64,
    /// One owner's documents, with open uploads and with those deleted within 30 days.
    pub documents: u64,
    /// Bytes of one owner's documents, with open uploads.
    pub documents_bytes: u64,
    /// Readers of all documents of one owner.
    pub documents_readers: u64,
    /// One owner's open uploads.
    pub document_uploads: u64,
    /// Uploads begun and committed, sharings and deletions a minute of one owner.
    pub document_writes_per_minute: u32,
    /// Appends to uploads a minute of one owner.
    pub document_appends_per_minute: u32,
    /// Bytes that stay free on the disk: deposits are refused below.
    pub free_bytes: u64,
}

/// Times in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// For the TLS handshake.
    pub handshake: u64,
    /// For the whole head of a request; a kept-alive connection may be idle as long.
    pub header: u64,
    /// For a JSON body, as a whole.
    pub body: u64,
    /// Between two pieces of a streamed body, in either direction.
    pub idle: u64,
    /// For running requests to end after SIGTERM.
    pub drain: u64,
    /// For an open registration to be committed.
    pub registration: u64,
    /// For a registrar to decide.
    pub approval: u64,
    /// For an upload to go on.
    pub upload: u32,
}

/// Logging.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A `tracing` filter such as `info` or `life_platform=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text.
    #[default]
    Text,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            approval: Approval::default(),
            ca_socket: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            log: Log::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_address: 256,
            registrations_per_minute: 120,
            super_pin_logins_per_hour: 60,
            all_super_pin_logins_per_hour: 6000,
            requests_per_second: 200,
            message_bytes: 8 << 30,
            inbox_bytes: 64 << 30,
            inbox_messages: 100_000,
            share_bytes: 8 << 30,
            share_messages: 10_000,
            depositor_bytes: 64 << 30,
            depositor_messages: 100_000,
            deposits_per_minute: 1200,
            share_deposits_per_minute: 600,
            document_bytes: 8 << 30,
            documents: 100_000,
            documents_bytes: 64 << 30,
            documents_readers: 200_000,
            document_uploads: 64,
            document_writes_per_minute: 1200,
            document_appends_per_minute: 12_000,
            free_bytes: 64 << 20,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: 10,
            header: 60,
            body: 30,
            idle: 30,
            drain: 20,
            registration: 3600,
            approval: 7 * 86_400,
            upload: 86_400,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::default() }
    }
}

impl Config {
    /// Reads and checks `platform.toml`.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::Config`] says which line or value is wrong.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let config: Self = load(path)?;
        let limits = &config.limits;
        let zero = [
            ("limits.connections", limits.connections == 0),
            ("limits.connections_per_address", limits.connections_per_address == 0),
            ("limits.message_bytes", limits.message_bytes == 0),
            ("limits.document_bytes", limits.document_bytes == 0),
            ("timeouts.handshake", config.timeouts.handshake == 0),
            ("timeouts.header", config.timeouts.header == 0),
            ("timeouts.body", config.timeouts.body == 0),
            ("timeouts.idle", config.timeouts.idle == 0),
            ("timeouts.registration", config.timeouts.registration == 0),
            ("timeouts.upload", config.timeouts.upload == 0),
        ];
        if let Some((name, _)) = zero.iter().find(|(_, zero)| *zero) {
            return Err(Error::Config(format!(
                "{name} is 0: nothing could ever pass; give a number above 0"
            )));
        }
        if limits.connections_per_address > limits.connections.div_ceil(2) {
            return Err(Error::Config(
                "limits.connections_per_address is more than half of limits.connections: one client could keep out \
                 all others; give a smaller number"
                    .to_owned(),
            ));
        }
        tracing_subscriber::EnvFilter::try_new(&config.log.level)
            .map_err(|_| Error::Config("log.level is no filter; write for example \"info\"".to_owned()))?;
        Ok(config)
    }
}

/// Whether the CA's socket is for its own account alone or for a group as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SocketAccess {
    /// Mode 0660.
    Group,
    /// Mode 0600.
    #[default]
    Owner,
}

/// Configuration of `ca`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaConfig {
    /// Days a working credential's certificates are valid.
    pub credential_days: u32,
    /// Days a root credential's certificate is valid.
    pub root_credential_days: u32,
    /// Days until a CRL's nextUpdate.
    pub crl_days: u32,
    /// Who may talk to the CA.
    pub socket_access: SocketAccess,
    /// Logging.
    pub log: Log,
}

impl Default for CaConfig {
    fn default() -> Self {
        Self {
            credential_days: 3 * 365,
            root_credential_days: 10 * 365,
            crl_days: 7,
            socket_access: SocketAccess::default(),
            log: Log::default(),
        }
    }
}

impl CaConfig {
    /// Reads and checks `ca.toml`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let config: Self = load(path)?;
        let days = [config.credential_days, config.root_credential_days, config.crl_days];
        if days.iter().any(|days| !(1..=7300).contains(days)) {
            return Err(Error::Config("days in ca.toml are between 1 and 7300".to_owned()));
        }
        Ok(config)
    }
}

fn load<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read_to_string(path).map_err(io("cannot read the configuration"))?;
    toml::from_str(&text).map_err(|error| {
        Error::Config(format!("{}: {}", path.display(), error.to_string().trim_end().replace('\n', " ")))
    })
}

/// Seconds from the configuration as a duration.
#[must_use]
pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_survive_a_round_trip_and_unknown_names_are_refused() {
        let text = toml::to_string(&Config::default()).unwrap();
        toml::from_str::<Config>(&text).unwrap();
        assert!(toml::from_str::<Config>("listn = \"[::1]:1\"").is_err());
        let text = toml::to_string(&CaConfig::default()).unwrap();
        toml::from_str::<CaConfig>(&text).unwrap();
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[timeouts]\nidle = 0\n").unwrap();
        let error = Config::load(file.path()).unwrap_err();
        assert!(error.to_string().contains("timeouts.idle"), "{error}");
        std::fs::write(file.path(), "[limits]\nconnections = 100\nconnections_per_address = 51\n").unwrap();
        let error = Config::load(file.path()).unwrap_err();
        assert!(error.to_string().contains("connections_per_address"), "{error}");
    }
}
