"""A worker says what it is and holds, again and again, and hears whether an operator wants it to leave.

The report is for people who look; no job depends on it. When it cannot be written, work goes on.
"""

import asyncio
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from core.settings import ModelSettings
from core.workers import service as workers
from core.workers.service import Report
from worker.engine import models as registry
from worker.hands import Hands

logger = logging.getLogger("likeness.worker")

_STATUS = Path("/proc/self/status")


async def keep_reporting(hands: Hands, kind: str) -> None:
    """Report until the worker leaves: at once, with every heartbeat, and when it begins to leave."""
    models = await asyncio.to_thread(pinned, hands.parts.settings.model)
    begun = hands.drain.begun
    while True:
        draining = begun.is_set()
        if await _say(hands, _report(hands, kind, models, draining=draining)) and not draining:
            logger.info("asked to leave by an operator", extra={"worker": hands.name})
            begun.set()
            continue  # tell at once that it was heard
        if draining:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(hands.parts.settings.worker.heartbeat_seconds):
                await begun.wait()


async def say_goodbye(hands: Hands) -> None:
    """Say that this worker has left."""
    try:
        async with hands.parts.database.system() as session:
            await workers.leave(session, hands.name)
    except (SQLAlchemyError, OSError) as error:
        logger.warning("a goodbye was not written", extra={"error_type": type(error).__name__})


def pinned(settings: ModelSettings) -> list[dict[str, Any]]:
    """What this worker's registry has: names, digests over all files, sizes. loaded: it is the one that runs."""
    folder = None if settings.path is None else settings.path.resolve()
    found: list[dict[str, Any]] = []
    for shelf in (registry.BUILT_IN, settings.registry):
        with suppress(registry.ModelRefused):  # a manifest that cannot be read is told by whoever starts it
            found += [
                {
                    "name": manifest.name,
                    "pipeline": manifest.pipeline,
                    "digest": manifest.digest,
                    "bytes": manifest.size,
                    "added_at": manifest.added,
                    "loaded": folder is not None and manifest.folder(shelf) == folder,
                }
                for manifest in registry.catalogue(shelf)
            ]
    return found


def _report(hands: Hands, kind: str, models: list[dict[str, Any]], *, draining: bool) -> Report:
    settings = hands.parts.settings.worker
    return Report(
        name=hands.name,
        kind=kind,
        region=settings.region,
        concurrency=settings.concurrency if hands.studio is not None else 0,
        jobs_in_hand=hands.held.jobs,
        draining=draining,
        engine={} if hands.studio is None else hands.studio.engine.describe(),
        models=tuple(models),
        memory=memory(),
    )


def memory() -> dict[str, int]:
    """Bytes: `resident` of this process, and `gpu_used` and `gpu_total` of its device where there is one."""
    found: dict[str, int] = {}
    with suppress(OSError):
        resident = next((line for line in _STATUS.read_text().splitlines() if line.startswith("VmRSS:")), None)
        found |= {} if resident is None else {"resident": int(resident.split()[1]) * 1024}
    # Asked only where the engine has loaded it: the report must not load torch.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        found |= {"gpu_used": total - free, "gpu_total": total}
    return found


async def _say(hands: Hands, said: Report) -> bool:
    try:
        async with hands.parts.database.system() as session:
            return await workers.report(session, said)
    except (SQLAlchemyError, OSError) as error:
        logger.warning("a report was not written", extra={"error_type": type(error).__name__})
        return False
