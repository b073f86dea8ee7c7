//! The assembly: zeros below the stack pointer and in the registers.
//!
//! Registers that a function must restore hold the caller's values again when this is called, and are left alone. On
//! x86-64 the upper sixteen vector registers have to be cleared one by one: `vzeroall` leaves them, and the C library
//! copies with them where there is AVX-512.

/// Wipes the stack from its lowest address up to the stack pointer, then the registers.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn wipe_below(lowest: usize) {
    // SAFETY: what lies between the stack's lowest address and the stack pointer is in nobody's use: a block without
    // `nostack` has no red zone. It ends with all clobbered registers zero.
    unsafe {
        std::arch::asm!(
            "mov rcx, rsp",
            "sub rcx, rdi",
            "shr rcx, 3",
            "xor eax, eax",
            "rep stosq",
            "xor edx, edx",
            "xor esi, esi",
            "xor edi, edi",
            "xor r8d, r8d",
            "xor r9d, r9d",
            "xor r10d, r10d",
            "xor r11d, r11d",
            inout("rdi") lowest => _,
            clobber_abi("C"),
        );
    }
    if std::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has it.
        unsafe { clear_avx512() };
    } else if std::is_x86_feature_detected!("avx") {
        // SAFETY: the processor has it.
        unsafe { clear_avx() };
    } else {
        clear_sse();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn clear_avx512() {
    // SAFETY: it clears registers that it says it changes.
    unsafe {
        std::arch::asm!(
            "vzeroall",
            "vpxorq zmm16, zmm16, zmm16",
            "vpxorq zmm17, zmm17, zmm17",
            "vpxorq zmm18, zmm18, zmm18",
            "vpxorq zmm19, zmm19, zmm19",
            "vpxorq zmm20, zmm20, zmm20",
            "vpxorq zmm21, zmm21, zmm21",
            "vpxorq zmm22, zmm22, zmm22",
            "vpxorq zmm23, zmm23, zmm23",
            "vpxorq zmm24, zmm24, zmm24",
            "vpxorq zmm25, zmm25, zmm25",
            "vpxorq zmm26, zmm26, zmm26",
            "vpxorq zmm27, zmm27, zmm27",
            "vpxorq zmm28, zmm28, zmm28",
            "vpxorq zmm29, zmm29, zmm29",
            "vpxorq zmm30, zmm30, zmm30",
            "vpxorq zmm31, zmm31, zmm31",
            "kxorw k0, k0, k0",
            "kxorw k1, k1, k1",
            "kxorw k2, k2, k2",
            "kxorw k3, k3, k3",
            "kxorw k4, k4, k4",
            "kxorw k5, k5, k5",
            "kxorw k6, k6, k6",
            "kxorw k7, k7, k7",
            clobber_abi("C"),
            options(nomem, nostack),
        );
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
fn clear_avx() {
    // SAFETY: it clears registers that it says it changes.
    unsafe { std::arch::asm!("vzeroall", clobber_abi("C"), options(nomem, nostack)) };
}

#[cfg(target_arch = "x86_64")]
fn clear_sse() {
    // SAFETY: it clears registers that it says it changes.
    unsafe {
        std::arch::asm!(
            "xorps xmm0, xmm0",
            "xorps xmm1, xmm1",
            "xorps xmm2, xmm2",
            "xorps xmm3, xmm3",
            "xorps xmm4, xmm4",
            "xorps xmm5, xmm5",
            "xorps xmm6, xmm6",
            "xorps xmm7, xmm7",
            "xorps xmm8, xmm8",
            "xorps xmm9, xmm9",
            "xorps xmm10, xmm10",
            "xorps xmm11, xmm11",
            "xorps xmm12, xmm12",
            "xorps xmm13, xmm13",
            "xorps xmm14, xmm14",
            "xorps xmm15, xmm15",
            clobber_abi("C"),
            options(nomem, nostack),
        );
    }
}

/// Wipes the stack from its lowest address up to the stack pointer, then the registers. Of the vector registers 8 to 15
/// the lower halves are the caller's, and writing them back clears the upper ones.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(super) fn wipe_below(lowest: usize) {
    // SAFETY: what lies between the stack's lowest address and the stack pointer is in nobody's use: a block without
    // `nostack` has no red zone. It ends with all clobbered registers zero.
    unsafe {
        std::arch::asm!(
            "mov x1, sp",
            "2:",
            "cmp x0, x1",
            "b.hs 3f",
            "stp xzr, xzr, [x0], #16",
            "b 2b",
            "3:",
            "movi v0.2d, #0",
            "movi v1.2d, #0",
            "movi v2.2d, #0",
            "movi v3.2d, #0",
            "movi v4.2d, #0",
            "movi v5.2d, #0",
            "movi v6.2d, #0",
            "movi v7.2d, #0",
            "fmov d8, d8",
            "fmov d9, d9",
            "fmov d10, d10",
            "fmov d11, d11",
            "fmov d12, d12",
            "fmov d13, d13",
            "fmov d14, d14",
            "fmov d15, d15",
            "movi v16.2d, #0",
            "movi v17.2d, #0",
            "movi v18.2d, #0",
            "movi v19.2d, #0",
            "movi v20.2d, #0",
            "movi v21.2d, #0",
            "movi v22.2d, #0",
            "movi v23.2d, #0",
            "movi v24.2d, #0",
            "movi v25.2d, #0",
            "movi v26.2d, #0",
            "movi v27.2d, #0",
            "movi v28.2d, #0",
            "movi v29.2d, #0",
            "movi v30.2d, #0",
            "movi v31.2d, #0",
            "mov x0, xzr",
            "mov x1, xzr",
            "mov x2, xzr",
            "mov x3, xzr",
            "mov x4, xzr",
            "mov x5, xzr",
            "mov x6, xzr",
            "mov x7, xzr",
            "mov x8, xzr",
            "mov x9, xzr",
            "mov x10, xzr",
            "mov x11, xzr",
            "mov x12, xzr",
            "mov x13, xzr",
            "mov x14, xzr",
            "mov x15, xzr",
            "mov x16, xzr",
            "mov x17, xzr",
            inout("x0") lowest => _,
            clobber_abi("C"),
        );
    }
}

/// Elsewhere the vault does not build: it could not keep what it says.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("registers are wiped on x86-64 and aarch64 only");
