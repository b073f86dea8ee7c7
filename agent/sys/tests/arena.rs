//! The arena as a process's allocator: this test's own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where")]

use std::process::{Command, Stdio};

use life_sys::arena::{self, Arena, SIZE};
use life_sys::stack::LockedStack;

#[global_allocator]
static ALLOCATOR: Arena = Arena;

const LARGE: usize = 256 * 1024;

/// What the kernel says of the mapping that holds an address: locked bytes in KiB, and its flags.
fn mapping(address: *const u8) -> (usize, Vec<String>) {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    let mut locked = 0;
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap();
        if let Some((from, to)) = first.split_once('-') {
            let [from, to] = [from, to].map(|hex| usize::from_str_radix(hex, 16).unwrap());
            inside = (from..to).contains(&(address as usize));
        } else if inside && first == "Locked:" {
            locked = words.next().unwrap().parse().unwrap();
        } else if inside && first == "VmFlags:" {
            return (locked, words.map(str::to_owned).collect());
        }
    }
    panic!("there is no such mapping");
}

fn has(flags: &[String], flag: &str) -> bool {
    flags.iter().any(|one| one == flag)
}

/// Runs one test of this file in a process of its own, with a limit on locked memory that no privilege lifts; gives its
/// standard error, and whether it ended well.
fn alone(test: &str, memlock: usize) -> (String, bool) {
    let script = format!("ulimit -l {} && exec \"$@\"", memlock / 1024);
    let mut command = Command::new("env");
    if rustix::process::geteuid().is_root() {
        // Root locks as much as it likes.
        command.args(["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "--"]);
    }
    command.args(["sh", "-c", &script, "sh"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "--ignored", "--nocapture", test]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.success())
}

#[test]
fn the_arena_is_locked_and_in_no_dump() {
    arena::lock().unwrap();
    let boxed = Box::new(7u64);
    let (locked, flags) = mapping((&raw const *boxed).cast());
    assert_eq!(locked, SIZE / 1024);
    for flag in ["lo", "dd", "dc"] {
        assert!(has(&flags, flag), "{flag} is missing in {flags:?}");
    }
    assert!(arena::usage().locked >= SIZE);
}

#[test]
fn nobody_reads_past_the_end() {
    let large = vec![1u8; LARGE];
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let ranges = maps.lines().map(|line| {
        let (from, rest) = line.split_once('-').unwrap();
        let (to, rest) = rest.split_once(' ').unwrap();
        let [from, to] = [from, to].map(|hex| usize::from_str_radix(hex, 16).unwrap());
        (from, to, rest.starts_with("---p"))
    });
    let ranges: Vec<_> = ranges.collect();
    let start = large.as_ptr() as usize;
    let boxed = &raw const *Box::new(7u8) as usize;
    for address in [start, boxed] {
        let at = ranges.iter().position(|(from, to, _)| (*from..*to).contains(&address)).unwrap();
        let [before, own, after] = [ranges[at - 1], ranges[at], ranges[at + 1]];
        assert!(before.2 && before.1 == own.0, "{before:x?} {own:x?}");
        assert!(after.2 && after.0 == own.1, "{own:x?} {after:x?}");
    }
}

#[test]
fn a_thread_has_its_stack_locked_and_in_no_dump() {
    let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(|| {
        let local = 7u8;
        assert!(!has(&mapping(&raw const local).1, "lo"));
        let stack = LockedStack::of_this_thread().unwrap();
        let (locked, flags) = mapping(&raw const local);
        assert!(locked >= stack.size() / 1024, "{locked}");
        assert!(has(&flags, "lo") && has(&flags, "dd"), "{flags:?}");
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn large_blocks_have_their_own_mapping_and_leave_with_it() {
    let mut large = vec![1u8; LARGE];
    let before = mapping(large.as_ptr());
    assert!(has(&before.1, "dd") && has(&before.1, "lo"), "{:?}", before.1);
    assert!(arena::usage().large >= LARGE);
    large.resize(3 * LARGE, 2);
    assert!(large[..LARGE].iter().all(|byte| *byte == 1) && large[LARGE..].iter().all(|byte| *byte == 2));
    large.truncate(10);
    large.shrink_to_fit();
    assert_eq!(large, [1; 10]);
    assert!(arena::usage().large_peak >= 3 * LARGE);
}

#[test]
fn fresh_blocks_are_zero_whatever_was_there() {
    for size in [1, 16, 100, 700, 2000, 5000, 70_000, LARGE] {
        let mut dirty = vec![0xaau8; size];
        dirty.fill(0x55);
        let place = dirty.as_ptr();
        drop(dirty);
        let fresh = vec![0u8; size];
        assert!(fresh.iter().all(|byte| *byte == 0), "{size} bytes at {place:?} and {:?}", fresh.as_ptr());
    }
}

#[test]
fn threads_share_it() {
    std::thread::scope(|scope| {
        for seed in 1..5usize {
            scope.spawn(move || {
                let mut kept: Vec<Vec<u8>> = Vec::new();
                for turn in 0..3000usize {
                    let size = (turn * 7919 * seed) % 3000 + 1;
                    kept.push(vec![(turn % 255) as u8; size]);
                    if turn % 3 != 0 {
                        let one = kept.swap_remove((turn * seed) % kept.len());
                        assert!(one.iter().all(|byte| *byte == one[0]));
                    }
                    if kept.len() > 50 {
                        kept.clear();
                    }
                }
            });
        }
    });
}

#[test]
fn without_the_limit_nothing_is_locked_and_that_is_said() {
    let (told, well) = alone("child_that_may_not_lock", 0);
    assert!(well, "{told}");
}

/// Run by the test above.
#[test]
#[ignore = "for another test, in a process of its own"]
fn child_that_may_not_lock() {
    assert!(arena::lock().is_err());
    let refused = std::thread::spawn(|| LockedStack::of_this_thread().is_err());
    assert!(refused.join().unwrap());
    assert_eq!(arena::usage().locked, 0);
    // Large messages still come through, and are counted.
    let large = vec![1u8; LARGE];
    let (locked, flags) = mapping(large.as_ptr());
    assert!(locked == 0 && has(&flags, "dd"), "{flags:?}");
    assert_eq!(arena::usage().large_unlocked, LARGE);
}

#[test]
fn when_it_is_used_up_the_process_ends() {
    let (told, well) = alone("child_that_takes_all", 8 << 20);
    assert!(!well && told.contains("the memory for secrets is used up"), "{told}");
    let (told, well) = alone("child_that_takes_too_much_at_once", 8 << 20);
    assert!(!well && told.contains("the memory for secrets is used up"), "{told}");
}

/// Run by the test above.
#[test]
#[ignore = "for another test, in a process of its own"]
fn child_that_takes_all() {
    let kept: Vec<_> = (0..).map(|_| vec![1u8; 4096]).take(2 * SIZE / 4096).collect();
    assert!(kept.is_empty(), "never reached");
}

/// Run by the test above.
#[test]
#[ignore = "for another test, in a process of its own"]
fn child_that_takes_too_much_at_once() {
    let kept: Vec<_> = (0..100).map(|_| vec![1u8; 1 << 20]).collect();
    assert!(kept.is_empty(), "never reached");
}

#[test]
fn what_may_hold_a_secret_is_locked_or_not_given() {
    let (told, well) = alone("child_whose_arena_is_cut_up", 8 << 20);
    assert!(!well && told.contains("locked beside the arena"), "{told}");
    assert!(told.contains("the memory for secrets is used up") && !told.contains("given without"), "{told}");
}

/// Run by the test above.
#[test]
#[ignore = "for another test, in a process of its own"]
#[expect(clippy::disallowed_macros, reason = "the test that runs this reads it")]
fn child_whose_arena_is_cut_up() {
    const BLOCK: usize = 5 * 1024;
    arena::lock().unwrap();
    let mut pages: Vec<Option<Vec<u8>>> = Vec::with_capacity(SIZE / 4096);
    while arena::usage().free > 20 * 1024 {
        pages.push(Some(vec![1; 4096]));
    }
    // Every other page: half the arena is free, and no block of this size fits anywhere.
    pages.iter_mut().step_by(2).for_each(|page| drop(page.take()));
    for size in [40 * 1024, BLOCK] {
        let before = arena::usage().large;
        // What was left in one piece goes first.
        let mut blocks = Vec::with_capacity(16);
        while arena::usage().large == before {
            blocks.push(vec![1u8; size]);
        }
        assert!(
            arena::usage().large >= before + size && has(&mapping(blocks.last().unwrap().as_ptr()).1, "lo")
        );
    }
    // A page is there for all that fits one.
    let before = arena::usage().large;
    let small = vec![1u8; 2048];
    assert_eq!(arena::usage().large, before, "{}", small.len());
    eprintln!("locked beside the arena");
    let mut large = Vec::with_capacity(16);
    while arena::usage().large_unlocked == 0 {
        large.push(vec![1u8; 1 << 20]);
    }
    // The limit has room for a few, but never is one without a lock.
    let unlocked = arena::usage().large_unlocked;
    let mut blocks = Vec::with_capacity(32);
    while arena::usage().large_unlocked == unlocked {
        blocks.push(vec![1u8; 40 * 1024]);
    }
    eprintln!("given without a lock: {} {}", blocks.len(), large.len());
}
