"""Keep a claim alive while its work runs, and stop the work when it may not go on.

The picture work runs in threads and cannot await, so it calls `check` between its stages. That wakes a task on the
event loop, which passes the checkpoint of `core.jobs.lease`, tells how far the job has come and beats the lease; it
goes round once a second anyway. What it finds, the next `check` raises: that is how soon a cancellation, a withdrawn
consent or an erasure is felt. Whatever it misses, the transaction that keeps the result catches.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from core.db import Database
from core.jobs.claim import Claim
from core.jobs.lease import LeaseLost, Stopped, checkpoint, heartbeat, report
from core.settings import WorkerSettings

logger = logging.getLogger("likeness.worker")

FELT_WITHIN_SECONDS = 1.0


class Drained(Exception):
    """The worker is leaving and has no time to finish: the job is handed back."""


class Drain:
    """Whether this worker is leaving. `begun`: claim nothing more. `over`: hand back what is not finished."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.over = asyncio.Event()


class Held:
    """How many jobs this worker has in hand, for its report."""

    def __init__(self) -> None:
        self.jobs = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """One more, inside the block."""
        self.jobs += 1
        try:
            yield
        finally:
            self.jobs -= 1


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the job, between two shares of the whole, 0..1. Its name stands before those of its stages."""

    name: str
    begins: float
    ends: float


class Hold:
    """`async with Hold(…) as hold`: the lease beats inside the block, and `hold.check` raises when work must end."""

    def __init__(self, database: Database, claim: Claim, settings: WorkerSettings, drain: Drain) -> None:
        self._database = database
        self._claim = claim
        self._settings = settings
        self._drain = drain
        self._loop = asyncio.get_running_loop()
        self._found: LeaseLost | Stopped | None = None
        # By our own clock: past this moment someone else may have the job, whatever the database says later.
        self._until = monotonic() + settings.lease_seconds
        self._beat_at = monotonic() + settings.heartbeat_seconds
        self._moved = asyncio.Event()
        self._part = Part("claimed", 0.0, 0.0)
        self._stage, self._progress = "claimed", 0.0
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    async def begin(self, part: Part) -> None:
        """Pass the checkpoint before a part of the job. Raises as `check` does."""
        self._part = part
        self._stage, self._progress = part.name, part.begins
        self._raise()
        async with self._database.tenant(self._claim.tenant_id) as session:
            job = await checkpoint(session, self._claim)
            await report(session, job, stage=self._stage, progress=self._progress)

    def check(self, stage: str, share: float) -> None:
        """Say which stage of the part begins, and raise `LeaseLost`, `Stopped` or `Drained` when work must end.

        From any thread, without waiting. share: of the part, 0..1.
        """
        part = self._part
        self._stage = f"{part.name}: {stage}"
        self._progress = round(part.begins + (part.ends - part.begins) * share, 3)
        self._loop.call_soon_threadsafe(self._moved.set)
        self._raise()

    def _raise(self) -> None:
        if self._found is not None:
            raise self._found
        if monotonic() > self._until:
            raise LeaseLost
        if self._drain.over.is_set():
            raise Drained

    async def _watch(self) -> None:
        longest = min(FELT_WITHIN_SECONDS, self._settings.heartbeat_seconds)
        while self._found is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(longest):
                    await self._moved.wait()
            self._moved.clear()
            try:
                await self._round()
            except (LeaseLost, Stopped) as found:
                self._found = found
            except (SQLAlchemyError, OSError) as error:
                # The database may be back before the lease runs out; if it is not, `check` ends the work.
                logger.warning(
                    "the lease could not be held for now",
                    extra={"error_type": type(error).__name__, "job": self._claim.job_id.hex},
                )

    async def _round(self) -> None:
        asked = monotonic()
        async with self._database.tenant(self._claim.tenant_id) as session:
            job = await checkpoint(session, self._claim)
            await report(session, job, stage=self._stage, progress=self._progress)
        if asked >= self._beat_at:
            await heartbeat(self._database, self._claim, lease_seconds=self._settings.lease_seconds)
            self._until = asked + self._settings.lease_seconds
            self._beat_at = asked + self._settings.heartbeat_seconds
