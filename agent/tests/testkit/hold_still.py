#!/usr/bin/env python3
"""Stops every thread of some processes and prints its registers, until its input ends.

    hold_still.py PID…

For each thread a line: process, thread, stack pointer, all registers in hex, name; then the line "still". Threads are
seized and interrupted (ptrace(2)), so system calls in progress go on by themselves afterwards. Ending lets go of them.
"""

import ctypes
import os
import platform
import sys
import time

SEIZE, INTERRUPT, DETACH, GETREGSET = 0x4206, 0x4207, 17, 0x4204
WALL = 0x40000000
# Register sets of elf.h: general; on x86-64 all vector registers with XSAVE, on aarch64 the floating-point ones.
GENERAL = 1
MACHINES = {"x86_64": (0x202, 19), "aarch64": (2, 31)}
VECTOR, STACK_POINTER = MACHINES[platform.machine()]

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def ptrace(request, thread, address=0, data=0):
    """One request; raises what the system says."""
    ctypes.set_errno(0)
    if libc.ptrace(request, thread, address, data) == -1 and ctypes.get_errno():
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def registers(thread, kind):
    """A whole register set."""
    buffer = ctypes.create_string_buffer(16384)
    vector = Vector(ctypes.addressof(buffer), len(buffer))
    ptrace(GETREGSET, thread, kind, ctypes.addressof(vector))
    return buffer.raw[: vector.length]


def ends(process, thread):
    """Whether a thread is about to end by itself, which is no error: it cannot be seized any more."""
    for _ in range(100):
        try:
            with open(f"/proc/{process}/task/{thread}/stat", encoding="utf-8") as file:
                if file.read().rpartition(")")[2].split()[0] in "ZX":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def stop(process, held):
    """Stops all threads, also those that are started meanwhile."""
    seen = set()
    while True:
        fresh = [int(name) for name in os.listdir(f"/proc/{process}/task") if int(name) not in seen]
        if not fresh:
            return
        for thread in fresh:
            seen.add(thread)
            try:
                ptrace(SEIZE, thread)
                ptrace(INTERRUPT, thread)
                os.waitpid(thread, WALL)
            except OSError:
                if not ends(process, thread):
                    raise
                continue
            held.append((process, thread))


def main():
    held = []
    try:
        for argument in sys.argv[1:]:
            stop(int(argument), held)
        for process, thread in held:
            general = registers(thread, GENERAL)
            stack = int.from_bytes(general[STACK_POINTER * 8 : STACK_POINTER * 8 + 8], sys.byteorder)
            # Padded, so that each set starts at a multiple of 64 bytes.
            blob = general + bytes(-len(general) % 64) + registers(thread, VECTOR)
            with open(f"/proc/{process}/task/{thread}/comm", encoding="utf-8") as comm:
                print(process, thread, stack, blob.hex(), comm.read().strip())
        print("still", flush=True)
        sys.stdin.read()
    finally:
        for _, thread in held:
            try:
                ptrace(DETACH, thread)
            except OSError:
                pass


if __name__ == "__main__":
    main()
