use std::hint::black_box;

use super::*;

/// Leaves a pattern all over a frame of 64 KiB, and says where that was.
#[inline(never)]
fn work() -> (usize, usize) {
    let mut frame = [0u8; 64 * 1024];
    for (at, byte) in frame.iter_mut().enumerate() {
        *byte = (at % 251) as u8 + 1;
    }
    black_box(&frame);
    (frame.as_ptr() as usize, frame.len())
}

fn on_own_stack<T: Send>(test: impl FnOnce(&LockedStack) -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(256 * 1024);
        thread.spawn_scoped(scope, || test(&LockedStack::of_this_thread().unwrap())).unwrap().join().unwrap()
    })
}

#[test]
fn an_operation_leaves_nothing_on_the_stack() {
    on_own_stack(|stack| {
        let read = |(start, len): (usize, usize)| {
            let byte = |at| (start as *const u8).wrapping_add(at);
            // SAFETY: the address lies in this thread's stack, all of which is mapped.
            (0..len).filter(|at| unsafe { byte(*at).read_volatile() } == (*at % 251) as u8 + 1).count()
        };
        let place = work();
        assert!(read(place) > 60 * 1024, "without wiping it stays");
        let place = work();
        stack.wipe();
        assert!(read(place) < 1024, "only what this test itself uses is there again");
        assert!(stack.depth() < 16 * 1024, "{}", stack.depth());
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
fn an_operation_leaves_nothing_in_vector_registers() {
    on_own_stack(|stack| {
        if !std::is_x86_feature_detected!("avx512f") {
            return;
        }
        // SAFETY: the processor has it.
        unsafe { fill() };
        stack.wipe();
        // SAFETY: the processor has it.
        assert_eq!(unsafe { read() }, [0u64; 8 * 3]);
        // SAFETY: the processor has it.
        unsafe { fill() };
        // SAFETY: the processor has it.
        assert_ne!(unsafe { read() }, [0u64; 8 * 3], "without wiping it stays");
    });

    #[target_feature(enable = "avx512f")]
    #[inline(never)]
    fn fill() {
        // SAFETY: it sets registers that it says it changes.
        unsafe {
            std::arch::asm!(
                "vpternlogd zmm1, zmm1, zmm1, 0xff",
                "vpternlogd zmm16, zmm16, zmm16, 0xff",
                "vpternlogd zmm31, zmm31, zmm31, 0xff",
                clobber_abi("C"),
                options(nomem, nostack),
            );
        }
    }

    #[target_feature(enable = "avx512f")]
    #[inline(never)]
    fn read() -> [u64; 8 * 3] {
        let mut found = [7u64; 8 * 3];
        // SAFETY: it writes as many bytes as there are.
        unsafe {
            std::arch::asm!(
                "vmovdqu64 [{to}], zmm1",
                "vmovdqu64 [{to} + 64], zmm16",
                "vmovdqu64 [{to} + 128], zmm31",
                to = in(reg) found.as_mut_ptr(),
                options(nostack),
            );
        }
        found
    }
}
