//! Exit codes: those of sysexits.h, so that scripts can tell faults apart.

use std::process::ExitCode;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// EX_USAGE: the command line is wrong.
    Usage = 64,
    /// EX_DATAERR: the input is damaged, forbidden, or does not verify.
    Data = 65,
    /// EX_NOINPUT: an input does not exist.
    NoInput = 66,
    /// EX_NOUSER: an addressee is unknown.
    NoUser = 67,
    /// EX_UNAVAILABLE: the agent, its vault or the platform does not answer.
    Unavailable = 69,
    /// EX_SOFTWARE: a fault of the agent or of this program.
    Software = 70,
    /// EX_CANTCREAT: an output cannot be made, or exists already.
    CannotCreate = 73,
    /// EX_IOERR: reading or writing failed.
    Io = 74,
    /// EX_TEMPFAIL: the same may work later.
    Temporary = 75,
    /// EX_NOPERM: locked, or not allowed.
    NoPermission = 77,
    /// EX_CONFIG: something is not set up.
    Config = 78,
    /// 128 + SIGINT, as shells have it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
