"""The walls of the sandbox, raised by the child around itself before it reads a byte of the photo.

Two layers. Resource limits hold everywhere: memory, processor time, no file written, no new descriptor (so no file and
no socket opened), no new process, no core dump. On Linux also: the unprivileged user, no new privileges, an empty
network namespace where the kernel allows one, death with the parent, and a seccomp filter that knows only the calls
that decoding needs; every other call is answered EPERM, so open, socket, fork and exec fail even for native code.

Loaded in the child only, after every import: nothing can be imported once these walls stand.
"""

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from typing import Final

_NOBODY: Final = 65534

# linux/prctl.h, linux/sched.h, linux/capability.h
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_CLONE_THREAD, _CLONE_NEWUSER, _CLONE_NEWNET = 0x0001_0000, 0x1000_0000, 0x4000_0000
_CAPABILITY_VERSION_3: Final = 0x2008_0522

# linux/seccomp.h, linux/bpf_common.h
_SECCOMP_MODE_FILTER: Final = 2
_ALLOW, _KILL = 0x7FFF_0000, 0x8000_0000
_EPERM, _ENOSYS = 0x0005_0001, 0x0005_0026
_LOAD, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_PROT_EXEC: Final = 4

# linux/audit.h: AUDIT_ARCH by machine, and its column below.
_MACHINES: Final = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}
# asm/unistd.h. What a decoder, malloc, a thread and leaving need: nothing here names a path, an address or a process.
_FREE_CALLS: Final = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "exit": (60, 93),
    "sysinfo": (99, 179),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "set_robust_list": (273, 99),
    "getrandom": (318, 278),
    "rseq": (334, 293),
}
# These are let through by their arguments.
_MMAP, _MPROTECT, _CLONE, _CLONE3 = (9, 222), (10, 226), (56, 220), (435, 435)


def confine(*, memory_bytes: int, cpu_seconds: int, threads: bool) -> tuple[str, ...]:
    """Raise the walls around this process, for good, and name those that stand.

    `threads`: leave room for threads (never processes), which the HEVC decoder cannot work without. Linux counts
    threads as processes, so there the seccomp filter alone forbids fork; where it is refused, threads go too.

    Raises OSError or ValueError when a wall that must stand cannot be raised.
    """
    linux = sys.platform == "linux"
    held = ["rlimits"]
    if linux:
        held += _enter_empty_network_as_nobody()
    _limit(memory_bytes=memory_bytes, cpu_seconds=cpu_seconds)
    if not (linux and threads):
        _lower(resource.RLIMIT_NPROC, 0)
    if linux:
        _die_with_parent()
        held += ["no_new_privileges", "dies_with_parent"]
        if _filter_calls(threads=threads):
            held.append("seccomp")
        else:
            _lower(resource.RLIMIT_NPROC, 0)
    return tuple(held)


def _limit(*, memory_bytes: int, cpu_seconds: int) -> None:
    # One second apart, so that the signal (SIGXCPU) says why before the hard limit kills.
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    # Descriptors 0, 1 and 2 are open already and stay so; no number is left for another.
    _lower(resource.RLIMIT_NOFILE, 3)
    if sys.platform == "darwin":
        # macOS reserves more address space than this for any process, and refuses the limit.
        with contextlib.suppress(ValueError):
            _lower(resource.RLIMIT_AS, memory_bytes)
    else:
        _lower(resource.RLIMIT_AS, memory_bytes)


def _lower(limit: int, value: int) -> None:
    resource.setrlimit(limit, (value, value))


def _enter_empty_network_as_nobody() -> list[str]:
    """Leave the network and the root user behind, where there is the right to; neither is the only wall."""
    held = []
    libc = ctypes.CDLL(None, use_errno=True)
    offline = libc.unshare(_CLONE_NEWNET) == 0
    if os.geteuid() == 0:
        # In a container whose user map lacks `nobody` this fails, and the other walls must do.
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
            held.append("nobody")
    if offline or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        held.append("no_network")
    # A new user namespace hands out every capability inside it; none is wanted.
    if libc.capset(struct.pack("<II", _CAPABILITY_VERSION_3, 0), bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    return held


def _prctl(option: int, *arguments: object) -> int:
    given = [*arguments, *[ctypes.c_ulong(0)] * (4 - len(arguments))]
    return int(ctypes.CDLL(None, use_errno=True).prctl(option, *given))


def _die_with_parent() -> None:
    # After the change of user, which clears both.
    if _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL)) or _prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "prctl")
    if _prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1)):
        raise OSError(ctypes.get_errno(), "no new privileges")


class _Program(ctypes.Structure):
    """`struct sock_fprog` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _filter_calls(*, threads: bool) -> bool:
    """Install the seccomp filter; False where this kernel or machine has none."""
    if platform.machine() not in _MACHINES:
        return False
    code = _seccomp_program(platform.machine(), threads=threads)
    program = _Program(len(code) // 8, code)
    return _prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(program)) == 0


def _seccomp_program(machine: str, *, threads: bool) -> bytes:
    """Classic BPF over `struct seccomp_data` {u32 number, u32 arch, u64 instruction, u64 arguments[6]}.

    Another machine's calling convention kills (it would give the numbers other meanings). Memory may be mapped but
    never made executable; clone may start a thread and nothing else; clone3, whose flags sit behind a pointer that
    a filter cannot follow, is "not implemented", upon which the C library falls back to clone.
    """
    arch, column = _MACHINES[machine]

    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("<HBBI", code, if_true, if_false, value)

    def argument(index: int) -> bytes:
        return step(_LOAD, _ARGUMENTS_AT + 8 * index)

    code = step(_LOAD, _ARCH_AT) + step(_IF_EQUAL, arch, 1) + step(_RETURN, _KILL) + step(_LOAD, _NUMBER_AT)
    for numbers in _FREE_CALLS.values():
        code += step(_IF_EQUAL, numbers[column], 0, 1) + step(_RETURN, _ALLOW)
    for numbers in (_MMAP, _MPROTECT):
        code += step(_IF_EQUAL, numbers[column], 0, 4) + argument(2)
        code += step(_IF_ANY_BIT, _PROT_EXEC, 1) + step(_RETURN, _ALLOW) + step(_RETURN, _EPERM)
    if threads:
        code += step(_IF_EQUAL, _CLONE[column], 0, 4) + argument(0)
        code += step(_IF_ANY_BIT, _CLONE_THREAD, 0, 1) + step(_RETURN, _ALLOW) + step(_RETURN, _EPERM)
        code += step(_IF_EQUAL, _CLONE3[column], 0, 1) + step(_RETURN, _ENOSYS)
    return code + step(_RETURN, _EPERM)
