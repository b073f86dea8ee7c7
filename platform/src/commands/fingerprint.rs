//! `life-platform fingerprint`

use clap::Args;
use life_pki::trust::TrustBundle;

use super::Dir;
use crate::error::Error;
use crate::{layout, output};

/// Options of `fingerprint`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    dir: Dir,
}

pub(super) fn run(options: &Options) -> Result<(), Error> {
    let der = layout::read(&options.dir.layout().trust(), "cannot read the trust bundle")?;
    let fingerprint = TrustBundle::from_der(&der).and_then(|bundle| bundle.fingerprint());
    let fingerprint = fingerprint.map_err(|error| Error::Config(error.to_string()))?;
    output::line(&hex::encode(fingerprint))
}
