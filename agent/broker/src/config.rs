//! The configuration: one TOML file, every field optional, with overrides from the environment.

mod api;

use std::env::VarError;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

pub use api::Api;

use crate::upstream::{Gate, GateError};

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The section `[api]`.
    #[error(transparent)]
    Api(#[from] GateError),
    /// A value is out of bounds.
    #[error("{0}: {1}")]
    Bounds(&'static str, &'static str),
    /// An environment variable is no valid text.
    #[error("the environment variable {0} is not valid UTF-8")]
    Environment(&'static str),
    /// The file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Read(PathBuf, io::Error),
    /// The file is not TOML, or has unknown fields.
    #[error("{0}: {1}")]
    Syntax(PathBuf, Box<toml::de::Error>),
}

/// The whole configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// This process.
    pub agent: Agent,
    /// What apps may call in a user's name.
    pub api: Api,
    /// Smart cards.
    pub cards: Cards,
    /// What is kept of other users.
    pub directory: Directory,
    /// How much is taken on.
    pub limits: Limits,
    /// What is logged.
    pub log: Log,
    /// The platform.
    pub platform: Platform,
    /// How the processes are protected.
    pub sandbox: Sandbox,
    /// How credentials are unlocked.
    pub unlock: Unlock,
    /// The vault.
    pub vault: Vault,
}

/// This process.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// The socket, where neither the command line nor the environment names one.
    pub socket: Option<PathBuf>,
    /// Where ciphertext waits, in files without a name, until it is verified. The state folder when not set.
    pub spool: Option<PathBuf>,
}

/// The platform.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Platform {
    /// `https://host[:port]`.
    pub origin: Option<String>,
    /// SHA-256 of the platform's trust bundle, 64 hexadecimal digits.
    pub ca_fingerprint: Option<String>,
    /// How long to wait for a connection and for the head of an answer, in seconds: 1 to 600.
    pub timeout_seconds: Seconds<20>,
}

/// How the processes are protected.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sandbox {
    /// Whether the agent does not start where the kernel lacks a part of it.
    pub required: bool,
}

/// How credentials are unlocked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Unlock {
    /// Whether a secret may come inside a request.
    pub inline_secrets: InlineSecrets,
    /// The pinentry program for prompts, an absolute path or a name on the search path.
    pub pinentry: Option<PathBuf>,
    /// How long a ticket is good, in seconds: 1 to 600.
    pub ticket_seconds: Seconds<120>,
    /// How long a person has at a prompt, in seconds: 1 to 600.
    pub prompt_seconds: Seconds<120>,
}

/// Whether a secret may come inside a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InlineSecrets {
    /// It may.
    #[default]
    Allow,
    /// It is refused with SECRET_SOURCE_FORBIDDEN.
    Forbid,
}

/// Smart cards.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cards {
    /// Where the system's smart-card service (pcscd) listens. The vault makes no sockets when it is not set.
    pub service: Option<PathBuf>,
}

/// What is kept of other users.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Directory {
    /// After how long a user is looked up anew, in seconds: 0 to 604800.
    pub refresh_seconds: Seconds<300>,
    /// For how many days without contact one still encrypts to a pinned user: 0 to 365.
    pub offline_days: Days<7>,
}

/// How much is taken on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Users unlocked at once: 1 to 64. The vault has room for four more while some are being unlocked.
    pub max_identities: Count<48>,
    /// Calls at work at once; more fail with RESOURCE_EXHAUSTED: 1 to 4096.
    pub max_calls: Count<256>,
    /// How long a caller may leave the agent's answer unread, in seconds: 1 to 604800.
    pub stall_seconds: Seconds<600>,
    /// How long a caller may leave its own stream without a message, in seconds: 1 to 604800.
    pub input_stall_seconds: Seconds<60>,
    /// How long an upload or download of a document goes on without progress while the platform does not answer, in
    /// seconds: 0 to 86400.
    pub platform_patience_seconds: Seconds<120>,
    /// How long running calls have to end when the agent stops, in seconds: 0 to 600.
    pub drain_seconds: Seconds<10>,
}

/// What is logged.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`; or directives as `tracing` knows them.
    pub level: Option<String>,
    /// How.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// JSON objects.
    Json,
    /// Text.
    #[default]
    Text,
}

/// The vault.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vault {
    /// The program; `life-vault` beside this one when not set.
    pub program: Option<PathBuf>,
}

/// A number of seconds with its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Seconds<const DEFAULT: u64>(u64);

impl<const DEFAULT: u64> Default for Seconds<DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<const DEFAULT: u64> Seconds<DEFAULT> {
    /// As a duration.
    pub fn duration(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.0)
    }
}

/// A number of things with its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Count<const DEFAULT: usize>(pub usize);

impl<const DEFAULT: usize> Default for Count<DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

/// A number of days with its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Days<const DEFAULT: u32>(pub u32);

impl<const DEFAULT: u32> Default for Days<DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl Config {
    /// Reads the configuration: from `file`, which must exist; else from `usual`, which may not; then the
    /// environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the line and the field.
    pub fn load(file: Option<&Path>, usual: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config = match file.or(usual) {
            None => Self::default(),
            Some(path) => match fs::read_to_string(path) {
                Ok(text) => toml::from_str(&text)
                    .map_err(|error| ConfigError::Syntax(path.to_owned(), Box::new(error)))?,
                // Only a file that is not there means the defaults: one that cannot be read may say otherwise.
                Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => Self::default(),
                Err(error) => return Err(ConfigError::Read(path.to_owned(), error)),
            },
        };
        config.override_with(|name| match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(ConfigError::Environment(name)),
        })?;
        config.check()?;
        Gate::open(&config.api)?;
        Ok(config)
    }

    /// Takes the overrides: LIFE_PLATFORM_ORIGIN, LIFE_CA_FINGERPRINT, LIFE_PINENTRY, LIFE_VAULT and LIFE_LOG.
    fn override_with(
        &mut self,
        variable: impl Fn(&'static str) -> Result<Option<String>, ConfigError>,
    ) -> Result<(), ConfigError> {
        let text = |slot: &mut Option<String>, name| {
            variable(name).map(|value| *slot = value.filter(|value| !value.is_empty()).or(slot.take()))
        };
        text(&mut self.platform.origin, "LIFE_PLATFORM_ORIGIN")?;
        text(&mut self.platform.ca_fingerprint, "LIFE_CA_FINGERPRINT")?;
        text(&mut self.log.level, "LIFE_LOG")?;
        for (slot, name) in
            [(&mut self.unlock.pinentry, "LIFE_PINENTRY"), (&mut self.vault.program, "LIFE_VAULT")]
        {
            if let Some(value) = variable(name)?.filter(|value| !value.is_empty()) {
                *slot = Some(value.into());
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ConfigError> {
        let bound =
            |holds: bool, field, rule| if holds { Ok(()) } else { Err(ConfigError::Bounds(field, rule)) };
        bound((1..=600).contains(&self.platform.timeout_seconds.0), "platform.timeout_seconds", "1 to 600")?;
        bound((1..=600).contains(&self.unlock.ticket_seconds.0), "unlock.ticket_seconds", "1 to 600")?;
        bound((1..=600).contains(&self.unlock.prompt_seconds.0), "unlock.prompt_seconds", "1 to 600")?;
        bound(self.directory.refresh_seconds.0 <= 604_800, "directory.refresh_seconds", "0 to 604800")?;
        bound(self.directory.offline_days.0 <= 365, "directory.offline_days", "0 to 365")?;
        bound((1..=64).contains(&self.limits.max_identities.0), "limits.max_identities", "1 to 64")?;
        bound((1..=4096).contains(&self.limits.max_calls.0), "limits.max_calls", "1 to 4096")?;
        bound((1..=604_800).contains(&self.limits.stall_seconds.0), "limits.stall_seconds", "1 to 604800")?;
        let stall = self.limits.input_stall_seconds.0;
        bound((1..=604_800).contains(&stall), "limits.input_stall_seconds", "1 to 604800")?;
        let patience = self.limits.platform_patience_seconds.0;
        bound(patience <= 86_400, "limits.platform_patience_seconds", "0 to 86400")?;
        bound(self.limits.drain_seconds.0 <= 600, "limits.drain_seconds", "0 to 600")?;
        let both = self.platform.origin.is_some() == self.platform.ca_fingerprint.is_some();
        bound(both, "platform", "origin and ca_fingerprint go together")?;
        if let Some(origin) = &self.platform.origin {
            let good = crate::platform::Origin::parse(origin).is_some();
            bound(good, "platform.origin", "must be https://host[:port], nothing behind it")?;
        }
        if let Some(fingerprint) = &self.platform.ca_fingerprint {
            let good = crate::platform::parse_fingerprint(fingerprint).is_some();
            bound(good, "platform.ca_fingerprint", "must be 64 hexadecimal digits")?;
        }
        if let Some(level) = &self.log.level {
            let good = tracing_subscriber::EnvFilter::try_new(level).is_ok();
            bound(good, "log.level", "must be error, warn, info, debug, trace or tracing's directives")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_a_configuration() {
        let config: Config = toml::from_str("").unwrap();
        config.check().unwrap();
        assert_eq!(config.limits.max_identities, Count::<48>(48));
    }

    /// The example names every field, and what it calls a default is one.
    #[test]
    fn the_example_is_true() {
        let example = include_str!("../agent.example.toml");
        let config: Config = toml::from_str(example).unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
        let is_field = |line: &str| line.starts_with("# ") && line.contains(" = ");
        let lines: Vec<_> = example
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|_| is_field(line)).unwrap_or(line))
            .collect();
        let filled = lines.join("\n").replace("64 hexadecimal digits", &"ab".repeat(32));
        let filled: Config = toml::from_str(&filled).unwrap();
        filled.check().unwrap();
        let numbers =
            |config: &Config| format!("{:?} {:?} {:?}", config.limits, config.directory, config.log.format);
        assert_eq!(numbers(&filled), numbers(&config));
        assert!(
            filled.agent.spool.is_some()
                && filled.vault.program.is_some()
                && filled.unlock.pinentry.is_some()
        );
    }

    #[test]
    fn unknown_fields_and_values_out_of_bounds_are_refused() {
        for text in ["[agent]\nsokcet = '/x'", "[agents]", "[unlock]\ninline_secrets = 'maybe'"] {
            assert!(toml::from_str::<Config>(text).is_err(), "{text}");
        }
        for text in [
            "[limits]\nmax_identities = 0",
            "[platform]\norigin = 'https://life.example'",
            "[platform]\norigin = 'http://life.example'\nca_fingerprint = '00'",
            "[unlock]\nticket_seconds = 3600",
            "[log]\nlevel = 'life=loud'",
        ] {
            assert!(toml::from_str::<Config>(text).unwrap().check().is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_file_that_is_not_there_means_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("agent.toml");
        Config::load(None, Some(&missing)).unwrap();
        assert!(matches!(Config::load(Some(&missing), None), Err(ConfigError::Read(..))));
        // A folder cannot be read as a file, whoever tries.
        assert!(matches!(Config::load(None, Some(folder.path())), Err(ConfigError::Read(..))));
    }

    #[test]
    fn the_environment_wins() {
        let mut config: Config = toml::from_str("[log]\nlevel = 'warn'\n[vault]\nprogram = '/a'").unwrap();
        config
            .override_with(
                |name| Ok((name == "LIFE_LOG" || name == "LIFE_VAULT").then(|| "debug".to_owned())),
            )
            .unwrap();
        assert_eq!(config.log.level.as_deref(), Some("debug"));
        assert_eq!(config.vault.program.as_deref(), Some(Path::new("debug")));
        assert!(config.platform.origin.is_none());
    }
}
