//! Errors as RFC 9457 problem documents with a stable `reason`.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::error::Error;
use crate::store::blobs::DepositError;

/// The header that says how many bytes of an upload are there.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// Makes the reasons: variant, name, status, what it means.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:ident, $title:literal;)*) => {
        /// Why a request was not answered as asked. Names are stable; clients decide by them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status it comes with.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// What it means, in a few words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

reasons! {
    /// There is no such addition of a credential, or it has expired.
    AdditionUnknown = "ADDITION_UNKNOWN", NOT_FOUND, "There is no such addition";
    /// The CA looked at the evidence again and refused.
    CaRefused = "CA_REFUSED", BAD_GATEWAY, "The certificate authority refused";
    /// The CA does not answer; everything so far is stored.
    CaUnavailable = "CA_UNAVAILABLE", SERVICE_UNAVAILABLE, "The certificate authority does not answer";
    /// The client certificate is past its end.
    CertificateExpired = "CERTIFICATE_EXPIRED", UNAUTHORIZED, "The certificate has expired";
    /// The client certificate is before its beginning.
    CertificateNotYetValid = "CERTIFICATE_NOT_YET_VALID", UNAUTHORIZED, "The certificate is not valid yet";
    /// No client certificate was shown.
    CertificateRequired = "CERTIFICATE_REQUIRED", UNAUTHORIZED, "A client certificate is required";
    /// The credential was revoked.
    CertificateRevoked = "CERTIFICATE_REVOKED", UNAUTHORIZED, "The certificate has been revoked";
    /// Another issuer, another purpose, or not of a user of this platform.
    CertificateUntrusted = "CERTIFICATE_UNTRUSTED", UNAUTHORIZED, "The certificate is not of a user of this platform";
    /// The client's clock is too far off.
    ClockSkew = "CLOCK_SKEW", UNAUTHORIZED, "The clocks differ too much";
    /// Neither an envelope nor a sealed stream.
    ContentRefused = "CONTENT_REFUSED", UNPROCESSABLE_ENTITY, "Only envelopes and sealed streams are stored";
    /// The account has as many working credentials as it may have.
    CredentialLimit = "CREDENTIAL_LIMIT", CONFLICT, "The account has too many credentials";
    /// There is no such credential.
    CredentialUnknown = "CREDENTIAL_UNKNOWN", NOT_FOUND, "There is no such credential";
    /// The depositor has used up their share of the inbox, or of the platform.
    DepositLimit = "DEPOSIT_LIMIT", INSUFFICIENT_STORAGE, "The depositor's share is used up";
    /// The id belongs to another document, or to one that was deleted.
    DocumentConflict = "DOCUMENT_CONFLICT", CONFLICT, "The document id is taken";
    /// The owner's documents have used up their quota.
    DocumentsFull = "DOCUMENTS_FULL", INSUFFICIENT_STORAGE, "The quota of documents is used up";
    /// There is no such document, or not for this caller.
    DocumentUnknown = "DOCUMENT_UNKNOWN", NOT_FOUND, "There is no such document";
    /// Proofs, log or seal of a registration do not hold.
    EvidenceInvalid = "EVIDENCE_INVALID", UNPROCESSABLE_ENTITY, "The evidence does not hold";
    /// The inbox's quota is used up.
    InboxFull = "INBOX_FULL", INSUFFICIENT_STORAGE, "The inbox is full";
    /// A fault of the platform.
    Internal = "INTERNAL", INTERNAL_SERVER_ERROR, "The platform failed";
    /// A parameter or body is not as the contract says.
    InvalidArgument = "INVALID_ARGUMENT", BAD_REQUEST, "The request is not as the contract says";
    /// A key belongs to an account already.
    KeyInUse = "KEY_IN_USE", CONFLICT, "A key belongs to an account already";
    /// The commit came before the keys.
    KeysMissing = "KEYS_MISSING", CONFLICT, "The keys have not been handed in";
    /// The account log has another entry at that place.
    LogConflict = "LOG_CONFLICT", CONFLICT, "The account log has gone on";
    /// The SuperPIN is unknown, or the answer is wrong.
    LoginRefused = "LOGIN_REFUSED", UNAUTHORIZED, "The SuperPIN does not open anything";
    /// The message id is taken by another depositor.
    MessageConflict = "MESSAGE_CONFLICT", CONFLICT, "The message id is taken";
    /// The caller's message of this id is visible already and stays as it is: for a depositor who tries again this is
    /// success.
    MessageExists = "MESSAGE_EXISTS", CONFLICT, "The message was deposited before";
    /// There is no such message, or not for this caller.
    MessageUnknown = "MESSAGE_UNKNOWN", NOT_FOUND, "There is no such message";
    /// The resource does not have this method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", METHOD_NOT_ALLOWED, "The resource does not have this method";
    /// There is no such resource.
    NotFound = "NOT_FOUND", NOT_FOUND, "There is no such resource";
    /// The document has changed since the version named in if-match.
    PreconditionFailed = "PRECONDITION_FAILED", PRECONDITION_FAILED, "The document has changed";
    /// The proof header does not verify.
    ProofInvalid = "PROOF_INVALID", UNAUTHORIZED, "The registration proof does not verify";
    /// The proof header is missing.
    ProofRequired = "PROOF_REQUIRED", UNAUTHORIZED, "A registration proof is required";
    /// The range lies outside the content.
    RangeNotSatisfiable = "RANGE_NOT_SATISFIABLE", RANGE_NOT_SATISFIABLE, "The range lies outside the content";
    /// Too many requests.
    RateLimited = "RATE_LIMITED", TOO_MANY_REQUESTS, "Too many requests";
    /// A recipient of the content or of the metadata is neither owner nor reader, or one of them is no recipient.
    RecipientRefused = "RECIPIENT_REFUSED", UNPROCESSABLE_ENTITY, "Recipients are not exactly owner and readers";
    /// Another commit of this registration was accepted before.
    RegistrationConflict = "REGISTRATION_CONFLICT", CONFLICT, "The registration was committed with other evidence";
    /// The registration was not committed in time.
    RegistrationExpired = "REGISTRATION_EXPIRED", GONE, "The registration has expired";
    /// A registrar has not decided yet.
    RegistrationPending = "REGISTRATION_PENDING", CONFLICT, "The registration waits for a registrar";
    /// A registrar said no.
    RegistrationRefused = "REGISTRATION_REFUSED", FORBIDDEN, "A registrar refused the registration";
    /// There is no such registration.
    RegistrationUnknown = "REGISTRATION_UNKNOWN", NOT_FOUND, "There is no such registration";
    /// The disk has no room.
    StorageFull = "STORAGE_FULL", INSUFFICIENT_STORAGE, "The platform has no room";
    /// The body did not arrive in time.
    Timeout = "TIMEOUT", REQUEST_TIMEOUT, "The body did not arrive in time";
    /// The body or message is larger than allowed.
    TooLarge = "TOO_LARGE", PAYLOAD_TOO_LARGE, "The body is larger than allowed";
    /// The content type is not the one of the contract.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", UNSUPPORTED_MEDIA_TYPE, "The content type is another one";
    /// The append does not begin where the upload ends; header upload-offset says where that is.
    UploadOffsetMismatch = "UPLOAD_OFFSET_MISMATCH", CONFLICT, "The upload ends elsewhere";
    /// The upload was given up, has expired, or was never begun.
    UploadUnknown = "UPLOAD_UNKNOWN", NOT_FOUND, "There is no such upload";
    /// There is no such user.
    UserUnknown = "USER_UNKNOWN", NOT_FOUND, "There is no such user";
    /// The version or revision is not the one that can come next.
    VersionConflict = "VERSION_CONFLICT", CONFLICT, "The document has another version";
}

/// An error answer.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The stable reason.
    pub reason: Reason,
    /// What happened here and what to do; no user data.
    pub detail: String,
    retry_after: Option<u32>,
    upload_offset: Option<u64>,
    current: Option<(u64, u64)>,
    content_length: Option<u64>,
}

impl Problem {
    /// A problem with its explanation.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            retry_after: None,
            upload_offset: None,
            current: None,
            content_length: None,
        }
    }

    /// Says after how many seconds another try makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Says where the upload goes on (header [`UPLOAD_OFFSET`]).
    #[must_use]
    pub fn upload_offset(mut self, offset: u64) -> Self {
        self.upload_offset = Some(offset);
        self
    }

    /// Says which version and revision the document has.
    #[must_use]
    pub fn current(mut self, version: u64, revision: u64) -> Self {
        self.current = Some((version, revision));
        self
    }

    /// Says how long the content is that a range lies outside of.
    #[must_use]
    pub fn content_length(mut self, length: u64) -> Self {
        self.content_length = Some(length);
        self
    }

    /// Logs a fault of the platform and hides it from the client.
    #[must_use]
    pub fn internal(fault: &dyn std::fmt::Display) -> Self {
        tracing::error!(%fault, "request failed");
        Self::new(Reason::Internal, "the platform's log says more; try again later")
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_revision: Option<u64>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.reason.status();
        let document = Document {
            kind: format!("urn:life:problem:{}", self.reason.name().to_lowercase().replace('_', "-")),
            title: self.reason.title(),
            status: status.as_u16(),
            detail: &self.detail,
            reason: self.reason.name(),
            current_version: self.current.map(|(version, _)| version),
            current_revision: self.current.map(|(_, revision)| revision),
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(offset) = self.upload_offset {
            headers.insert(UPLOAD_OFFSET, HeaderValue::from(offset));
        }
        if let Some(length) = self.content_length
            && let Ok(value) = HeaderValue::try_from(format!("bytes */{length}"))
        {
            headers.insert(CONTENT_RANGE, value);
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::CaUnavailable(_) => {
                tracing::warn!(%error, "the certificate authority is unavailable");
                let detail = "everything so far is stored; send the same commit again";
                Self::new(Reason::CaUnavailable, detail).retry_after(5)
            }
            Error::CaRefused(_) => {
                tracing::error!(%error, "the certificate authority refused what was checked here");
                Self::new(Reason::CaRefused, "the platform's operator has to look at this")
            }
            Error::Database(rusqlite::Error::SqliteFailure(code, _))
                if code.code == rusqlite::ErrorCode::DiskFull =>
            {
                tracing::error!("the disk is full");
                Self::new(Reason::StorageFull, "nothing more was stored; try again later").retry_after(60)
            }
            error => Self::internal(&error),
        }
    }
}

impl From<DepositError> for Problem {
    fn from(error: DepositError) -> Self {
        match error {
            DepositError::DocumentsFull => {
                let detail =
                    "delete documents or give uploads up first; ids of deleted ones count for 30 days";
                Self::new(Reason::DocumentsFull, detail)
            }
            DepositError::Full(why) => {
                tracing::error!(why, "a deposit was refused");
                Self::new(Reason::StorageFull, "nothing more was stored; try again later").retry_after(60)
            }
            DepositError::InboxFull => {
                Self::new(Reason::InboxFull, "the owner has to fetch and delete messages first")
            }
            DepositError::Machinery(error) => error.into(),
            DepositError::Shape(crate::store::shape::ShapeError::Io(error)) => Self::internal(&error),
            DepositError::Shape(fault) => {
                Self::new(Reason::ContentRefused, format!("{fault}; encrypt it first"))
            }
            DepositError::ShareFull => Self::new(
                Reason::DepositLimit,
                "recipients have to delete messages first; ids of deleted ones count for 30 days",
            ),
            DepositError::TooLarge => {
                Self::new(Reason::TooLarge, "the content is longer than this platform takes")
            }
        }
    }
}
