//! Judging a signature: by its value, its purpose, its sender's account log, its certificate, and by time (FORMATS §4).

use life_envelope::signature::Signed;
use life_envelope::{Form, Purpose, SignatureFault, SignedData, Verified};
use life_pki::account_log::{AccountState, CredentialRecord};
use life_pki::chain::{self, ChainError, Revocation};
use life_pki::receipt::Receipt;
use life_pki::{Certificate, KeySlot, Timestamp};
use life_proto::v1::{SignaturePurpose, SignatureReport, SignatureState, TrustState};

use crate::clock;
use crate::error::{Error, Fault, Result};
use crate::identities::Identity;
use crate::names;
use crate::unlock::without_root;

/// What came out.
pub struct Judgement {
    /// What is told.
    pub report: SignatureReport,
    /// The fault, unless the signature is valid.
    pub fault: Option<Error>,
    /// The signature with what it says; only if its value verified.
    pub verified: Option<Verified>,
}

impl Judgement {
    /// There is no signature.
    pub fn none() -> Self {
        let report = SignatureReport {
            state: SignatureState::None.into(),
            explanation: "the content is not signed: anybody may have made it".to_owned(),
            ..SignatureReport::default()
        };
        Self { report, fault: Some(Fault::SignatureMissing.into()), verified: None }
    }

    /// The signature cannot be read or does not verify.
    pub fn invalid(error: life_envelope::Error) -> Self {
        let mut judgement = Self::none();
        judgement.settle(SignatureState::Invalid, error.into(), error.to_string());
        judgement
    }

    fn settle(&mut self, state: SignatureState, fault: Error, explanation: String) {
        self.report.state = state.into();
        self.report.explanation = explanation;
        self.fault = Some(fault);
    }

    /// Whether it is proof of the sender.
    pub fn is_valid(&self) -> bool {
        self.fault.is_none()
    }

    /// Turns a verdict to the worse for a reason found elsewhere.
    pub fn spoil(&mut self, fault: Fault) {
        if self.is_valid() {
            let error = Error::from(fault);
            let explanation = error.to_string();
            self.settle(SignatureState::Invalid, error, explanation);
        }
    }
}

/// Judges a signature for a purpose, over the form of content that stands where it was found.
///
/// `receipt` is the platform's receipt over it, if there is one; one that does not verify or is about another
/// signature counts as none.
///
/// # Errors
/// IDENTITY_CHANGED and the other faults of the sender's account, PLATFORM_UNAVAILABLE when the sender is not known
/// here yet: then there is no verdict.
pub async fn judge(
    identity: &Identity,
    signed: &SignedData<'_>,
    content: Signed<'_>,
    purpose: Purpose,
    form: Form,
    receipt: Option<&[u8]>,
) -> Result<Judgement> {
    judge_examined(identity, Examined::of(signed, content), purpose, form, receipt).await
}

/// A signature with what came of verifying its value: the part of judging that takes long for a long content, and is
/// done on a thread that may.
pub struct Examined {
    verified: Result<Verified, life_envelope::Error>,
    certificates: Vec<Vec<u8>>,
    signature_digest: [u8; 32],
}

impl Examined {
    /// Verifies a signature's value.
    pub fn of(signed: &SignedData<'_>, content: Signed<'_>) -> Self {
        Self {
            verified: signed.verify(content),
            certificates: signed.certificates().to_vec(),
            signature_digest: signed.signature_digest(),
        }
    }

    /// SHA-256 of the signature's value.
    pub fn signature_digest(&self) -> &[u8; 32] {
        &self.signature_digest
    }
}

/// As [`judge`], for a signature whose value was verified before.
///
/// # Errors
/// As [`judge`].
pub async fn judge_examined(
    identity: &Identity,
    examined: Examined,
    purpose: Purpose,
    form: Form,
    receipt: Option<&[u8]>,
) -> Result<Judgement> {
    let Examined { verified, certificates, signature_digest } = examined;
    match verified {
        Ok(verified) => judge_verified(identity, verified, &certificates, (purpose, form), receipt).await,
        Err(life_envelope::Error::Signature(SignatureFault::ContentMissing)) => {
            Err(Fault::ContentMissing.into())
        }
        Err(error) => {
            let mut judgement = Judgement::invalid(error);
            judgement.report.signature_digest = signature_digest.to_vec().into();
            Ok(judgement)
        }
    }
}

async fn judge_verified(
    identity: &Identity,
    verified: Verified,
    certificates: &[Vec<u8>],
    (purpose, form): (Purpose, Form),
    receipt: Option<&[u8]>,
) -> Result<Judgement> {
    let receipt = receipt.and_then(|der| valid_receipt(identity, der, &verified));
    let mut judgement = Judgement { report: report(&verified, receipt), fault: None, verified: None };
    let certificate = Certificate::from_der(verified.signer_certificate()).ok();
    match certificate.as_ref().and_then(Certificate::uid).map(|owner| verified.check(purpose, form, owner)) {
        Some(Ok(())) => {}
        Some(Err(error)) => judgement.settle(SignatureState::Invalid, error.into(), error.to_string()),
        None => judgement.settle(
            SignatureState::SignerUnknown,
            Fault::SignerUnknown.because("its certificate is not a user's"),
            "the certificate is not a user's".to_owned(),
        ),
    }
    if let (Some(certificate), true) = (certificate, judgement.is_valid()) {
        let time = receipt.map(|receipt| receipt.time);
        // The chain first: what the CA never issued is no reason to look anybody up.
        let mut verdict = judge_chain(identity, &certificate, certificates, time).await?;
        if !matches!(verdict, Err((SignatureState::SignerUnknown, _))) {
            let uid = verified.context().sender();
            match sender(identity, &verified).await {
                Ok(account) => {
                    judgement.report.trust = identity.directory.trust(uid).await.into();
                    verdict = judge_log(&account, &certificate, time, verdict);
                }
                Err(error) if error.fault() == Fault::RecipientNotFound => {
                    verdict = Err((SignatureState::SignerUnknown, "the platform knows no such user"));
                }
                Err(error) => return Err(error.with("user", names::user(&uid))),
            }
        }
        if let Err((state, why)) = verdict {
            let fault = match state {
                SignatureState::SignerTimeUnproven => Fault::SignerTimeUnproven.because(why),
                _ => Fault::SignerUnknown.because(why),
            };
            judgement.settle(state, fault, why.to_owned());
        }
    }
    judgement.verified = Some(verified);
    Ok(judgement)
}

/// The sender's account, as the reader knows it.
async fn sender(identity: &Identity, verified: &Verified) -> Result<AccountState> {
    let uid = verified.context().sender();
    if uid == identity.uid {
        return identity.directory.own().await;
    }
    let hash = verified.signer_key().hash();
    identity.directory.account_with(uid, |account| account.signer(&hash).is_some()).await
}

type Verdict = std::result::Result<(), (SignatureState, &'static str)>;

/// Judges the signer's certificate at the time that is proven: the receipt's, else now.
async fn judge_chain(
    identity: &Identity,
    certificate: &Certificate,
    certificates: &[Vec<u8>],
    receipt_time: Option<Timestamp>,
) -> Result<Verdict> {
    let now = clock::now()?;
    let at = receipt_time.unwrap_or(now);
    let crl = identity.directory.crl().await?;
    // What was signed while a list was current is judged by that list, however stale it is by now.
    let list_time = if at < crl.next_update() { now.min(crl.next_update().minus(1)) } else { now };
    let revocation = Revocation::Crls { crls: &[crl.der()], now: list_time };
    // One's own issuers first: they are this platform's, and a signer may have brought none, or rubbish.
    let path = without_root(&[&identity.root.issuers, certificates].concat(), &identity.binding);
    let root = &identity.binding.bundle.user_root;
    let slot = chain::Purpose::Slot(KeySlot::Signature);
    let unproven = |why| Ok(Err((SignatureState::SignerTimeUnproven, why)));
    match chain::verify(certificate.der(), &path, root, revocation, at, slot) {
        Ok(_) => Ok(Ok(())),
        Err(ChainError::Expired) => {
            unproven("the signer's certificate had expired at the time that is proven")
        }
        Err(ChainError::NotYetValid) => unproven("the signer's certificate was not valid yet at that time"),
        Err(ChainError::Revoked) => {
            unproven("the signer's certificate was revoked by the time that is proven")
        }
        Err(ChainError::CrlStale) => unproven("no current revocation list is at hand"),
        Err(_) => {
            Ok(Err((SignatureState::SignerUnknown, "the signer's certificate is not of this platform's CA")))
        }
    }
}

/// Judges whether the signer was the sender's, given what came of its certificate.
fn judge_log(
    account: &AccountState,
    certificate: &Certificate,
    receipt_time: Option<Timestamp>,
    chain: Verdict,
) -> Verdict {
    let Some(record) = account.signer(&certificate.public_key().hash()) else {
        return Err((SignatureState::SignerUnknown, "the signer's key is not in the sender's account log"));
    };
    chain?;
    if was_revoked(record, receipt_time) {
        let why = "the sender's account log had revoked the signer by the time that is proven";
        return Err((SignatureState::SignerTimeUnproven, why));
    }
    Ok(())
}

/// Only revocations count by time: when a credential was added is its owner's claim, and its certificate says better.
fn was_revoked(record: &CredentialRecord, at: Option<Timestamp>) -> bool {
    match (record.revoked, at) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(revoked), Some(at)) => revoked.time <= at,
    }
}

/// Has the platform certify a signature, and checks what it gives.
///
/// # Errors
/// As `Crypto.GetReceipt`.
pub async fn receipt(identity: &Identity, digest: &[u8; 32]) -> Result<Vec<u8>> {
    let der = identity.client.receipt(digest).await?;
    let receipt = Receipt::verify(&der, &identity.binding.bundle.server_root, clock::now()?);
    match receipt {
        Ok(receipt) if receipt.signature_digest == *digest => Ok(der),
        Ok(_) => Err(Fault::PlatformUntrusted.because("its receipt is about another signature")),
        Err(error) => Err(Fault::PlatformUntrusted.because(format!("its receipt is refused: {error}"))),
    }
}

fn valid_receipt(identity: &Identity, der: &[u8], verified: &Verified) -> Option<Receipt> {
    let now = clock::now().ok()?;
    let receipt = Receipt::verify(der, &identity.binding.bundle.server_root, now).ok();
    let receipt = receipt.filter(|receipt| receipt.signature_digest == *verified.signature_digest());
    if receipt.is_none() {
        tracing::info!("a receipt does not verify or is about another signature");
    }
    receipt
}

fn report(verified: &Verified, receipt: Option<Receipt>) -> SignatureReport {
    let context = verified.context();
    let purpose = match context.purpose() {
        Purpose::Document => SignaturePurpose::Document,
        Purpose::Message => SignaturePurpose::Message,
        Purpose::Share => SignaturePurpose::Share,
        Purpose::Detached => SignaturePurpose::Detached,
        Purpose::Statement => SignaturePurpose::Unspecified,
    };
    SignatureReport {
        state: SignatureState::Valid.into(),
        signer: names::user(&context.sender()),
        trust: TrustState::Unspecified.into(),
        signing_time: Some(clock::wire(verified.signing_time())),
        receipt_time: receipt.map(|receipt| clock::wire(receipt.time)),
        purpose: purpose.into(),
        explanation: String::new(),
        document_id: names::uuid(&context.document_id().0),
        document_version: context.document_version(),
        signature_digest: verified.signature_digest().to_vec().into(),
    }
}
