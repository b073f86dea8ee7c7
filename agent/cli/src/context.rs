//! What every verb needs: the printer, the acting user, the way to the agent.

use std::path::PathBuf;

use crate::args::Global;
use crate::connection::{self, Connection, variable};
use crate::error::Error;
use crate::names::UserName;
use crate::output::{Format, Output};

/// The environment variable that names the acting user.
const USER_VARIABLE: &str = "LIFE_USER";

/// What every verb needs.
pub struct Context {
    /// The printer.
    pub output: Output,
    user: Option<UserName>,
    named: bool,
    socket: Option<PathBuf>,
}

impl Context {
    /// Takes the global options, and the environment where they are silent.
    pub fn new(global: Global) -> Result<Self, Error> {
        let output = Output::new(if global.json { Format::Json } else { Format::Text });
        let named = global.acting_user.is_some();
        let user = match (global.acting_user, variable(USER_VARIABLE)) {
            (Some(user), _) => Some(user),
            (None, Some(text)) => {
                let parsed = text.to_string_lossy().parse();
                Some(parsed.map_err(|error| Error::Usage(format!("{USER_VARIABLE} is {error}")))?)
            }
            (None, None) => None,
        };
        Ok(Self { output, user, named, socket: global.socket })
    }

    /// Connects to the agent.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let socket = match &self.socket {
            Some(socket) => socket.clone(),
            None => connection::default_socket()?,
        };
        Connection::open(&socket).await
    }

    /// The user that the command line itself names, if it does.
    pub fn named_user(&self) -> Option<&UserName> {
        self.user.as_ref().filter(|_| self.named)
    }

    /// On whose behalf requests are made: `users/{uid}`, or empty for the only unlocked user.
    pub fn user(&self) -> String {
        self.user.as_ref().map(UserName::name).unwrap_or_default()
    }
}
