"""What the tasks of one worker process work with. It loads no picture library: the light worker starts without."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from core.bootstrap import Parts
from core.webhooks.deliver import Courier
from worker.hold import Drain, Held

if TYPE_CHECKING:
    from worker.engine.engine import Engine

T = TypeVar("T")

# They may take minutes; the other places of their lane are for erasures.
EXPORTS_AT_ONCE = 2


@dataclass(frozen=True)
class Studio:
    """The engine, and threads for work on pictures."""

    engine: "Engine"
    threads: ThreadPoolExecutor

    async def run(self, work: Callable[[], T]) -> T:
        """Work on pictures in a thread, so that leases go on beating."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)


@dataclass(frozen=True)
class Hands:
    """name: this process, as leases and logs know it. A studio worker has a studio, a light one a courier.

    exports: the places for those who build one.
    """

    name: str
    parts: Parts
    drain: Drain
    studio: Studio | None = None
    courier: Courier | None = None
    exports: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(EXPORTS_AT_ONCE))
    held: Held = field(default_factory=Held)

    @property
    def in_studio(self) -> Studio:
        """The studio. Asking a light worker for it is a mistake in the lanes."""
        if self.studio is None:
            raise RuntimeError("this worker serves no pictures")
        return self.studio

    @property
    def at_the_post(self) -> Courier:
        """The courier. Asking a studio worker for it is a mistake in the lanes."""
        if self.courier is None:
            raise RuntimeError("this worker carries no deliveries")
        return self.courier
