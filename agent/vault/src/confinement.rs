//! What the process gives up before its first thread and its first secret.

use std::path::Path;

use life_sys::hardening::Hardening;
use life_sys::sandbox::{Cards, Protection, confine_vault};

use crate::process::ProcessError;

/// What to do where the kernel lacks a part of the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sandbox {
    /// Go on, and report it.
    #[default]
    BestEffort,
    /// Do not start.
    Required,
}

impl Sandbox {
    /// What the broker asks for in the arguments.
    pub(crate) fn asked_for() -> Result<Self, ProcessError> {
        let mut arguments = std::env::args_os().skip(1);
        match (arguments.next(), arguments.next()) {
            (None, _) => Ok(Self::BestEffort),
            (Some(argument), None) if argument == "--require-sandbox" => Ok(Self::Required),
            _ => Err(ProcessError::Arguments),
        }
    }

    /// Enters it, for good, and may then talk to pcscd where that listens; says what protects the process then.
    pub(crate) fn enter(self, pcscd: Option<&Path>) -> Result<Protection, ProcessError> {
        // AWS-LC seeds itself on first use, for which it looks at files.
        aws_lc_rs::rand::fill(&mut [0; 32]).map_err(|_| ProcessError::Random)?;
        let cards = pcscd.map_or(Cards::Off, |socket| Cards::On(socket.to_owned()));
        let hardening = Hardening::of_this_process();
        let protection = Protection { hardening, confinement: confine_vault(&cards)? };
        let missing = protection.missing().join(", ");
        match self {
            _ if missing.is_empty() => {}
            Self::Required => return Err(ProcessError::Unprotected(missing)),
            Self::BestEffort => {
                tracing::warn!(%missing, "this kernel lacks what the vault protects itself with");
            }
        }
        Ok(protection)
    }
}
