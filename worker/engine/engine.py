"""The engine: paints what the studio asks for, requests that wait together in one call.

Today a batch holds requests of one shape, and runs from its first step to its last; requests that arrive meanwhile wait
for the next. The interface promises nothing of that: a caller awaits `paint` and gets its own picture.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from core.settings import ModelSettings
from worker.engine.request import OutOfMemory, Painted, PaintRequest

MAX_BATCH = 8
"""Requests in one call, at most."""


class NoModel(Exception):
    """The engine was asked to paint and no model is configured."""


class Model(Protocol):
    """What the engine needs of a model; `DiffusionModel` is the one there is."""

    size: int
    steps: int
    guidance: float
    strength: float

    def paint(self, requests: Sequence[PaintRequest]) -> list[npt.NDArray[np.uint8]]:
        """Paint requests of one shape; may raise `OutOfMemory`."""


_Waiting = tuple[PaintRequest, asyncio.Future[Painted]]


class Engine:
    """One per worker process, used from one event loop.

    Attributes:
        model: None when none is configured: then the style's own backdrop stands, and `paint` is not to be called.
    """

    def __init__(self, model: Model | None = None) -> None:
        self.model = model
        self._waiting: list[_Waiting] = []
        self._runner: asyncio.Task[None] | None = None

    @classmethod
    def load(cls, settings: ModelSettings) -> "Engine":
        """Build the engine that the settings ask for. Loads torch only if they name a model; seconds then.

        Raises:
            OSError: the folder is no usable model.
        """
        if settings.path is None:
            return cls()
        from worker.engine.diffusion import DiffusionModel

        return cls(
            DiffusionModel(settings.path, steps=settings.steps, guidance=settings.guidance, strength=settings.strength)
        )

    async def paint(self, request: PaintRequest) -> Painted:
        """Paint one picture. Cancelling the caller takes the request out of the queue.

        Raises:
            NoModel: there is none.
            OutOfMemory: the request does not fit the device even alone.
        """
        if self.model is None:
            raise NoModel
        future: asyncio.Future[Painted] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run(self.model))
        return await future

    async def _run(self, model: Model) -> None:
        """Paint until nothing waits."""
        # Let everyone who is about to ask in this turn of the loop ask first.
        await asyncio.sleep(0)
        while batch := self._next_batch():
            await self._paint_batch(model, batch)

    def _next_batch(self) -> list[_Waiting]:
        """Take the longest waiting request and those that can go with it."""
        self._waiting = [entry for entry in self._waiting if not entry[1].done()]
        if not self._waiting:
            return []
        shape = self._waiting[0][0].shape
        batch = [entry for entry in self._waiting if entry[0].shape == shape][:MAX_BATCH]
        self._waiting = [entry for entry in self._waiting if entry not in batch]
        return batch

    async def _paint_batch(self, model: Model, batch: list[_Waiting]) -> None:
        """Paint a batch; one that does not fit is halved until it does. A failure reaches its callers alone."""
        try:
            pictures = await asyncio.to_thread(model.paint, [request for request, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must have it, and the engine go on
            if isinstance(error, OutOfMemory) and len(batch) > 1:
                middle = len(batch) // 2
                await self._paint_batch(model, batch[:middle])
                await self._paint_batch(model, batch[middle:])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), picture in zip(batch, pictures, strict=True):
            if not future.done():
                future.set_result(Painted(picture))
