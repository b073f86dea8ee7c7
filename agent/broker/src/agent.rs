//! What the services share.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::arguments::Arguments;
use crate::config::{Config, ConfigError};
use crate::confinement::Confined;
use crate::enrolments::Enrolments;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::identities::Identities;
use crate::paths::Paths;
use crate::platform::Platform;
use crate::prompt::{Prompts, Starter};
use crate::tickets::Tickets;
use crate::upstream::Gate;
use crate::vault::Vault;
use crate::weight::Scales;

/// The configuration, which a SIGHUP replaces.
pub struct Shared(RwLock<Arc<Config>>);

impl Shared {
    /// The configuration as it is now.
    pub fn config(&self) -> Arc<Config> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The agent.
pub struct Agent {
    /// Where things are.
    pub paths: Paths,
    /// How this process is confined.
    pub confined: Confined,
    /// What happens.
    pub events: Arc<Events>,
    /// Who is unlocked.
    pub identities: Identities,
    /// The platform.
    pub platform: Arc<Platform>,
    /// The vault.
    pub vault: Vault,
    /// Tickets for descriptors.
    pub tickets: Arc<Tickets>,
    /// One permit for each call at work.
    pub calls: Arc<Semaphore>,
    /// Registrations that are being finished.
    pub enrolments: Enrolments,
    /// Room for the bytes of requests.
    pub scales: Scales,
    /// One person, one prompt at a time.
    pub prompts: Arc<Prompts>,
    /// Starts their programs.
    pub starter: Starter,
    /// Ends what would never end by itself.
    pub stopping: CancellationToken,
    /// When this process started.
    pub started: SystemTime,
    /// How often the vault was replaced.
    pub vault_restarts: std::sync::atomic::AtomicU32,
    shared: Arc<Shared>,
    gate: RwLock<Arc<Gate>>,
    arguments_config: Option<PathBuf>,
}

impl Agent {
    /// Puts the agent together.
    ///
    /// # Errors
    /// STATE_UNUSABLE, PLATFORM_MISMATCH; INTERNAL for a section `[api]` that was good when it was checked.
    pub fn new(arguments: &Arguments, config: Config, paths: Paths, confined: Confined) -> Result<Arc<Self>> {
        let gate = Gate::open(&config.api).map_err(Error::internal)?;
        let events = Arc::new(Events::default());
        let platform =
            Platform::open(paths.state.join("platform.json"), config.platform.clone(), events.clone())?;
        Ok(Arc::new(Self {
            identities: Identities::new(events.clone()),
            events,
            platform,
            vault: Vault::default(),
            tickets: Arc::new(Tickets::new(paths.descriptor_socket.clone())),
            calls: Arc::new(Semaphore::new(config.limits.max_calls.0)),
            enrolments: Enrolments::default(),
            scales: Scales::default(),
            prompts: Arc::default(),
            starter: Starter::new().map_err(Error::internal)?,
            stopping: CancellationToken::new(),
            started: SystemTime::now(),
            vault_restarts: Default::default(),
            shared: Arc::new(Shared(RwLock::new(Arc::new(config)))),
            gate: RwLock::new(Arc::new(gate)),
            arguments_config: arguments.config.clone(),
            confined,
            paths,
        }))
    }

    /// The configuration as it is now.
    pub fn config(&self) -> Arc<Config> {
        self.shared.config()
    }

    /// What apps may call, as the configuration has it now.
    pub fn gate(&self) -> Arc<Gate> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A handle on the configuration for parts that outlive a call.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Reads the configuration again. Sockets, folders, the vault's program, the sandbox, the number of calls and the log
    /// stay as they are until the agent starts anew.
    ///
    /// # Errors
    /// [`ConfigError`]; the old configuration stays.
    pub fn reload(&self) -> std::result::Result<(), ConfigError> {
        let usual = crate::paths::usual_config();
        let config = Config::load(self.arguments_config.as_deref(), usual.as_deref())?;
        let gate = Gate::open(&config.api)?;
        if config.unlock.pinentry.as_ref().is_some_and(|pinentry| !self.confined.allows(pinentry)) {
            return Err(ConfigError::Bounds(
                "unlock.pinentry",
                "is started from there only by an agent that starts anew",
            ));
        }
        self.platform.reload(config.platform.clone());
        *self.gate.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(gate);
        *self.shared.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(())
    }
}
