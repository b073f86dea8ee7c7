//! What can go wrong in the platform's own machinery.

/// A failure of a command or of the storage below it. Messages carry no user data.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate authority cannot be reached, or went away before it answered.
    #[error("the certificate authority does not answer: {0}; start `life-platform ca`")]
    CaUnavailable(#[source] std::io::Error),
    /// The certificate authority looked at the evidence and refused.
    #[error("the certificate authority refused: {0}")]
    CaRefused(String),
    /// A certificate, CRL or key could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(&'static str),
    /// The configuration or a file of the layout does not hold what it should.
    #[error("{0}")]
    Config(String),
    /// The database failed.
    #[error("the database failed: {0}; check that its folder can be written and has room")]
    Database(#[from] rusqlite::Error),
    /// A file or socket operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A stored value does not parse any more: damage, or a newer version.
    #[error("a stored value is damaged: {0}")]
    Stored(&'static str),
}

impl Error {
    /// Whether a file is not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

/// Wraps an I/O error with what was being done.
pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { what, source }
}
