//! How the two processes are protected, as the contract says it.

use life_proto::v1;
use life_proto::v1::protection::Enforcement as Wire;
use life_sys::hardening::Hardening;
use life_sys::sandbox::{Enforcement, Protection};

/// The vault's protection.
pub fn of_vault(found: &Protection) -> v1::Protection {
    let landlock = match found.confinement.landlock {
        Enforcement::None => Wire::None,
        Enforcement::Partial => Wire::Partial,
        Enforcement::Full => Wire::Full,
    };
    v1::Protection {
        seccomp: found.confinement.seccomp,
        landlock: landlock.into(),
        landlock_abi: found.confinement.landlock_abi,
        missing: names(&found.missing()),
        ..hardened(found.hardening)
    }
}

/// The broker's own: it is hardened, not confined, since it needs the network, files and programs.
pub fn of_broker() -> v1::Protection {
    let hardening = Hardening::of_this_process();
    v1::Protection { missing: names(&hardening.missing()), ..hardened(hardening) }
}

fn hardened(found: Hardening) -> v1::Protection {
    v1::Protection {
        undumpable: found.undumpable,
        no_core: found.no_core,
        no_new_privileges: found.no_new_privileges,
        no_executable_memory: found.no_executable_memory,
        landlock: Wire::None.into(),
        ..Default::default()
    }
}

fn names(missing: &[&str]) -> Vec<String> {
    missing.iter().map(|name| (*name).to_owned()).collect()
}
