//! `life-platform renew`

use clap::Args;

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
    /// Host names and addresses for the TLS certificate
    #[arg(long = "name", value_name = "HOST", num_args = 1.., default_values = ["localhost", "127.0.0.1", "::1"])]
    names: Vec<String>,
}

/// Issues the TLS certificate anew, for the key that is there. Needs the key of the server root, and a restart of
/// `serve` afterwards; clients notice nothing, for they pin the root.
pub(super) fn run(options: &Options) -> Result<(), Error> {
    let layout: Layout = options.dir.layout();
    let root = Issuing::new(CaKey::load(&layout.server_root_key())?, SERVER_ROOT);
    let key = CaKey::load(&layout.tls_key())?;
    let certificate = root.tls_server(&options.names, key.public(), Clock::system().now())?;
    layout::replace(&layout.tls_certificate(), &certificate)?;
    output::line("the TLS certificate is new; restart `life-platform serve`")
}
