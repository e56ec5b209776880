"""The sandbox with another program in it: one that hangs, floods, crashes, lies or never comes up."""

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.errors import PhotoTooSlow, PhotoUnreadable, Unavailable
from core.intake.converse import converse

READY = """
import json, os, signal, struct, sys, time
def send(header, payload=b""):
    head = json.dumps({"size": len(payload)} | header).encode()
    os.write(1, struct.pack(">I", len(head)) + head + payload)
send({"ready": ["rlimits"]})
"""


async def ask(program: str, data: bytes = b"photo", wall_seconds: float = 5.0) -> tuple[dict[str, Any], bytes]:
    return await converse(
        data, {}, wall_seconds=wall_seconds, max_answer_bytes=1000, program=[sys.executable, "-I", "-c", program]
    )


def children() -> set[int]:
    """Processes whose parent is this one, zombies included."""
    found = set()
    for name in (entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        with contextlib.suppress(OSError):
            parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.add(int(name))
    return found


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Any:
    before = children() if sys.platform == "linux" else set()
    yield
    if sys.platform == "linux":
        assert children() <= before


async def test_an_answer_comes_back_with_its_bytes() -> None:
    program = READY + "sys.stdin.buffer.read(); send({'width': 3}, b'abc')"
    assert await ask(program) == ({"size": 3, "width": 3}, b"abc")


async def test_the_child_gets_the_whole_photo_and_no_environment() -> None:
    os.environ["LIKENESS_CANARY"] = "secret"
    program = READY + (
        "head = sys.stdin.buffer.read(struct.unpack('>I', sys.stdin.buffer.read(4))[0])\n"
        "data = sys.stdin.buffer.read()\n"
        "send({'bytes': len(data), 'names': sorted(os.environ), 'parent': json.loads(head)['parent'] == os.getppid(),"
        " 'leader': os.getsid(0) == os.getpid(), 'where': os.getcwd()})"
    )
    header, _ = await ask(program, data=bytes(3_000_000))
    assert header["bytes"] == 3_000_000
    assert set(header["names"]) <= {"MALLOC_ARENA_MAX", "LC_CTYPE", "__CF_USER_TEXT_ENCODING"}
    assert header["parent"]
    assert header["leader"]
    assert header["where"] == "/"


async def test_a_child_that_hangs_is_killed_on_time() -> None:
    started = time.monotonic()
    with pytest.raises(PhotoTooSlow):
        await ask(READY + "time.sleep(60)", wall_seconds=0.3)
    assert time.monotonic() - started < 3


async def test_a_child_that_ignores_signals_and_forks_is_killed_with_its_brood() -> None:
    program = READY + (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.fork()\nos.write(2, b'x')\nwhile True: time.sleep(1)"
    )
    with pytest.raises(PhotoTooSlow):
        await ask(program, wall_seconds=0.3)


@pytest.mark.parametrize(
    "ending",
    [
        "os.kill(os.getpid(), signal.SIGSEGV)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.abort()",
        "raise RuntimeError('x')",
        "os._exit(0)",
        "os.close(1); time.sleep(60)",
        "os.write(1, b'garbage that is no frame at all')",
        "os.write(1, struct.pack('>I', 1 << 31)); time.sleep(60)",
        "os.write(1, struct.pack('>I', 4000) + b'[' * 4000)",
        "os.write(1, struct.pack('>I', 2) + b'[]')",
        "os.write(1, struct.pack('>I', 4) + b'null')",
        "send({'size': 1001}, b'x' * 1001)",
        "send({'size': -1})",
        "send({'size': 1.5})",
        "send({'size': None})",
        "send({'size': 900}, b'cut short')",
    ],
)
async def test_a_child_that_crashes_or_lies_makes_the_photo_unreadable(ending: str) -> None:
    with pytest.raises(PhotoUnreadable):
        await ask(READY + ending, wall_seconds=5)


async def test_running_out_of_processor_time_is_told_apart() -> None:
    program = READY + "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass"
    with pytest.raises(PhotoTooSlow):
        await ask(program, wall_seconds=10)


@pytest.mark.parametrize("program", ["raise SystemExit(1)", "import os; os.write(1, b'no')", "import no_such_module"])
async def test_a_sandbox_that_does_not_come_up_is_our_failure(program: str) -> None:
    with pytest.raises(Unavailable):
        await ask(program)


async def test_a_program_that_is_not_there_is_our_failure() -> None:
    with pytest.raises(Unavailable):
        await converse(b"photo", {}, wall_seconds=1, max_answer_bytes=10, program=["/no/such/program"])


async def test_a_flood_is_not_read() -> None:
    program = READY + "send({'size': 10}, b'0123456789')\nwhile True: os.write(1, b'x' * 65536)"
    assert (await ask(program))[1] == b"0123456789"


async def test_a_cancelled_request_takes_its_child_along() -> None:
    asking = asyncio.create_task(ask(READY + "time.sleep(60)", wall_seconds=50))
    await asyncio.sleep(0.3)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
