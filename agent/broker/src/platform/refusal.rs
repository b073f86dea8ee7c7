//! How the platform refuses, and how connections to it fail: as faults.

use std::error::Error as StdError;

use http::{Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;

use super::http::whole;
use crate::error::{Error, Fault};

/// What the platform says when it refuses (RFC 9457), and our reason.
#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    title: String,
    /// The version that a document has, where another was asked for.
    #[serde(default)]
    current_version: Option<u64>,
}

/// rustls' error, however many I/O errors it is wrapped in: their `source` leaves out what they wrap.
pub fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    tls_error(error.downcast_ref::<std::io::Error>()?.get_ref()?)
}

/// The fault that a failed handshake, or an alert after it, is.
pub fn tls_fault(error: &rustls::Error) -> Error {
    use rustls::{AlertDescription as Alert, CertificateError as Cert, Error as Tls};
    match error {
        Tls::InvalidCertificate(
            Cert::Expired | Cert::ExpiredContext { .. } | Cert::NotValidYet | Cert::NotValidYetContext { .. },
        ) => Fault::PlatformUntrusted.because(
            "its server certificate is not valid at this machine's time; perhaps the clock is wrong",
        ),
        Tls::InvalidCertificate(_) | Tls::NoCertificatesPresented | Tls::PeerMisbehaved(_) => {
            Fault::PlatformUntrusted.because("its server certificate does not lead to the pinned root")
        }
        Tls::AlertReceived(Alert::CertificateRevoked) => Fault::CredentialRevoked.into(),
        Tls::AlertReceived(Alert::CertificateExpired) => Fault::CredentialExpired.into(),
        Tls::AlertReceived(
            Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateRequired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate,
        ) => Fault::CredentialUntrusted.because("the server does not accept its certificate"),
        Tls::General(reason) if reason == Fault::CredentialLocked.reason() => Fault::CredentialLocked.into(),
        Tls::General(reason) if reason == Fault::VaultUnavailable.reason() => Fault::VaultUnavailable.into(),
        _ => Fault::PlatformUnavailable.because("no TLS connection comes about"),
    }
}

/// Turns a refusal into a fault: by the platform's reason where ours has the same name, else by status.
pub async fn refused(answer: Response<Incoming>) -> Error {
    let status = answer.status();
    let offset = answer.headers().get("upload-offset").and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
    let body = whole(answer.into_body()).await.unwrap_or_default();
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let reason: String = problem
        .reason
        .chars()
        .filter(|c| c.is_ascii_uppercase() || matches!(c, '_' | '0'..='9'))
        .take(64)
        .collect();
    let error = fault_of(&reason, status);
    let title: String = problem.title.chars().filter(|c| !c.is_control()).take(200).collect();
    tracing::info!(status = status.as_u16(), reason, "the platform refused");
    let numbers = [("current_version", problem.current_version), ("upload_offset", offset)];
    let numbers = numbers.into_iter().filter_map(|(key, number)| Some((key, number?)));
    numbers
        .fold(error, |error, (key, number)| error.with(key, number.to_string()))
        .with("platform_status", status.as_u16().to_string())
        .with("platform_reason", reason)
        .with("platform_title", title)
}

fn fault_of(reason: &str, status: StatusCode) -> Error {
    match reason {
        "CERTIFICATE_EXPIRED" => Fault::CredentialExpired.into(),
        "CERTIFICATE_NOT_YET_VALID" => Fault::CredentialNotYetValid.into(),
        "CERTIFICATE_REQUIRED" | "CERTIFICATE_UNTRUSTED" => Fault::CredentialUntrusted.into(),
        "CERTIFICATE_REVOKED" => Fault::CredentialRevoked.into(),
        "CLOCK_SKEW" => Fault::PlatformRefused.because("this machine's clock differs too much from its own"),
        "DEPOSIT_LIMIT" => {
            Fault::InboxFull.because("the sender's share of it, or of the platform, is used up")
        }
        "DOCUMENT_CONFLICT" => Fault::VersionConflict.because("its id was taken already"),
        "DOCUMENT_UNKNOWN" => Fault::DocumentNotFound.into(),
        "DOCUMENTS_FULL" => Fault::DocumentsFull.into(),
        "INBOX_FULL" => Fault::InboxFull.into(),
        "RATE_LIMITED" => Fault::PlatformUnavailable.because("it takes no more requests for a while"),
        "REGISTRATION_EXPIRED" | "REGISTRATION_UNKNOWN" => Fault::RegistrationExpired.into(),
        "REGISTRATION_PENDING" => Fault::RegistrationPending.into(),
        "REGISTRATION_REFUSED" => Fault::RegistrationRefused.into(),
        "STORAGE_FULL" => Fault::PlatformUnavailable.because("it has no room"),
        "TOO_LARGE" => Fault::MessageTooLarge.because("the platform takes less"),
        "VERSION_CONFLICT" => Fault::VersionConflict.into(),
        _ if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            Fault::PlatformUnavailable.because(format!("it failed with status {}", status.as_u16()))
        }
        "" => Fault::PlatformRefused.because(format!("it answered with status {}", status.as_u16())),
        reason => Fault::PlatformRefused.because(format!("it answered {reason}")),
    }
}

/// Whether a fault is the platform's "no such thing".
pub fn is_not_found(error: &Error) -> bool {
    error.metadata("platform_status") == Some("404")
}

/// The platform's answer has not the form that the contract gives it.
pub fn unreadable() -> Error {
    Fault::PlatformUntrusted.because("its answer does not have the form it should have")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_platform_says_is_told_and_what_it_fails_at_is_tried_again() {
        let of = |reason: &str, status: u16| fault_of(reason, StatusCode::from_u16(status).unwrap());
        assert_eq!(of("INBOX_FULL", 507).fault(), Fault::InboxFull);
        assert_eq!(of("STORAGE_FULL", 507).fault(), Fault::PlatformUnavailable);
        assert_eq!(of("", 502).fault(), Fault::PlatformUnavailable);
        assert_eq!(of("CA_UNAVAILABLE", 503).fault(), Fault::PlatformUnavailable);
        let other = of("EVIDENCE_INVALID", 422);
        assert_eq!(other.fault(), Fault::PlatformRefused);
        assert!(other.to_string().contains("EVIDENCE_INVALID"));
        assert!(of("", 404).to_string().contains("404"));
    }
}
