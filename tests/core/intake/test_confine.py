"""What the walls hold back, tried from inside by a process that raised them around itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LINUX = sys.platform == "linux"

PROBE = """
import ctypes, errno, json, os, signal, socket, subprocess, sys, threading, mmap
sys.path.append(sys.argv[1])
from core.intake.confine import confine
libc = ctypes.CDLL(None, use_errno=True)
before = os.open("/dev/null", os.O_RDONLY); os.close(before)
held = confine(memory_bytes=256 << 20, cpu_seconds=2, threads=sys.argv[2] == "threads")
outcome = {"held": held}
def attempt(name, act):
    try:
        act()
        outcome[name] = "done"
    except BaseException as error:
        outcome[name] = type(error).__name__
def native(name, *arguments):
    def act():
        if getattr(libc, name)(*arguments) == -1:
            raise OSError(ctypes.get_errno(), name)
    return act
def fork():
    if os.fork() == 0:
        os._exit(0)
def thread():
    worker = threading.Thread(target=lambda: None)
    worker.start()
    worker.join()
attempt("open for reading", lambda: open("/etc/passwd"))
attempt("open for writing", lambda: open("/tmp/likeness-probe", "wb"))
attempt("native open", native("open", b"/etc/passwd", 0))
attempt("socket", lambda: socket.socket())
attempt("unix socket", lambda: socket.socket(socket.AF_UNIX))
attempt("dup", lambda: os.dup(0))
attempt("fork", fork)
attempt("subprocess", lambda: subprocess.run(["/bin/true"]))
attempt("memory", lambda: bytearray(300 << 20))
attempt("thread", thread)
if sys.platform == "linux":
    attempt("exec", lambda: os.execv(sys.executable, [sys.executable, "-c", ""]))
    attempt("kill", lambda: os.kill(os.getppid(), 0))
    attempt("unlink", lambda: os.unlink("/tmp/likeness-probe"))
    attempt("stat", lambda: os.stat("/etc/passwd"))
    attempt("chdir", lambda: os.chdir("/tmp"))
    attempt("executable memory", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC))
    attempt("raise the limits", lambda: __import__("resource").setrlimit(4, (9, 9)))
    attempt("ptrace", native("ptrace", 16, os.getppid(), 0, 0))
    attempt("unshare", native("unshare", 0x10000000))
attempt("write to the pipe", lambda: os.write(1, b""))
os.write(1, json.dumps(outcome).encode())
os._exit(0)
"""


def outcomes(threads: str) -> dict[str, object]:
    probe = subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-I", "-c", PROBE, str(ROOT), threads], capture_output=True, timeout=20, check=True
    )
    return dict(json.loads(probe.stdout))


@pytest.mark.parametrize("threads", ["threads", "no threads"])
def test_from_inside_nothing_can_be_reached(threads: str) -> None:
    outcome = outcomes(threads)
    held = outcome.pop("held")
    assert isinstance(held, list)
    assert "rlimits" in held
    if LINUX:
        # A kernel without seccomp leaves the limits alone to hold; every kernel that we ship on has it.
        assert {"no_new_privileges", "dies_with_parent", "seccomp"} <= set(held)
    assert outcome.pop("write to the pipe") == "done"
    assert outcome.pop("thread") == ("done" if threads == "threads" else "RuntimeError")
    assert outcome.pop("memory") == "MemoryError"
    assert {name for name, result in outcome.items() if result == "done"} == set()


def run(body: str) -> subprocess.CompletedProcess[bytes]:
    program = f"import sys; sys.path.append({str(ROOT)!r}); from core.intake.confine import *\n{body}"
    return subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, timeout=20, check=False)  # noqa: S603


@pytest.mark.skipif(not LINUX, reason="seccomp is Linux's")
def test_where_seccomp_is_refused_the_limits_still_hold() -> None:
    body = """
import core.intake.confine as module, os
module._filter_calls = lambda *, threads: False
held = module.confine(memory_bytes=256 << 20, cpu_seconds=2, threads=True)
assert "seccomp" not in held
for act in (lambda: open("/etc/passwd"), lambda: __import__("socket").socket()):
    try:
        act()
    except OSError as error:
        assert error.errno == 24, error
    else:
        os._exit(3)
if os.geteuid() != 0:
    try:
        os.fork()
    except BlockingIOError:
        pass
    else:
        os._exit(4)
os._exit(0)
"""
    finished = run(body)
    assert finished.returncode == 0, finished.stderr.decode()


@pytest.mark.skipif(not LINUX, reason="seccomp is Linux's")
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_of_the_filter_lands_inside_it(machine: str) -> None:
    body = f"""
import struct
from core.intake.confine import _seccomp_program
for threads in (True, False):
    code = _seccomp_program({machine!r}, threads=threads)
    steps = list(struct.iter_unpack("<HBBI", code))
    assert len(steps) < 4096
    for at, (kind, if_true, if_false, _) in enumerate(steps):
        assert kind in (0x20, 0x15, 0x45, 0x06)
        assert kind not in (0x15, 0x45) or at + 1 + max(if_true, if_false) < len(steps)
    assert steps[-1][0] == 0x06 and steps[-1][3] == 0x00050001
"""
    finished = run(body)
    assert finished.returncode == 0, finished.stderr.decode()
