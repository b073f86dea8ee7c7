//! What the vault does with its keys: one function for quick requests, one for slow work.

mod account;
mod session;

use life_vault_protocol::{Request, Response, VaultError};

use crate::keep::Keep;
use crate::slow::{PendingCertificate, SlowWork};

/// Performs a quick request. Never inlined: when it returns, its stack frames are below the caller's and can be wiped.
#[inline(never)]
pub(crate) fn perform(keep: &Keep, request: Request) -> Response {
    answer(match request {
        Request::AnswerChallenge { pending, slot, envelope } => {
            account::answer_challenge(keep, pending, slot, &envelope)
        }
        Request::CommitAccount { pending, time } => account::commit(keep, pending, time),
        Request::DiscardAccount { pending } => account::discard(keep, pending),
        Request::Lock { session } => session::lock(keep, session),
        Request::Mac { session, data } => session::mac(keep, session, &data),
        Request::OpenRoot { session, log, seals, now } => {
            session::open_root(keep, session, &log, &seals, now)
        }
        Request::SignAttributes { session, attributes } => {
            session::sign_attributes(keep, session, &attributes)
        }
        Request::SignTls { session, input } => session::sign_tls(keep, session, &input),
        Request::UnwrapContentKey { session, recipient_info } => {
            session::unwrap_content_key(keep, session, &recipient_info)
        }
        // These go other ways; the server's `take` knows them.
        Request::AwaitCards { .. }
        | Request::CancelSecret { .. }
        | Request::ExportSoftwareCertificate { .. }
        | Request::GenerateAccount { .. }
        | Request::ListCards
        | Request::LockAll
        | Request::LockUser { .. }
        | Request::OpenSoftwareCertificate { .. }
        | Request::Status => Err(VaultError::WrongState),
    })
}

/// Performs slow work; a certificate that a passphrase did not open is given back, for another try. What is no longer wanted
/// ends before its next step. Never inlined, as [`perform`].
#[inline(never)]
pub(crate) fn perform_slow(
    keep: &Keep,
    work: SlowWork,
    wanted: &dyn Fn() -> bool,
) -> (Response, Option<PendingCertificate>) {
    let (result, certificate) = match work {
        SlowWork::Export { pending, certificates, issuers } => {
            (account::export(keep, pending, &certificates, &issuers), None)
        }
        SlowWork::Generate { account, passphrase } => {
            (account::generate(keep, account, passphrase, wanted), None)
        }
        SlowWork::Open { certificate, passphrase } => {
            (session::open(keep, &certificate, &passphrase), Some(certificate))
        }
    };
    (answer(result), certificate)
}

/// Undoes what an answer tells of that reached nobody.
pub(crate) fn undo(keep: &Keep, response: &Response) {
    match response {
        Response::Account { pending, .. } => keep.remove_pending(pending.0),
        // A lock may have been there first.
        Response::Opened { session, .. } => drop(keep.lock(session.0)),
        _ => {}
    }
}

fn answer(result: Result<Response, VaultError>) -> Response {
    result.unwrap_or_else(Response::Error)
}
