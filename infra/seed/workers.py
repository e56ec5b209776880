"""The workers of the story. They report themselves as real ones do, and fall silent when nobody lets them go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from core.bootstrap import Parts
from core.settings import ModelSettings
from core.workers import service as workers
from infra.seed.cast import EU, US
from worker.engine.models import SHIPPED
from worker.presence import pinned

_EVERY_SECONDS: Final = 10.0
_GIB: Final = 1024**3

# Name, region, places, jobs in hand: as many in hand as the story leaves at work.
CREW: Final = (
    (f"studio-{EU}-1", EU, 4, 2),
    (f"studio-{EU}-2", EU, 4, 2),
    (f"studio-{US}-1", US, 4, 0),
)
# What an engine says of the model that comes along, on a processor.
_ENGINE: Final = {"device": "cpu", "precision": "float32", "mode": "eager", "rows": 4, "attention": {"64x64": "sdpa"}}


async def report(parts: Parts) -> None:
    """Each says once how it is."""
    models = await asyncio.to_thread(pinned, ModelSettings(path=SHIPPED))
    async with parts.database.system() as session:
        for number, (name, region, places, in_hand) in enumerate(CREW):
            said = workers.Report(
                name=name, kind="studio", region=region, concurrency=places, jobs_in_hand=in_hand,
                memory={"resident": _GIB + number * 90 * 1024**2}, engine=_ENGINE, models=tuple(models),
            )  # fmt: skip
            await workers.report(session, said)


@asynccontextmanager
async def reporting(parts: Parts) -> AsyncIterator[None]:
    """They go on saying so while this is open."""
    await report(parts)
    going_on = asyncio.create_task(_go_on(parts))
    try:
        yield
    finally:
        going_on.cancel()
        with suppress(asyncio.CancelledError):
            await going_on


async def _go_on(parts: Parts) -> None:
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        await report(parts)
