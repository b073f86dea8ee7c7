//! How a process says that it is protected: landlock's version, how much of it holds, and a bit for each other measure.

use life_sys::hardening::Hardening;
use life_sys::sandbox::{Confinement, Enforcement, Protection};

use crate::codec::{DecodeError, Reader, Sink};

const UNDUMPABLE: u8 = 1;
const NO_CORE: u8 = 1 << 1;
const NO_NEW_PRIVILEGES: u8 = 1 << 2;
const NO_EXECUTABLE_MEMORY: u8 = 1 << 3;
const SECCOMP: u8 = 1 << 4;
const ALL: u8 = UNDUMPABLE | NO_CORE | NO_NEW_PRIVILEGES | NO_EXECUTABLE_MEMORY | SECCOMP;

pub(crate) fn encode(protection: &Protection, out: &mut impl Sink) {
    let Protection { hardening, confinement } = protection;
    out.u32(confinement.landlock_abi);
    out.u8(match confinement.landlock {
        Enforcement::None => 0,
        Enforcement::Partial => 1,
        Enforcement::Full => 2,
    });
    let bits = [
        (UNDUMPABLE, hardening.undumpable),
        (NO_CORE, hardening.no_core),
        (NO_NEW_PRIVILEGES, hardening.no_new_privileges),
        (NO_EXECUTABLE_MEMORY, hardening.no_executable_memory),
        (SECCOMP, confinement.seccomp),
    ];
    out.u8(bits.iter().filter(|(_, holds)| *holds).fold(0, |all, (bit, _)| all | bit));
}

pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Protection, DecodeError> {
    let landlock_abi = input.u32()?;
    let landlock = match input.u8()? {
        0 => Enforcement::None,
        1 => Enforcement::Partial,
        2 => Enforcement::Full,
        _ => return Err(DecodeError),
    };
    let bits = input.u8()?;
    if bits & !ALL != 0 {
        return Err(DecodeError);
    }
    let has = |bit| bits & bit != 0;
    Ok(Protection {
        hardening: Hardening {
            undumpable: has(UNDUMPABLE),
            no_core: has(NO_CORE),
            no_new_privileges: has(NO_NEW_PRIVILEGES),
            no_executable_memory: has(NO_EXECUTABLE_MEMORY),
        },
        confinement: Confinement { landlock_abi, landlock, seccomp: has(SECCOMP) },
    })
}
