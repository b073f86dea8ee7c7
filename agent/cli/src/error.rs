//! The one error type of the command line: every fault has an exit code, a stable reason and a message that says what
//! happened, why, and what to do.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use tonic::codegen::http::StatusCode;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::exit::Exit;
use crate::reasons;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The agent refused, with its reason.
    #[error("{}", .0.message)]
    Agent(Box<Refusal>),
    /// The reader of our output went away: nothing more is said.
    #[error("the reader of the output went away")]
    BrokenPipe,
    /// An output could not be made.
    #[error("cannot create {}: {source}", .path.display())]
    CannotCreate { path: PathBuf, source: io::Error },
    /// The environment or a file of ours is not as it must be.
    #[error("{0}")]
    Config(String),
    /// Input that is damaged or does not verify.
    #[error("{message}")]
    Data { reason: &'static str, message: String },
    /// The development set-up did not come up or go down.
    #[error("{0}")]
    Dev(String),
    /// An output exists already.
    #[error("{} exists already: it was left as it is; name another output, or replace it with --force", .0.display())]
    Exists(PathBuf),
    /// The server refused: its status is 400 or more.
    #[error("the server answered {}", status_line(*.0))]
    Http(u32, BTreeMap<String, String>),
    /// Somebody pressed Ctrl-C or ended the program.
    #[error("interrupted; nothing was left half written")]
    Interrupted,
    /// An input cannot be opened.
    #[error("cannot open {}: {source}", .path.display())]
    NoInput { path: PathBuf, source: io::Error },
    /// The agent went away while it worked.
    #[error("the agent went away while it worked: {0}; nothing was left half written")]
    Lost(String),
    /// No agent answers.
    #[error("no agent answers at {}: {why}", .socket.display())]
    NotRunning { socket: PathBuf, why: String },
    /// A user was registered, but the software certificate did not get where it was to go.
    #[error("the account {uid} was made, but {cause}; {}", rescued(.saved.as_deref()))]
    Rescued { uid: String, saved: Option<PathBuf>, cause: Box<Self> },
    /// Reading failed.
    #[error("cannot read {name}: {source}")]
    Read { name: String, source: io::Error },
    /// A part of this program failed that cannot fail.
    #[error("internal fault: {0}")]
    Software(String),
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// Writing failed.
    #[error("cannot write {name}: {source}")]
    Write { name: String, source: io::Error },
}

/// What the agent said when it refused.
#[derive(Debug)]
pub struct Refusal {
    /// The gRPC code.
    pub code: Code,
    /// The reason of `google.rpc.ErrorInfo`, or the name of the gRPC code where there is none.
    pub reason: String,
    /// The agent's message.
    pub message: String,
    /// What else the agent said.
    pub metadata: BTreeMap<String, String>,
}

impl Error {
    /// An error of writing, told apart from a reader that went away.
    pub fn write(name: impl Into<String>, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::Write { name: name.into(), source }
    }

    /// An error of opening an input.
    pub fn no_input(path: &Path, source: io::Error) -> Self {
        Self::NoInput { path: path.to_owned(), source }
    }

    /// An error of making an output; one that exists already is told apart.
    pub fn create(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AlreadyExists {
            return Self::Exists(path.to_owned());
        }
        Self::CannotCreate { path: path.to_owned(), source }
    }

    /// Damaged or unverified input.
    pub fn data(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Data { reason, message: message.into() }
    }

    /// A server's refusal, with what it says where nobody else gets it.
    pub fn http(status: u32, body: Option<String>) -> Self {
        let body = body.map(|body| ("body".to_owned(), body));
        Self::Http(status, body.into_iter().chain([("status".to_owned(), status.to_string())]).collect())
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Agent(refusal) => refusal.exit(),
            Self::BrokenPipe | Self::Read { .. } | Self::Write { .. } => Exit::Io,
            Self::CannotCreate { .. } | Self::Exists(_) => Exit::CannotCreate,
            Self::Config(_) => Exit::Config,
            Self::Data { .. } => Exit::Data,
            Self::Dev(_) | Self::Lost(_) | Self::NotRunning { .. } => Exit::Unavailable,
            Self::Http(status, _) => http_exit(*status),
            Self::Interrupted => Exit::Interrupted,
            Self::NoInput { .. } => Exit::NoInput,
            Self::Rescued { cause, .. } => cause.exit(),
            Self::Software(_) => Exit::Software,
            Self::Usage(_) => Exit::Usage,
        }
    }

    /// A stable word for scripts: the agent's reason, or one of ours.
    pub fn reason(&self) -> &str {
        match self {
            Self::Agent(refusal) => &refusal.reason,
            Self::BrokenPipe => "OUTPUT_CLOSED",
            Self::CannotCreate { .. } => "OUTPUT_REFUSED",
            Self::Config(_) => "NOT_CONFIGURED",
            Self::Data { reason, .. } => reason,
            Self::Dev(_) => "DEV_FAILED",
            Self::Exists(_) => "OUTPUT_EXISTS",
            Self::Http(..) => "HTTP_STATUS",
            Self::Interrupted => "INTERRUPTED",
            Self::NoInput { .. } => "INPUT_MISSING",
            Self::Lost(_) | Self::NotRunning { .. } => "AGENT_UNAVAILABLE",
            Self::Read { .. } => "READ_FAILED",
            Self::Rescued { saved: Some(_), .. } => "OUTPUT_ELSEWHERE",
            Self::Rescued { saved: None, .. } => "CREDENTIAL_LOST",
            Self::Software(_) => "INTERNAL",
            Self::Usage(_) => "USAGE",
            Self::Write { .. } => "WRITE_FAILED",
        }
    }

    /// What to do, where the message does not say it.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Agent(refusal) => refusal.advice(),
            Self::NotRunning { .. } => Some(
                "start one with: life-agentd (or point LIFE_AGENT_SOCKET or --socket at the one that runs)"
                    .into(),
            ),
            Self::Lost(_) => Some("see what it logged, start it again, and unlock".into()),
            Self::Http(401 | 403, _) => {
                Some("it does not accept the user, or not for this: life status says who is unlocked".into())
            }
            Self::Usage(_) => Some("more in: life help".into()),
            _ => None,
        }
    }

    /// What else the agent said.
    pub fn metadata(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Self::Agent(refusal) if !refusal.metadata.is_empty() => Some(&refusal.metadata),
            Self::Http(_, metadata) => Some(metadata),
            _ => None,
        }
    }
}

impl Refusal {
    fn exit(&self) -> Exit {
        reasons::exit(&self.reason).unwrap_or(match self.code {
            Code::Cancelled | Code::DeadlineExceeded | Code::Aborted | Code::ResourceExhausted => {
                Exit::Temporary
            }
            Code::InvalidArgument | Code::OutOfRange => Exit::Usage,
            Code::NotFound => Exit::NoInput,
            Code::PermissionDenied | Code::Unauthenticated | Code::FailedPrecondition => Exit::NoPermission,
            Code::DataLoss => Exit::Data,
            Code::Unavailable | Code::Unimplemented => Exit::Unavailable,
            _ => Exit::Software,
        })
    }

    fn advice(&self) -> Option<String> {
        if self.reason == "REGISTRATION_PENDING"
            && let Some(registration) = self.metadata.get("registration")
        {
            return Some(format!(
                "once a registrar has approved it, run the same command with --resume {registration}"
            ));
        }
        // Whatever stood between: what is asked for again is named.
        if let Some(registration) = self.metadata.get("registration") {
            return Some(format!(
                "the account may have been made, and the agent keeps its keys for an hour: let it run, and run the same \
                 command with --resume {registration}"
            ));
        }
        // The id may be the agent's own; with it the command completes what it began.
        if matches!(self.exit(), Exit::Temporary | Exit::Unavailable)
            && self.reason != "VERSION_CONFLICT"
            && let Some(id) = self.metadata.get("document_id")
        {
            return Some(format!("to go on, run the same command with --id {id}"));
        }
        if self.code == Code::Unimplemented {
            return Some("the agent is older than this program: install both from one release".into());
        }
        reasons::advice(&self.reason).map(str::to_owned)
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        // What the agent says has no source; what breaks the connection has.
        if let (None, Some(source)) = (&info, status.source()) {
            return Self::Lost(innermost(source));
        }
        let (reason, metadata) = match info {
            Some(info) => (info.reason, info.metadata.into_iter().collect()),
            None => (code_name(status.code()).to_owned(), BTreeMap::new()),
        };
        let message = match status.message() {
            "" => status.code().description().to_owned(),
            text => text.to_owned(),
        };
        Self::Agent(Box::new(Refusal { code: status.code(), reason, message, metadata }))
    }
}

/// What a status of 400 and more means for a script.
fn http_exit(status: u32) -> Exit {
    match status {
        401 | 403 | 407 => Exit::NoPermission,
        404 | 410 => Exit::NoInput,
        408 | 425 | 429 | 502..=504 => Exit::Temporary,
        500.. => Exit::Unavailable,
        _ => Exit::Data,
    }
}

/// A status with its usual phrase: `404 Not Found`.
pub fn status_line(status: u32) -> String {
    let known = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    match known.and_then(|status| status.canonical_reason()) {
        Some(phrase) => format!("{status} {phrase}"),
        None => status.to_string(),
    }
}

/// What became of a software certificate.
fn rescued(saved: Option<&Path>) -> String {
    match saved {
        Some(path) => format!("its software certificate was saved as {}: keep it well", path.display()),
        None => {
            "its software certificate could be saved nowhere: the account cannot be unlocked, register again"
                .into()
        }
    }
}

/// What an error comes from in the end.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The canonical name of a gRPC code, for a status without a reason.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn reasons_decide_over_codes() {
        let details = ErrorDetails::with_error_info(
            "CREDENTIAL_LOCKED",
            "agent.life.v1",
            [("user".into(), "users/x".into())],
        );
        let error = Error::from(Status::with_error_details(Code::FailedPrecondition, "locked", details));
        assert_eq!(error.exit(), Exit::NoPermission);
        assert_eq!(error.reason(), "CREDENTIAL_LOCKED");
        assert!(error.advice().is_some_and(|text| text.contains("life unlock")));
        assert_eq!(error.metadata().map(|map| map["user"].as_str()), Some("users/x"));
    }

    #[test]
    fn a_refusing_server_has_exit_codes_of_its_own() {
        for (status, exit) in [
            (400, Exit::Data),
            (401, Exit::NoPermission),
            (404, Exit::NoInput),
            (422, Exit::Data),
            (429, Exit::Temporary),
            (500, Exit::Unavailable),
            (503, Exit::Temporary),
        ] {
            assert_eq!(Error::http(status, None).exit(), exit, "{status}");
        }
        let error = Error::http(404, Some("no such thing".into()));
        assert_eq!(error.to_string(), "the server answered 404 Not Found");
        assert_eq!(
            error.metadata().map(|map| (map["status"].as_str(), map["body"].as_str())),
            Some(("404", "no such thing"))
        );
        assert_eq!(status_line(599), "599");
    }

    #[test]
    fn a_status_without_reason_keeps_its_code() {
        let error = Error::from(Status::unavailable(""));
        assert_eq!((error.exit(), error.reason()), (Exit::Unavailable, "UNAVAILABLE"));
        assert!(!error.to_string().is_empty());
    }

    #[test]
    fn pending_registration_names_itself() {
        let details = ErrorDetails::with_error_info(
            "REGISTRATION_PENDING",
            "agent.life.v1",
            [("registration".into(), "r-7".into())],
        );
        let error = Error::from(Status::with_error_details(Code::FailedPrecondition, "pending", details));
        assert_eq!(error.exit(), Exit::Temporary);
        assert!(error.advice().is_some_and(|text| text.contains("--resume r-7")));
    }

    #[test]
    fn so_does_one_whose_end_is_not_known() {
        for reason in ["PLATFORM_UNAVAILABLE", "PLATFORM_UNTRUSTED"] {
            let metadata = [("registration".into(), "r-7".into())];
            let details = ErrorDetails::with_error_info(reason, "agent.life.v1", metadata);
            let error = Error::from(Status::with_error_details(Code::Unavailable, "not known", details));
            assert!(error.advice().is_some_and(|text| text.contains("--resume r-7")), "{reason}");
        }
    }
}
