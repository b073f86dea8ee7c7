//! `life register`: a new user.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use life_proto::v1;
use life_proto::v1::new_software_certificate::KeyAlgorithm;
use life_proto::v1::register_user_response::Step;
use serde::Serialize;

use super::content::stdout_of;
use super::new_passphrase::Passphrase;
pub use super::new_passphrase::Way;
use super::rescue::rescue;
use crate::connection::Connection;
use crate::context::Context;
use crate::descriptor;
use crate::error::Error;
use crate::files::{Content, Existing, Place, Target, in_background};
use crate::interrupt::Shield;
use crate::names::bare;
use crate::output::{Report, time_or_none, word};

/// The room that is made for a software certificate before there is one.
const PKCS12_ROOM: usize = 64 * 1024;

/// Registers a new user with a software certificate.
///
/// The keys are made in the agent's vault; what comes back is a software certificate, a PKCS#12 file, which is the
/// only way to unlock the account: keep it well. Where it cannot be written after all, it is saved under another name,
/// which the error tells.
///
/// An institution or professional may have to be approved first: the command then fails with 75 and names the
/// registration with which to go on.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"uid\",\"user\",\"kind\",\"fingerprint\",\"generation\",\"create_time\",\"software_certificate\"}")]
pub struct Arguments {
    /// The platform's origin, such as https://life.example:8443; the agent's own when it is bound to one
    #[arg(long, value_name = "URL", requires = "ca_fingerprint")]
    platform: Option<String>,
    /// SHA-256 of the platform's trust bundle, 64 hexadecimal digits
    #[arg(long, value_name = "HEX", requires = "platform")]
    ca_fingerprint: Option<String>,
    /// Who registers
    #[arg(long)]
    kind: Kind,
    /// Where to write the software certificate [default: UID.p12]
    #[arg(short, long, value_name = "FILE.p12", alias = "output")]
    out: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(short, long, requires = "out")]
    force: bool,
    #[command(flatten)]
    passphrase: Passphrase,
    /// The algorithm of the working keys
    #[arg(long, default_value = "rsa-3072")]
    key_algorithm: Algorithm,
    /// Go on with a registration that had to be approved, or whose end the platform did not confirm
    #[arg(long, value_name = "REGISTRATION")]
    resume: Option<String>,
}

/// Who registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A patient
    Patient,
    /// A practice, hospital, laboratory or other institution
    Institution,
    /// A physician, pharmacist or other health care professional
    #[value(alias = "health-care-professional")]
    Professional,
}

impl Kind {
    /// How it is called on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Institution => "institution",
            Self::Professional => "professional",
        }
    }
}

/// The algorithm of the working keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    /// RSA with 3072 bits
    #[value(name = "rsa-3072")]
    Rsa3072,
    /// NIST P-256
    #[value(name = "p-256", alias = "p256")]
    P256,
}

#[derive(Serialize)]
struct Registered {
    uid: String,
    user: String,
    kind: String,
    fingerprint: String,
    generation: u32,
    create_time: Option<String>,
    software_certificate: String,
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let connection = context.connect().await?;
    let overwrite = if arguments.force { Existing::Replace } else { Existing::Keep };
    // The output is opened first, and room made for it: there is no second copy of the certificate.
    let place = arguments.out.clone().map_or_else(|| default_place("probe"), Place::named);
    let existing = if arguments.out.is_some() { overwrite } else { Existing::Replace };
    let mut target = Target::open(&place, existing, Content::Credential).await?;
    target.reserve(PKCS12_ROOM)?;
    let output = arguments.out.is_some().then_some((target, place));
    let goes_on = arguments.resume.is_some();
    let (way, shown) = arguments.passphrase.way(goes_on).await?;
    let mut request = request(arguments.kind, arguments.key_algorithm.into());
    request.platform_origin = arguments.platform.unwrap_or_default();
    request.ca_fingerprint = arguments.ca_fingerprint.unwrap_or_default();
    request.registration = arguments.resume.unwrap_or_default();

    // From here on the account may exist: the certificate is written before anything may end this program.
    let shield = Shield::new();
    let kept = match register(&connection, request, way).await {
        Ok(New { user, pkcs12, passphrase_left }) => {
            let uid = user.uid.clone();
            let place = in_background(move || keep(output, &uid, &pkcs12)).await;
            if passphrase_left && goes_on {
                context.output.warn("PASSPHRASE_NOT_USED", NOT_USED);
            }
            place.map(|place| (user, place))
        }
        Err(error) => Err(error),
    };
    // Whatever became of it: where the vault has made a passphrase, the account may be made yet, under that one.
    if let Some(shown) = shown {
        shown.show().await?;
    }
    let (user, place) = kept?;
    drop(shield);
    let report = Registered {
        kind: word(user.kind().as_str_name(), "PARTICIPANT_KIND_"),
        create_time: time_or_none(user.create_time),
        generation: user.generation,
        software_certificate: place.display(),
        uid: user.uid,
        user: user.name,
        fingerprint: user.fingerprint,
    };
    context.output.done(&report, stdout_of(&place))
}

/// Writes the certificate; where that fails, elsewhere.
fn keep(output: Option<(Target, Place)>, uid: &str, pkcs12: &[u8]) -> Result<Place, Error> {
    let (target, place) = match output {
        Some((target, place)) => (Ok(target), place),
        None => {
            let place = default_place(uid);
            (Target::open_now(&place, Existing::Keep, Content::Credential), place)
        }
    };
    let written = target.and_then(|mut target| {
        target.write(pkcs12)?;
        target.commit()
    });
    match written {
        Ok(()) => Ok(place),
        Err(cause) => Err(rescue(uid, pkcs12, &place, cause)),
    }
}

/// The request for a new user, without its secret.
pub fn request(kind: Kind, algorithm: KeyAlgorithm) -> v1::RegisterUserRequest {
    let certificate = v1::NewSoftwareCertificate { key_algorithm: algorithm.into(), secret: None };
    v1::RegisterUserRequest {
        kind: v1::ParticipantKind::from(kind).into(),
        credential: Some(v1::register_user_request::Credential::SoftwareCertificate(certificate)),
        ..Default::default()
    }
}

/// Why nothing became of a passphrase.
const NOT_USED: &str = "this registration had its passphrase already, from the call that began it: that one opens the \
                        software certificate, and the one of this call does not count";

/// A new user.
pub struct New {
    /// The user.
    pub user: v1::User,
    /// The software certificate.
    pub pkcs12: Bytes,
    /// Whether the agent had no use for the passphrase.
    pub passphrase_left: bool,
}

/// Registers.
pub async fn register(
    connection: &Connection,
    mut request: v1::RegisterUserRequest,
    way: Way,
) -> Result<New, Error> {
    let (source, mut with_ticket) = way.source();
    if let Some(v1::register_user_request::Credential::SoftwareCertificate(new)) = &mut request.credential {
        new.secret = Some(v1::NewSecret { source: Some(source) });
    }
    let mut steps = connection.accounts().register_user(request).await?.into_inner();
    while let Some(response) = steps.message().await? {
        match response.step {
            Some(Step::Registered(registered)) => {
                let user =
                    registered.user.ok_or_else(|| Error::Software("the agent named no user".into()))?;
                let passphrase_left = with_ticket.is_left();
                return Ok(New { user, pkcs12: registered.pkcs12, passphrase_left });
            }
            Some(Step::Ticket(ticket)) => {
                let descriptor = with_ticket.descriptor().await?;
                descriptor::hand_over(ticket, descriptor).await?;
            }
            None => {}
        }
    }
    Err(Error::Software("the agent ended the registration without a result".into()))
}

fn default_place(uid: &str) -> Place {
    Place::Path(PathBuf::from(format!("{}.p12", bare(uid))))
}

impl From<Kind> for v1::ParticipantKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Patient => Self::Patient,
            Kind::Institution => Self::Institution,
            Kind::Professional => Self::HealthCareProfessional,
        }
    }
}

impl From<Algorithm> for KeyAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rsa3072 => Self::Rsa3072,
            Algorithm::P256 => Self::P256,
        }
    }
}

impl Report for Registered {
    fn text(&self) -> String {
        format!(
            "registered {} as {}\n  software certificate: {}\n  fingerprint: {}\n",
            self.uid, self.kind, self.software_certificate, self.fingerprint
        )
    }
}
