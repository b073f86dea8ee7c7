//! What goes to the broker: whole frames, each in one write.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use life_sys::secret::SecretBytes;
use life_vault_protocol::{Response, VaultError, encode_response};

/// The writing end, shared by all threads.
pub(crate) struct Outbox(Mutex<UnixStream>);

impl Outbox {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self(Mutex::new(socket))
    }

    /// Sends answers. When the broker has gone nobody needs them, and the reader will notice.
    pub(crate) fn send(&self, answers: Answers) {
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for frame in answers.0 {
            // EXPOSE: to the broker, who asked for it; the frame is wiped when dropped.
            if let Err(error) = socket.write_all(frame.expose()) {
                tracing::debug!(%error, "an answer could not be sent");
            }
        }
    }
}

/// Encoded answers, to be sent when what they were made of is wiped.
#[derive(Default)]
pub(crate) struct Answers(Vec<SecretBytes>);

life_sys::secret_types!(Answers);

impl Answers {
    /// Adds one.
    pub(crate) fn add(&mut self, id: u64, response: &Response) {
        let frame = encode_response(id, response)
            .or_else(|_| encode_response(id, &Response::Error(VaultError::Internal)));
        self.0.extend(frame);
    }
}
