//! From inside the vault's sandbox: what is forbidden is tried by a process of its own that confined itself as the vault
//! does, and by one that did not, so that each attempt is seen to work where nothing forbids it.
#![expect(unsafe_code, reason = "what the sandbox forbids has mostly no safe binding")]
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]
#![expect(
    clippy::panic,
    clippy::disallowed_methods,
    reason = "the child processes end in these ways to be seen to"
)]

use std::ffi::CStr;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use life_sys::hardening::{Children, harden};
use life_sys::sandbox::{Cards, Enforcement, confine_vault};
use life_sys::stack::LockedStack;
use life_sys::stream::Stream;

const ACT: &str = "LIFE_TEST_ACT";
const CONFINEMENT: &str = "LIFE_TEST_CONFINEMENT";
const CARDS: &str = "cards";
const DONE: i32 = 40;
const REFUSED: i32 = 41;

/// How an attempt ends where nothing forbids it.
#[derive(PartialEq)]
enum Control {
    /// It works.
    Works,
    /// It may be refused, by this kernel's settings or for want of a privilege, but kills nobody.
    Survives,
}
use Control::{Survives, Works};

type Deed = fn(&Tools) -> io::Result<()>;

/// What an attempt needs, made before the process is confined.
struct Tools {
    page: usize,
    inet: i32,
    listener: TcpListener,
    parent: usize,
    /// Both ends of a pipe and of a pair of sockets.
    streams: [(OwnedFd, OwnedFd); 2],
}

const PATH: &CStr = c"/etc/passwd";
const PAGE: usize = 4096;

/// One system call; the error is the kernel's.
fn call<const N: usize>(number: libc::c_long, arguments: [usize; N]) -> io::Result<usize> {
    let argument = |n: usize| arguments.get(n).copied().unwrap_or(0);
    let [a, b, c, d, e, f] = [argument(0), argument(1), argument(2), argument(3), argument(4), argument(5)];
    // SAFETY: each attempt below passes numbers, or addresses of things that outlive the call.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}

fn number(n: impl TryInto<i64>) -> usize {
    n.try_into().unwrap_or_default().cast_unsigned() as usize
}

fn open(path: &CStr, flags: libc::c_int) -> io::Result<()> {
    call(libc::SYS_openat, [number(libc::AT_FDCWD), path.as_ptr() as usize, number(flags), 0o600]).map(drop)
}

fn socket(family: libc::c_int) -> io::Result<()> {
    call(libc::SYS_socket, [number(family), number(libc::SOCK_STREAM), 0]).map(drop)
}

fn prctl(option: libc::c_int, value: usize) -> io::Result<()> {
    call(libc::SYS_prctl, [number(option), value, 0, 0, 0]).map(drop)
}

/// Ends a child that an attempt made.
fn child_ends(pid: usize) -> io::Result<()> {
    if pid == 0 {
        call(libc::SYS_exit_group, [0]).map(drop)?;
    }
    Ok(())
}

const FORBIDDEN: &[(&str, Control, Deed)] = &[
    ("read a file", Works, |_| open(PATH, libc::O_RDONLY)),
    ("read its own memory", Works, |_| open(c"/proc/self/mem", libc::O_RDWR)),
    ("make a file", Works, |_| open(c"/tmp", libc::O_TMPFILE | libc::O_RDWR)),
    ("list a folder", Works, |_| open(c"/", libc::O_RDONLY | libc::O_DIRECTORY)),
    ("look at a file", Works, |_| {
        let mut room = [0_u64; 64];
        let arguments = [number(libc::AT_FDCWD), PATH.as_ptr() as usize, room.as_mut_ptr() as usize, 0];
        call(libc::SYS_newfstatat, arguments).map(drop)
    }),
    ("make an IPv4 socket", Works, |_| socket(libc::AF_INET)),
    ("make an IPv6 socket", Survives, |_| socket(libc::AF_INET6)),
    ("make a netlink socket", Survives, |_| socket(libc::AF_NETLINK)),
    ("make a Unix socket", Works, |_| socket(libc::AF_UNIX)),
    ("connect by TCP", Works, |tools| {
        let port = tools.listener.local_addr()?.port().to_be();
        let address = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: port,
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
            sin_zero: [0; 8],
        };
        let arguments = [number(tools.inet), &raw const address as usize, size_of_val(&address)];
        call(libc::SYS_connect, arguments).map(drop)
    }),
    ("ask for a socket's settings", Works, |tools| {
        let (mut answer, mut length) = (0_u32, 4_u32);
        let (answer, length) = (&raw mut answer as usize, &raw mut length as usize);
        let arguments = [number(tools.inet), number(libc::SOL_SOCKET), number(libc::SO_TYPE), answer, length];
        call(libc::SYS_getsockopt, arguments).map(drop)
    }),
    ("change a socket's settings", Works, |tools| {
        let value = 1_u32;
        let value = &raw const value as usize;
        let arguments = [number(tools.inet), number(libc::SOL_SOCKET), number(libc::SO_REUSEADDR), value, 4];
        call(libc::SYS_setsockopt, arguments).map(drop)
    }),
    ("listen", Works, |tools| call(libc::SYS_listen, [number(tools.inet), 1]).map(drop)),
    ("execute a program", Works, |_| {
        let arguments = [std::ptr::null::<libc::c_char>()];
        call(libc::SYS_execve, [c"/bin/true".as_ptr() as usize, arguments.as_ptr() as usize, 0]).map(drop)
    }),
    ("fork", Works, |_| child_ends(call(libc::SYS_clone, [number(libc::SIGCHLD), 0, 0, 0, 0])?)),
    ("fork by clone3", Works, |_| {
        let arguments = [0_u64, 0, 0, 0, u64::from(libc::SIGCHLD.cast_unsigned()), 0, 0, 0];
        child_ends(call(libc::SYS_clone3, [arguments.as_ptr() as usize, size_of_val(&arguments)])?)
    }),
    ("signal its parent", Works, |tools| call(libc::SYS_kill, [tools.parent, 0]).map(drop)),
    ("signal its parent's thread", Works, |tools| {
        call(libc::SYS_tgkill, [tools.parent, tools.parent, 0]).map(drop)
    }),
    ("hold its parent", Works, |tools| call(libc::SYS_pidfd_open, [tools.parent, 0]).map(drop)),
    // Its answer without a sandbox is that there is no such process: one that lets itself be traced ends only when its
    // tracer, here the test, has waited for each of its threads.
    ("trace a process", Survives, |_| {
        call(libc::SYS_ptrace, [number(libc::PTRACE_ATTACH), number(i32::MAX), 0, 0]).map(drop)
    }),
    ("read a process's memory", Works, |tools| {
        let mut room = [0_u8; 8];
        let own = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        let other = libc::iovec { iov_base: tools.page as *mut libc::c_void, iov_len: 8 };
        let process = std::process::id() as usize;
        let arguments = [process, &raw const own as usize, 1, &raw const other as usize, 1, 0];
        call(libc::SYS_process_vm_readv, arguments).map(drop)
    }),
    ("map executable memory", Works, |_| {
        let flags = number(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let protection = number(libc::PROT_READ | libc::PROT_EXEC);
        call(libc::SYS_mmap, [0, PAGE, protection, flags, usize::MAX, 0]).map(drop)
    }),
    ("make memory executable", Works, |tools| {
        let protection = number(libc::PROT_READ | libc::PROT_EXEC);
        call(libc::SYS_mprotect, [tools.page, PAGE, protection]).map(drop)
    }),
    ("make memory executable by a key", Survives, |tools| {
        let protection = number(libc::PROT_READ | libc::PROT_EXEC);
        call(libc::SYS_pkey_mprotect, [tools.page, PAGE, protection, usize::MAX]).map(drop)
    }),
    ("make a file of memory", Works, |_| call(libc::SYS_memfd_create, [c"x".as_ptr() as usize, 0]).map(drop)),
    ("show memory in dumps", Works, |tools| {
        call(libc::SYS_madvise, [tools.page, PAGE, number(libc::MADV_DODUMP)]).map(drop)
    }),
    ("be dumped", Works, |_| prctl(libc::PR_SET_DUMPABLE, 1)),
    ("outlive its parent", Works, |_| prctl(libc::PR_SET_PDEATHSIG, 0)),
    ("raise its limits", Works, |_| {
        let limit = [64_u64, 64];
        let arguments = [0, number(libc::RLIMIT_NOFILE), limit.as_ptr() as usize, 0];
        call(libc::SYS_prlimit64, arguments).map(drop)
    }),
    ("send signals by a descriptor", Works, |tools| {
        call(libc::SYS_fcntl, [number(tools.inet), number(libc::F_SETOWN), tools.parent]).map(drop)
    }),
    ("make all memory executable", Works, |_| call(libc::SYS_personality, [0x0040_0000]).map(drop)),
    ("leave its namespaces", Survives, |_| call(libc::SYS_unshare, [number(libc::CLONE_NEWUTS)]).map(drop)),
    ("mount", Survives, |_| {
        call(libc::SYS_mount, [0, c"/nonexistent".as_ptr() as usize, 0, number(libc::MS_BIND as i64), 0])
            .map(drop)
    }),
    ("use io_uring", Survives, |_| {
        let mut parameters = [0_u64; 15];
        call(libc::SYS_io_uring_setup, [1, parameters.as_mut_ptr() as usize]).map(drop)
    }),
    ("keep a key in the kernel", Survives, |_| {
        let (kind, name, value) =
            (c"user".as_ptr() as usize, c"life-test".as_ptr() as usize, c"x".as_ptr() as usize);
        call(libc::SYS_add_key, [kind, name, value, 1, usize::MAX - 1]).map(drop)
    }),
    ("load a program into the kernel", Survives, |_| call(libc::SYS_bpf, [0, 0, 0]).map(drop)),
    ("handle its own page faults", Survives, |_| call(libc::SYS_userfaultfd, [0]).map(drop)),
    ("watch events of the processor", Survives, |_| {
        call(libc::SYS_perf_event_open, [0, 0, usize::MAX, usize::MAX, 0]).map(drop)
    }),
    ("change its user", Survives, |_| call(libc::SYS_setuid, [65534]).map(drop)),
    ("change its filter", Works, |_| {
        let allow = libc::sock_filter { code: 6, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
        let program = libc::sock_fprog { len: 1, filter: (&raw const allow).cast_mut() };
        let arguments = [number(libc::SECCOMP_SET_MODE_FILTER), 0, &raw const program as usize];
        call(libc::SYS_seccomp, arguments).map(drop)
    }),
];

/// Not a test of its own: what the processes of the tests below run.
#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn inside() {
    let Ok(name) = std::env::var(ACT) else { return };
    let deed = FORBIDDEN.iter().find(|(found, ..)| *found == name).map(|(_, _, deed)| *deed);
    let tools = Tools {
        page: call(
            libc::SYS_mmap,
            [0, PAGE, 3, number(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS), usize::MAX, 0],
        )
        .unwrap(),
        inet: call(libc::SYS_socket, [number(libc::AF_INET), number(libc::SOCK_STREAM), 0]).unwrap() as i32,
        listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        parent: std::os::unix::process::parent_id() as usize,
        streams: [
            rustix::pipe::pipe().unwrap(),
            UnixStream::pair().map(|(left, right)| (left.into(), right.into())).unwrap(),
        ],
    };
    assert!(tools.listener.as_raw_fd() >= 0);
    // Without privileges of root's a filter needs it.
    rustix::thread::set_no_new_privs(true).unwrap();
    match std::env::var(CONFINEMENT).as_deref() {
        Ok("none") => {}
        Ok(CARDS) => assert!(confine_vault(&Cards::On("/nonexistent/pcscd.comm".into())).unwrap().seccomp),
        _ => {
            harden(Children::Bound).unwrap();
            let confinement = confine_vault(&Cards::Off).unwrap();
            assert!(confinement.seccomp, "{confinement:?}");
            assert_ne!(confinement.landlock, Enforcement::None, "{confinement:?}");
        }
    }
    let outcome = match deed {
        Some(deed) => deed(&tools),
        None => usual(&name, tools),
    };
    std::process::exit(if outcome.is_ok() { DONE } else { REFUSED });
}

/// What a vault does.
fn usual(name: &str, tools: Tools) -> io::Result<()> {
    match name {
        "threads" => {
            for _ in 0..8 {
                let thread = std::thread::Builder::new().name("worker".to_owned()).stack_size(512 * 1024);
                let answer =
                    thread.spawn(|| (0..100).map(|n| vec![0_u8; n * 10_000].len()).sum::<usize>())?;
                assert!(answer.join().is_ok_and(|sum| sum > 0));
            }
        }
        "memory" => {
            let page = call(libc::SYS_mmap, [0, PAGE, 3, 0x22, usize::MAX, 0])?;
            call(libc::SYS_mlock, [page, PAGE])?;
            for advice in [libc::MADV_DONTDUMP, libc::MADV_DONTFORK, libc::MADV_WIPEONFORK] {
                call(libc::SYS_madvise, [page, PAGE, number(advice)])?;
            }
            call(libc::SYS_munlock, [page, PAGE])?;
            // Locked memory is not given back.
            call(libc::SYS_madvise, [page, PAGE, number(libc::MADV_DONTNEED)])?;
            call(libc::SYS_mprotect, [page, PAGE, 0])?;
            call(libc::SYS_munmap, [page, PAGE])?;
        }
        "panic" => {
            let caught = std::panic::catch_unwind(|| panic!("on purpose"));
            assert!(caught.is_err());
        }
        "locked stack" => {
            let thread = std::thread::Builder::new().stack_size(256 * 1024);
            let wiped = thread.spawn(|| LockedStack::of_this_thread().map(|stack| stack.wipe()))?;
            assert!(wiped.join().is_ok_and(|wiped| wiped.is_ok()));
        }
        "streams" => {
            for (read, write) in tools.streams {
                let (read, write) = (Stream::new(read)?, Stream::new(write)?);
                let mut room = [0; 8];
                assert_eq!(read.read(&mut room), Err(rustix::io::Errno::AGAIN));
                assert_eq!(write.write(b"secret"), Ok(6));
                assert_eq!(read.read(&mut room), Ok(6));
            }
        }
        "abort" => std::process::abort(),
        "random" => drop(call(libc::SYS_getrandom, [[0_u8; 8].as_mut_ptr() as usize, 8, 0])?),
        other => panic!("{other}"),
    }
    Ok(())
}

fn attempt(name: &str, confinement: &str) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "inside"])
        .env_clear()
        .env(ACT, name)
        .env(CONFINEMENT, confinement)
        .output()
        .unwrap()
        .status
}

#[test]
fn what_is_forbidden_ends_the_process_or_fails_and_works_elsewhere() {
    let mut faults = Vec::new();
    for (name, control, _) in FORBIDDEN {
        let free = attempt(name, "none");
        // A program that was executed ends by its own code.
        let worked = matches!(free.code(), Some(DONE | 0));
        let survived = worked || free.code() == Some(REFUSED);
        if !(worked || (survived && *control == Survives)) {
            faults.push(format!("{name}: does not even work without a sandbox: {free}"));
        }
        let confined = attempt(name, "all");
        let stopped = confined.signal() == Some(libc::SIGSYS) || confined.code() == Some(REFUSED);
        if !stopped {
            faults.push(format!("{name}: is not stopped: {confined}"));
        }
        // Only what a C library falls back from is refused without an end.
        if confined.code() == Some(REFUSED) && *name != "fork by clone3" {
            faults.push(format!("{name}: fails, but does not end the process"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn what_the_vault_does_it_may() {
    for name in ["threads", "memory", "locked stack", "streams", "panic", "random"] {
        let confined = attempt(name, "all");
        assert_eq!(confined.code(), Some(DONE), "{name}: {confined}");
    }
    let aborted = attempt("abort", "all");
    assert_eq!(aborted.signal(), Some(libc::SIGABRT), "{aborted}");
}

#[test]
fn with_cards_only_unix_sockets_are_added() {
    let code = |name| attempt(name, CARDS).code();
    assert_eq!(code("make a Unix socket"), Some(DONE));
    for name in ["make an IPv4 socket", "make an IPv6 socket", "make a netlink socket", "read a file", "fork"]
    {
        assert_eq!(attempt(name, CARDS).signal(), Some(libc::SIGSYS), "{name}");
    }
}
