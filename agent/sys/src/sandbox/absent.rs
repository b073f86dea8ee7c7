//! Systems without landlock and seccomp: nothing is given up, and that is what is reported. Compiled, never run.

use std::path::{Path, PathBuf};

use super::{Cards, Enforcement, SandboxError};

/// No version is complete.
pub(super) fn complete(_cards: bool) -> u32 {
    1
}

pub(super) fn forbid_all(_cards: &Cards) -> Result<(u32, Enforcement), SandboxError> {
    Ok((0, Enforcement::None))
}

pub(super) fn forbid_writing(
    _writable: &[PathBuf],
    _executable: &[PathBuf],
) -> Result<(u32, Enforcement), SandboxError> {
    Ok((0, Enforcement::None))
}

pub(super) fn allow_only_the_vaults(_cards: &Cards) -> Result<bool, SandboxError> {
    Ok(false)
}

pub(super) fn is_executable(_program: &Path, _executable: &[PathBuf]) -> bool {
    true
}

pub(super) fn abi() -> u32 {
    0
}

pub(super) fn is_available() -> bool {
    false
}
