#!/usr/bin/env python3
"""Keeps a secret where it is told to, so that whoever looks for secrets can be seen to find it there.

    keeps_a_secret.py plain|sheltered|register|nowhere

Takes 64 bytes in hex from its input, prints "ready" when they are where it was told, and stays until it is killed.
`sheltered` is memory that is locked and kept out of dumps; `register` is zmm31, or xmm9 for the first 16 bytes, and no
memory (x86-64 alone).
"""

import ctypes
import mmap
import os
import signal
import sys

LENGTH = 64
MADV_DONTDUMP = 16
LOADS = {
    True: b"\x62\x61\xfe\x48\x6f\x3f",  # vmovdqu64 (%rdi), %zmm31
    False: b"\x44\x0f\x10\x0f",  # movups (%rdi), %xmm9
}
AFTERWARDS = (
    b"\x31\xc0\xb9\x40\x00\x00\x00\xf3\xaa"  # wipe 64 bytes at (%rdi)
    b"\xb8\x01\x00\x00\x00\xbf\x01\x00\x00\x00\xba\x06\x00\x00\x00\x0f\x05"  # write(1, %rsi, 6)
    b"\xb8\x22\x00\x00\x00\x0f\x05\xeb\xf7"  # pause() for ever
)

libc = ctypes.CDLL(None, use_errno=True)
libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def page(protection=mmap.PROT_READ | mmap.PROT_WRITE):
    """A page of its own, and its address."""
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=protection)
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))


def main():
    place = sys.argv[1]
    memory, address = page()
    if place == "sheltered":
        if libc.mlock(address, mmap.PAGESIZE) or libc.madvise(address, mmap.PAGESIZE, MADV_DONTDUMP):
            sys.exit("cannot lock a page")
    for index in range(LENGTH):
        # A byte at a time, so that no other copy comes to be.
        byte = int(os.read(0, 2), 16)
        memory[index] = 0 if place == "nowhere" else byte
    if place == "register":
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            load = LOADS["avx512f" in file.read()]
        code, entry = page(mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        program = load + AFTERWARDS
        code[: len(program)] = program
        ready = ctypes.create_string_buffer(b"ready\n")
        ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(entry)(address, ctypes.addressof(ready))
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
