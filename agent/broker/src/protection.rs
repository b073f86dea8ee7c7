//! How the two processes are protected, as the contract says it.

use life_proto::v1;
use life_proto::v1::protection::Enforcement as Wire;
use life_sys::hardening::Hardening;
use life_sys::sandbox::{Confinement, Enforcement, Protection};

/// The vault's protection.
pub fn of_vault(found: &Protection) -> v1::Protection {
    v1::Protection { missing: names(&found.missing()), ..described(found) }
}

/// The broker's own: it needs the network, files and programs, so its system calls are not filtered.
pub fn of_broker(confinement: Confinement) -> v1::Protection {
    let found = Protection { hardening: Hardening::of_this_process(), confinement };
    let missing: Vec<_> = found.missing().into_iter().filter(|name| *name != "seccomp").collect();
    v1::Protection { missing: names(&missing), ..described(&found) }
}

fn described(found: &Protection) -> v1::Protection {
    let Protection { hardening, confinement } = found;
    let landlock = match confinement.landlock {
        Enforcement::None => Wire::None,
        Enforcement::Partial => Wire::Partial,
        Enforcement::Full => Wire::Full,
    };
    v1::Protection {
        undumpable: hardening.undumpable,
        no_core: hardening.no_core,
        no_new_privileges: hardening.no_new_privileges,
        no_executable_memory: hardening.no_executable_memory,
        seccomp: confinement.seccomp,
        landlock: landlock.into(),
        landlock_abi: confinement.landlock_abi,
        missing: Vec::new(),
    }
}

fn names(missing: &[&str]) -> Vec<String> {
    missing.iter().map(|name| (*name).to_owned()).collect()
}
