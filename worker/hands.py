"""What the tasks of one worker process work with. It loads no picture library: the light worker starts without."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from core.bootstrap import Parts
from worker.hold import Drain

if TYPE_CHECKING:
    from worker.engine.engine import Engine

T = TypeVar("T")


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
    """name: this process, as leases and logs know it. Only a studio worker has a studio."""

    name: str
    parts: Parts
    drain: Drain
    studio: Studio | None = None

    @property
    def in_studio(self) -> Studio:
        """The studio. Asking for it in a worker without one is a mistake in the lanes."""
        if self.studio is None:
            raise RuntimeError("this worker serves no pictures")
        return self.studio
