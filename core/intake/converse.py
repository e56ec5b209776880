"""The parent's half of the sandbox: start the child, hand it one photo, take its answer, and see it dead.

Invariants: the child's environment is empty, its errors go nowhere, no more is read from it than asked for, and when
`converse` is left, by whichever way, its whole process group has been killed and reaped.
"""

import asyncio
import contextlib
import json
import os
import signal
import struct
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from core.errors import PhotoTooSlow, PhotoUnreadable, Unavailable

# Isolated mode ignores the environment and the working directory, so the child is told where this package lives; last
# on its path, where it can hide no other module.
_ROOT: Final = str(Path(__file__).resolve().parents[2])


def child_of(module: str) -> tuple[str, ...]:
    """The command that runs `main` of a module as a child that can be conversed with."""
    return (sys.executable, "-I", "-c", f"import sys; sys.path.append({_ROOT!r}); from {module} import main; main()")


CHILD: Final = child_of("core.intake.child")
# One arena: each further one would reserve 64 MiB of the address space that the child may have.
_ENVIRONMENT: Final = {"MALLOC_ARENA_MAX": "1"}
_START_SECONDS: Final = 15.0
_MAX_HEADER_BYTES: Final = 4096
_SLICE_BYTES: Final = 1 << 18
# What reading a frame raises when the bytes are no frame of ours.
_NO_FRAME: Final = (EOFError, ValueError, KeyError, TypeError, RecursionError)


async def converse(
    data: bytes, request: dict[str, Any], *, wall_seconds: float, max_answer_bytes: int, program: Sequence[str] = CHILD
) -> tuple[dict[str, Any], bytes]:
    """Ask a new child for one answer: (its header, the bytes after it).

    `request` becomes the frame before the photo. The clock of `wall_seconds` starts when the child says that its
    walls stand; a child that never says so is our failure, one that fails later is the photo's.

    Raises Unavailable, PhotoTooSlow, PhotoUnreadable.
    """
    async with _started(program) as process:
        if process.stdin is None or process.stdout is None:
            raise Unavailable
        head = json.dumps(request | {"size": len(data), "parent": os.getpid()}).encode()
        feeding = asyncio.create_task(_feed(process.stdin, struct.pack(">I", len(head)) + head, data))
        try:
            await _await_walls(process.stdout)
            async with asyncio.timeout(wall_seconds):
                return await _receive(process.stdout, max_answer_bytes)
        except TimeoutError:
            raise PhotoTooSlow from None
        except _NO_FRAME:
            # Cut short, or no frame of ours. Out of processor time is the one death with a name.
            if await _exit_status(process) == -signal.SIGXCPU:
                raise PhotoTooSlow from None
            raise PhotoUnreadable from None
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)


@contextlib.asynccontextmanager
async def _started(program: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    try:
        process = await asyncio.create_subprocess_exec(
            *program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
            limit=_SLICE_BYTES,
        )
    except OSError:
        raise Unavailable("No process could be started to read the photo.") from None
    try:
        yield process
    finally:
        # Once reaped, its number may be another's.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


async def _feed(pipe: asyncio.StreamWriter, head: bytes, data: bytes) -> None:
    # In slices: a pipe's buffer holds a copy of all that was written and not yet sent.
    with contextlib.suppress(ConnectionError):
        pipe.write(head)
        with memoryview(data) as view:
            for start in range(0, len(data), _SLICE_BYTES):
                pipe.write(view[start : start + _SLICE_BYTES])
                await pipe.drain()
    pipe.close()


async def _await_walls(pipe: asyncio.StreamReader) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            header, _ = await _receive(pipe, 0)
        if not header.get("ready"):
            raise Unavailable("The sandbox that reads photos did not come up.")
    except (TimeoutError, *_NO_FRAME):
        raise Unavailable("The sandbox that reads photos did not come up.") from None


async def _receive(pipe: asyncio.StreamReader, max_payload_bytes: int) -> tuple[dict[str, Any], bytes]:
    """Read one frame; raises one of `_NO_FRAME` on anything else."""
    (length,) = struct.unpack(">I", await pipe.readexactly(4))
    if length > _MAX_HEADER_BYTES:
        raise ValueError
    header = json.loads(await pipe.readexactly(length))
    size = header["size"]
    if not isinstance(header, dict) or not isinstance(size, int) or not 0 <= size <= max_payload_bytes:
        raise ValueError
    return header, await pipe.readexactly(size)


async def _exit_status(process: asyncio.subprocess.Process) -> int | None:
    """The status of a child that closed its answer; None where it lingers all the same."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            return await process.wait()
    return None
