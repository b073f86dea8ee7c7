//! How long a request takes through the real vault. Run it with `--release --ignored --nocapture`.

mod support;

use std::io::Write;
use std::time::Instant;

use life_pki::PrivateKey;
use life_vault_protocol::*;
use support::people::*;
use support::*;

#[test]
#[ignore = "measures, and asserts nothing"]
fn round_trips() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::Rsa3072);
    let mut vault = Vault::start_logging("info", std::process::Stdio::null());
    let session = vault.unlock(&alice, &ca);
    let tls = || Request::SignTls { session, input: tls_input() };
    let status = median(|| drop(vault.call(&Request::Status)));
    let signed = median(|| drop(vault.call(&tls())));
    let key: &PrivateKey = &alice.keys[0];
    let alone = median(|| drop(key.sign(&tls_input())));
    let mut out = std::io::stderr();
    writeln!(out, "status {status} us, signature {signed} us, of which RSA-3072 takes {alone} us").unwrap();
}

fn median(mut operation: impl FnMut()) -> u128 {
    let mut times: Vec<_> = (0..1000)
        .map(|_| {
            let start = Instant::now();
            operation();
            start.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
