//! How `serve` and the operator's commands reach the CA. Blocking: one connection for each request.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use life_pki::{KeySlot, Uid};

use super::added::AddedEvidence;
use super::evidence::Evidence;
use super::protocol::{self, Request, Response, SignedList};
use crate::error::Error;
use crate::store::accounts::Revocation;

const PATIENCE: Duration = Duration::from_secs(20);

/// Certificates by slot, in DER.
pub type Certificates = BTreeMap<KeySlot, Vec<u8>>;

/// The way to the CA's socket.
#[derive(Clone, Debug)]
pub struct CaClient {
    socket: PathBuf,
}

impl CaClient {
    /// A client of the CA that listens on this socket.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Asks for the certificates of a registration.
    ///
    /// # Errors
    /// [`Error::CaUnavailable`]; [`Error::CaRefused`].
    pub fn issue(&self, uid: Uid, evidence: Evidence) -> Result<Certificates, Error> {
        self.certificates(&Request::Issue { uid: uid.to_string(), evidence })
    }

    /// Asks for the certificates of a credential that is added.
    ///
    /// # Errors
    /// As [`CaClient::issue`].
    pub fn issue_added(&self, uid: Uid, evidence: AddedEvidence) -> Result<Certificates, Error> {
        self.certificates(&Request::IssueAdded { uid: uid.to_string(), evidence })
    }

    fn certificates(&self, request: &Request) -> Result<Certificates, Error> {
        match self.ask(request)? {
            Response::Issued { certificates } => certificates
                .into_iter()
                .map(|(name, der)| KeySlot::from_name(&name).map(|slot| (slot, der.0)).ok_or_else(unexpected))
                .collect(),
            Response::Crl(_) | Response::Refused { .. } => Err(unexpected()),
        }
    }

    /// Has every certificate of a credential revoked, and returns the new list.
    ///
    /// # Errors
    /// As [`CaClient::issue`].
    pub fn revoke(&self, revocation: &Revocation) -> Result<SignedList, Error> {
        self.list(&Request::Revoke {
            uid: revocation.uid.to_string(),
            credential: revocation.credential.to_string(),
            time: revocation.time.unix(),
        })
    }

    /// Has the revocation list signed anew.
    ///
    /// # Errors
    /// As [`CaClient::issue`].
    pub fn crl(&self) -> Result<SignedList, Error> {
        self.list(&Request::Crl)
    }

    fn list(&self, request: &Request) -> Result<SignedList, Error> {
        match self.ask(request)? {
            Response::Crl(list) => Ok(list),
            Response::Issued { .. } | Response::Refused { .. } => Err(unexpected()),
        }
    }

    fn ask(&self, request: &Request) -> Result<Response, Error> {
        match self.exchange(request).map_err(Error::CaUnavailable)? {
            Response::Refused { message } => Err(Error::CaRefused(message)),
            response => Ok(response),
        }
    }

    fn exchange(&self, request: &Request) -> std::io::Result<Response> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        protocol::write(&mut stream, request, protocol::MAX_REQUEST)?;
        protocol::read(&mut stream, protocol::MAX_RESPONSE)?
            .ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }
}

fn unexpected() -> Error {
    Error::CaRefused("an answer to another question".to_owned())
}
