//! `life user`: other users.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use life_proto::v1;
use serde::Serialize;

use super::content::stdout_of;
use crate::context::Context;
use crate::error::Error;
use crate::files::{Content, Existing, Place, Target, Writer};
use crate::names::{UserName, bare};
use crate::output::{Report, Stdout, time_or_none, word};

/// Looks users up in the platform's directory, their account logs verified and pinned.
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Certificate(CertificateArguments),
    Fingerprint(FingerprintArguments),
    Lookup(LookupArguments),
}

/// Prints the certificate that other programs encrypt to, PEM.
#[derive(Args, Debug)]
#[command(
    after_long_help = "JSON: {\"output\" or null,\"user\",\"certificate\",\"issuers\":[...],\"generation\"}, certificates in PEM."
)]
struct CertificateArguments {
    /// The user
    #[arg(value_name = "UID")]
    user: UserName,
    /// Print the certificates that issued it, too; the root last
    #[arg(long)]
    chain: bool,
    /// Where to write; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the output file if it exists
    #[arg(short, long)]
    force: bool,
}

/// Prints or confirms an account's fingerprint.
///
/// Two people compare it by voice or on paper. Confirming is also the only way to accept an account that was reset.
#[derive(Args, Debug)]
#[command(after_long_help = "JSON: {\"user\",\"fingerprint\",\"trust\"}")]
struct FingerprintArguments {
    /// The user
    #[arg(value_name = "UID")]
    user: UserName,
    /// The digits as the other person gave them; blanks and dashes do not count
    #[arg(long, value_name = "DIGITS", num_args = 1..)]
    confirm: Vec<String>,
}

/// Says who a user is and how well the agent knows the account.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"user\",\"uid\",\"kind\",\"trust\",\"generation\",\"fingerprint\",\"first_seen_time\",\"certificate\"}, the \
certificate in PEM.")]
struct LookupArguments {
    /// The user
    #[arg(value_name = "UID")]
    user: UserName,
}

#[derive(Serialize)]
struct Certificate {
    user: String,
    certificate: String,
    issuers: Vec<String>,
    generation: u32,
}

#[derive(Serialize)]
struct Fingerprint {
    user: String,
    fingerprint: String,
    trust: String,
}

#[derive(Serialize)]
struct User {
    user: String,
    uid: String,
    kind: String,
    trust: String,
    generation: u32,
    fingerprint: String,
    first_seen_time: Option<String>,
    certificate: String,
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    match arguments.action {
        Action::Certificate(arguments) => certificate(arguments, context).await,
        Action::Fingerprint(arguments) => fingerprint(arguments, context).await,
        Action::Lookup(arguments) => {
            let user = lookup(&arguments.user, context).await?;
            context.output.answer(&User::from(user))
        }
    }
}

async fn lookup(user: &UserName, context: &Context) -> Result<v1::DirectoryUser, Error> {
    let request = v1::LookupUserRequest { name: user.name(), caller: context.user() };
    let response = context.connect().await?.directory().lookup_user(request).await?.into_inner();
    response.user.ok_or_else(|| Error::Software("the agent answered without a user".into()))
}

async fn certificate(arguments: CertificateArguments, context: &Context) -> Result<(), Error> {
    let place = Place::named(arguments.output.unwrap_or_else(|| Path::new("-").to_owned()));
    let user = lookup(&arguments.user, context).await?;
    let report = Certificate {
        user: user.name,
        certificate: pem(&user.certificate),
        issuers: user.issuers.iter().map(|der| pem(der)).collect(),
        generation: user.generation,
    };
    let mut text = report.certificate.clone();
    if arguments.chain {
        text.extend(report.issuers.iter().map(String::as_str));
    }
    match stdout_of(&place) {
        // PEM is text: an answer like any other.
        Stdout::Content => context.output.answer(&PemAnswer { text, output: None, report }),
        Stdout::Reports => {
            let overwrite = if arguments.force { Existing::Replace } else { Existing::Keep };
            let target = Target::open(&place, overwrite, Content::Sealed).await?;
            let mut writer = Writer::new(target);
            writer.write(text.into()).await?;
            writer.commit().await?;
            let output = Some(place.display());
            context.output.done(&PemAnswer { text: String::new(), output, report }, Stdout::Reports)
        }
    }
}

async fn fingerprint(arguments: FingerprintArguments, context: &Context) -> Result<(), Error> {
    let mut directory = context.connect().await?.directory();
    let (name, caller) = (arguments.user.name(), context.user());
    let answer = if arguments.confirm.is_empty() {
        directory.get_fingerprint(v1::GetFingerprintRequest { name, caller }).await?
    } else {
        let fingerprint = arguments.confirm.join(" ");
        directory.confirm_fingerprint(v1::ConfirmFingerprintRequest { name, fingerprint, caller }).await?
    };
    let answer = answer.into_inner();
    context.output.answer(&Fingerprint {
        trust: word(answer.trust().as_str_name(), "TRUST_STATE_"),
        user: answer.name,
        fingerprint: answer.fingerprint,
    })
}

/// A DER certificate as PEM (RFC 7468 §5).
pub fn pem(der: &[u8]) -> String {
    let base64 = BASE64_STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// A certificate as text for people and as an object for scripts.
#[derive(Serialize)]
struct PemAnswer {
    #[serde(skip)]
    text: String,
    output: Option<String>,
    #[serde(flatten)]
    report: Certificate,
}

impl Report for PemAnswer {
    fn text(&self) -> String {
        match &self.output {
            Some(output) => format!("certificate written: {output}\n"),
            None => self.text.clone(),
        }
    }
}

impl From<v1::DirectoryUser> for User {
    fn from(user: v1::DirectoryUser) -> Self {
        Self {
            uid: bare(&user.name).to_owned(),
            kind: word(user.kind().as_str_name(), "PARTICIPANT_KIND_"),
            trust: word(user.trust().as_str_name(), "TRUST_STATE_"),
            certificate: pem(&user.certificate),
            user: user.name,
            generation: user.generation,
            fingerprint: user.fingerprint,
            first_seen_time: time_or_none(user.first_seen_time),
        }
    }
}

impl Report for Fingerprint {
    fn text(&self) -> String {
        format!("{}\n{}: {}\n", self.fingerprint, bare(&self.user), self.trust)
    }
}

impl Report for User {
    fn text(&self) -> String {
        let seen = self.first_seen_time.as_deref().unwrap_or("now");
        format!(
            "{}\n  kind: {}\n  trust: {}, first seen {seen}\n  generation: {}\n  fingerprint: {}\n",
            self.uid, self.kind, self.trust, self.generation, self.fingerprint
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_has_lines_of_64() {
        let text = pem(&[0xa5; 100]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[1].len(), lines[3].len()), (5, 64, 8));
        assert_eq!(BASE64_STANDARD.decode(lines[1..4].concat()).unwrap(), [0xa5; 100]);
    }
}
