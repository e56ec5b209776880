"""The parts that are Python processes of ours, in the shape of the embedded servers: start, stop, process."""

import asyncio
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import httpx

from infra.local import process
from infra.local.errors import PartFailed
from infra.local.process import Command

# The first start on a small machine compiles what the worker computes with.
_READY_SECONDS = 240.0
_DRAIN_SECONDS = 26.0


class Part(Protocol):
    """Something that the supervisor keeps running."""

    name: str
    process: Process | None

    async def start(self) -> None:
        """Start and wait until it serves. Starting again after it died brings it back at the same place."""

    async def stop(self) -> None:
        """Stop in order."""


class Program:
    """A module of ours, run by this Python.

    before: done before each start.
    inherits: open descriptors that it keeps.
    ready: asked until it says yes.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        ready: Callable[[], Awaitable[bool]],
        before: Callable[[], None] = lambda: None,
        inherits: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.log = log
        self.process: Process | None = None
        self._before = before
        self._ready = ready
        self._command = Command(
            argv=[sys.executable, "-m", *arguments], log=log, environment=environment, inherits=inherits
        )

    async def start(self) -> None:
        """Start and wait until it is ready. Raises PartFailed."""
        self._before()
        self.process = await process.start(self._command)
        deadline = time.monotonic() + _READY_SECONDS
        while not await self._ready():
            if self.process.returncode is not None:
                raise PartFailed(f"The part {self.name} ended at once:\n{process.tail(self.log)}")
            if time.monotonic() > deadline:
                await self.stop()
                raise PartFailed(f"The part {self.name} did not become ready:\n{process.tail(self.log)}")
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Let it finish what it holds, for 26 seconds at most."""
        if self.process is not None:
            await process.stop(self.process, seconds=_DRAIN_SECONDS)


def api_answers(url: str) -> Callable[[], Awaitable[bool]]:
    """Whether the API says that it can serve."""

    async def ready() -> bool:
        try:
            async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
                return (await client.get(f"{url}/health/ready")).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    return ready


def console_answers(url: str) -> Callable[[], Awaitable[bool]]:
    """Whether the console can be opened."""

    async def ready() -> bool:
        try:
            async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
                return (await client.get(f"{url}/_stcore/health")).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    return ready


def file_appears(path: Path) -> Callable[[], Awaitable[bool]]:
    """Whether a worker has written its ready file."""

    async def ready() -> bool:
        return await asyncio.to_thread(path.exists)

    return ready
