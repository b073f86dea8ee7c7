//! `life-platform renew`

use std::net::IpAddr;

use clap::Args;
use der::Decode;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::Dir;
use crate::authority::keys::CaKey;
use crate::authority::mint::Issuing;
use crate::authority::setup::SERVER_ROOT;
use crate::clock::Clock;
use crate::error::Error;
use crate::layout::{self, Layout};
use crate::output;

/// Options of `renew`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    dir: Dir,
    /// Host names and addresses for the TLS certificate; without any, those of the present one
    #[arg(long = "name", value_name = "HOST", num_args = 1..)]
    names: Vec<String>,
}

/// Issues the TLS certificate anew, for the key that is there. Needs the key of the server root, and a restart of
/// `serve` afterwards; clients notice nothing, for they pin the root.
pub(super) fn run(options: &Options) -> Result<(), Error> {
    let layout: Layout = options.dir.layout();
    let root = Issuing::new(CaKey::load(&layout.server_root_key())?, SERVER_ROOT);
    let key = CaKey::load(&layout.tls_key())?;
    let names = if options.names.is_empty() { present(&layout)? } else { options.names.clone() };
    let certificate = root.tls_server(&names, key.public(), Clock::system().now())?;
    layout::replace(&layout.tls_certificate(), &certificate)?;
    output::line("the TLS certificate is new; restart `life-platform serve`")
}

/// The names of the certificate that is there.
fn present(layout: &Layout) -> Result<Vec<String>, Error> {
    let der = layout::read(&layout.tls_certificate(), "cannot read the TLS certificate")?;
    let names: Vec<String> = hosts(&der).unwrap_or_default();
    if names.is_empty() {
        return Err(Error::Config("the present TLS certificate names no host; give --name".to_owned()));
    }
    Ok(names)
}

fn hosts(certificate: &[u8]) -> Option<Vec<String>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let (_, names) = certificate.tbs_certificate().get_extension::<SubjectAltName>().ok()??;
    names.0.iter().map(host).collect()
}

fn host(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(address) => {
            let bytes = address.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}
