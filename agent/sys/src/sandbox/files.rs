//! Landlock: rights on objects, by which the kernel judges whatever the way to them.
#![expect(unsafe_code, reason = "the question for landlock's version has no safe binding")]

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Cards, Enforcement, SandboxError};

/// The newest version that is written for; of it, the kernel takes what it knows.
const NEWEST: ABI = ABI::V9;
/// The first version with all that the promises of SECURITY.md rest on: files of every kind, TCP, signals.
const COMPLETE: u32 = 6;
/// The same for a process that makes Unix sockets: their paths.
const COMPLETE_WITH_CARDS: u32 = 9;

/// The version from which on all is done that is promised.
pub(super) fn complete(cards: bool) -> u32 {
    if cards { COMPLETE_WITH_CARDS } else { COMPLETE }
}

/// Forbids every file, TCP, abstract sockets and signals of others; with cards, all but pcscd's socket.
pub(super) fn forbid_all(cards: &Cards) -> Result<(u32, Enforcement), SandboxError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let status = match cards {
        Cards::Off => ruleset.restrict_self()?,
        // What is not there needs no rule.
        Cards::On(path) => match PathFd::new(path.parent().unwrap_or(path)) {
            Ok(folder) => {
                ruleset.add_rule(PathBeneath::new(folder, AccessFs::ResolveUnix))?.restrict_self()?
            }
            Err(_) => ruleset.restrict_self()?,
        },
    };
    Ok(judge(&status, complete(matches!(cards, Cards::On(_)))))
}

/// Programs, and what they load, of the system and of those who package for it.
const PROGRAMS: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix", "/gnu", "/snap"];

/// Forbids to write, make, move and remove files but below these folders, to execute programs but below those and the
/// system's, and signals of others. Reading stays as it is; of devices, so does writing.
pub(super) fn forbid_writing(
    writable: &[PathBuf],
    executable: &[PathBuf],
) -> Result<(u32, Enforcement), SandboxError> {
    let writes = AccessFs::from_write(NEWEST) & !(AccessFs::IoctlDev | AccessFs::ResolveUnix);
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writes | AccessFs::Execute)?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(writable, writes))?
        .add_rules(path_beneath_rules(["/dev"], AccessFs::WriteFile | AccessFs::Truncate))?
        .add_rules(path_beneath_rules(PROGRAMS, AccessFs::Execute))?
        .add_rules(path_beneath_rules(executable, AccessFs::Execute))?;
    Ok(judge(&ruleset.restrict_self()?, COMPLETE))
}

/// Whether a program is below what [`forbid_writing`] allows to execute from.
pub(super) fn is_executable(program: &Path, executable: &[PathBuf]) -> bool {
    let beneath = |folder: &Path| folder.canonicalize().is_ok_and(|folder| program.starts_with(folder));
    PROGRAMS.iter().any(|folder| beneath(Path::new(folder)))
        || executable.iter().any(|folder| beneath(folder))
}

/// Landlock's version in this kernel; 0 for none.
pub(super) fn abi() -> u32 {
    const VERSION: libc::c_uint = 1;
    let (nowhere, nothing): (*const u8, usize) = (std::ptr::null(), 0);
    // SAFETY: with this flag the call reads no memory and answers with a number.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nowhere, nothing, VERSION) };
    u32::try_from(answer).unwrap_or(0)
}

fn judge(status: &RestrictionStatus, complete: u32) -> (u32, Enforcement) {
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } => {
            kernel_abi.and_then(|abi| u32::try_from(abi).ok()).unwrap_or(effective_abi as u32)
        }
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    };
    let enforcement = match status.ruleset {
        RulesetStatus::NotEnforced => Enforcement::None,
        _ if abi < complete => Enforcement::Partial,
        _ => Enforcement::Full,
    };
    (abi, enforcement)
}
