//! Seccomp: the system calls of a vault that runs, and nothing else.
#![expect(unsafe_code, reason = "the question whether filters are there has no safe binding")]

use std::collections::BTreeMap;
use std::io;

use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use super::{Cards, SandboxError, is_missing};

/// Allowed whatever the arguments are: they act on the process's own memory, threads and descriptors.
const ALWAYS: &[libc::c_long] = &[
    // Descriptors that it has or is sent.
    libc::SYS_close,
    libc::SYS_eventfd2,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_ppoll,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    libc::SYS_write,
    libc::SYS_writev,
    // Memory; where it can be made executable, see `BY_ARGUMENT`.
    libc::SYS_brk,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_mremap,
    libc::SYS_munlock,
    libc::SYS_munmap,
    // Threads and time.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Advice that neither shows memory in dumps again nor poisons it.
const ADVICE: &[libc::c_int] = &[
    libc::MADV_DONTDUMP,
    libc::MADV_DONTFORK,
    libc::MADV_DONTNEED,
    libc::MADV_FREE,
    libc::MADV_HUGEPAGE,
    libc::MADV_NOHUGEPAGE,
    libc::MADV_WIPEONFORK,
];
/// Commands that change nothing but the process's own descriptor; not those that let it send signals.
const DESCRIPTOR_COMMANDS: &[libc::c_int] =
    &[libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_GETFL, libc::F_SETFD, libc::F_SETFL];
/// Names for threads and for memory.
const NAMES: &[libc::c_int] = &[libc::PR_SET_NAME, libc::PR_SET_VMA];
/// The answer of a C library's question whether a descriptor is a terminal, which libpcsclite's logging asks.
const TCGETS: u64 = 0x5401;
/// `FIONBIO` of asm-generic/ioctls.h.
const FIONBIO: u64 = 0x5421;

/// The rules by system call: any one that holds allows it, and none at all means always.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What reading links for somebody else takes; its memory is judged by argument, as the vault's.
const LOOKING: &[libc::c_long] = &[
    libc::SYS_close,
    libc::SYS_exit_group,
    libc::SYS_readlinkat,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_sendto,
    libc::SYS_brk,
    libc::SYS_mremap,
    libc::SYS_munmap,
];

/// Allows what the vault does; says whether the kernel has such filters.
pub(super) fn allow_only_the_vaults(cards: &Cards) -> Result<bool, SandboxError> {
    install(allowed(cards)?)
}

/// Allows what the process does that reads links for another.
pub(super) fn allow_only_looking() -> Result<bool, SandboxError> {
    let mut rules: Rules = LOOKING.iter().map(|call| (*call, Vec::new())).collect();
    let mut further = by_argument()?;
    for call in [libc::SYS_fcntl, libc::SYS_madvise, libc::SYS_mmap] {
        rules.extend(further.remove_entry(&call));
    }
    install(rules)
}

fn install(allowed: Rules) -> Result<bool, SandboxError> {
    let architecture =
        TargetArch::try_from(std::env::consts::ARCH).map_err(|_| SandboxError::UnknownArchitecture)?;
    let filter = |rules, otherwise, when| -> Result<BpfProgram, SandboxError> {
        Ok(SeccompFilter::new(rules, otherwise, when, architecture)?.try_into()?)
    };
    let allowed = filter(allowed, SeccompAction::KillProcess, SeccompAction::Allow)?;
    // The flags of clone3 are in memory, out of a filter's sight. Where the C library hears that the kernel has no
    // clone3 it takes clone. Of two filters the stricter verdict counts: a filter of its own says so.
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let absent = filter(absent, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()))?;
    match apply_filter(&absent) {
        Err(Error::Seccomp(error) | Error::Prctl(error)) if is_absent(&error) => return Ok(false),
        applied => applied?,
    }
    // The filter must allow no further one, so the strict one comes last.
    apply_filter(&allowed)?;
    Ok(true)
}

/// Whether the kernel has filters that end a process.
pub(super) fn is_available() -> bool {
    let action = libc::SECCOMP_RET_KILL_PROCESS;
    let none: libc::c_uint = 0;
    // SAFETY: the kernel reads one number behind the pointer, which outlives the call.
    let answer =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, none, &raw const action) };
    answer == 0
}

/// A kernel that was built without filters knows the call, or not even that.
fn is_absent(error: &io::Error) -> bool {
    is_missing(error) || error.raw_os_error() == Some(libc::EINVAL)
}

fn allowed(cards: &Cards) -> Result<Rules, SandboxError> {
    let mut rules: Rules = ALWAYS.iter().map(|call| (*call, Vec::new())).collect();
    rules.extend(by_argument()?);
    if let Cards::On(_) = cards {
        rules.insert(libc::SYS_socket, vec![rule([equal(0, libc::AF_UNIX)?])?]);
        for call in [libc::SYS_connect, libc::SYS_getsockopt, libc::SYS_newfstatat] {
            rules.insert(call, Vec::new());
        }
        let asks = SeccompCondition::new(1, Dword, Eq, TCGETS)?;
        rules.entry(libc::SYS_ioctl).or_default().push(rule([asks])?);
    }
    Ok(rules)
}

/// Allowed with these arguments only.
fn by_argument() -> Result<Rules, SandboxError> {
    let executable = libc::PROT_EXEC.cast_unsigned();
    // Flags of clone: a thread of this process, nothing else.
    let thread = (libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND).cast_unsigned();
    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_PTRACE
        | libc::CLONE_VFORK;
    let itself = libc::c_int::try_from(std::process::id()).map_err(|_| SandboxError::UnknownArchitecture)?;
    let one_of = |argument, values: &[libc::c_int]| -> Result<Vec<SeccompRule>, SandboxError> {
        values.iter().map(|value| rule([equal(argument, *value)?])).collect()
    };
    Ok(Rules::from([
        (
            libc::SYS_clone,
            vec![rule([masked(0, thread, thread)?, masked(0, namespaces.cast_unsigned(), 0)?])?],
        ),
        // Refused by the other filter, as if the kernel did not have it.
        (libc::SYS_clone3, Vec::new()),
        (libc::SYS_fcntl, one_of(1, DESCRIPTOR_COMMANDS)?),
        // Asks what kind of socket it was sent, which is looked at before it is read ([`crate::stream`]).
        (libc::SYS_getsockopt, vec![rule([equal(1, libc::SOL_SOCKET)?, equal(2, libc::SO_DOMAIN)?])?]),
        (libc::SYS_ioctl, vec![rule([SeccompCondition::new(1, Dword, Eq, FIONBIO)?])?]),
        (libc::SYS_madvise, one_of(2, ADVICE)?),
        (libc::SYS_mmap, vec![rule([masked(2, executable, 0)?])?]),
        (libc::SYS_mprotect, vec![rule([masked(2, executable, 0)?])?]),
        (libc::SYS_prctl, one_of(0, NAMES)?),
        // Asks for its own limits, and sets none.
        (
            libc::SYS_prlimit64,
            vec![rule([
                equal(0, 0)?,
                SeccompCondition::new(2, seccompiler::SeccompCmpArgLen::Qword, Eq, 0)?,
            ])?],
        ),
        // abort(3) signals itself.
        (libc::SYS_tgkill, vec![rule([equal(0, itself)?])?]),
    ]))
}

fn rule<const N: usize>(conditions: [SeccompCondition; N]) -> Result<SeccompRule, SandboxError> {
    Ok(SeccompRule::new(conditions.into())?)
}

fn equal(argument: u8, value: libc::c_int) -> Result<SeccompCondition, SandboxError> {
    Ok(SeccompCondition::new(argument, Dword, Eq, value.cast_unsigned().into())?)
}

fn masked(argument: u8, mask: u32, value: u32) -> Result<SeccompCondition, SandboxError> {
    Ok(SeccompCondition::new(argument, Dword, MaskedEq(mask.into()), value.into())?)
}
