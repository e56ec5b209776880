"""Is this process alive, and can it serve?

Ready means that every part without which a request fails does answer: the three database pools, the schema at the
revision that this code was written for, the object store and the key provider. Redis only wakes workers and counts
requests, so losing it is a degraded state that still serves.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.bootstrap import Parts
from core.db import restoring

logger = logging.getLogger("likeness.api")

_PATIENCE_SECONDS = 3.0
_FRESH_SECONDS = 2.0
_MIGRATIONS = Path(__file__).resolve().parent.parent / "infra" / "migrations"

PartState = Literal["ok", "degraded", "failed"]


class Liveness(Struct, frozen=True):
    """The process runs."""

    status: Literal["live"]


class Readiness(Struct, frozen=True):
    """What answers and what does not. Says nothing of addresses or reasons: those are in the log.

    code: `replaying_tombstones` after a restore, until everybody who was erased since the backup is erased again.
    """

    status: Literal["ready", "degraded", "unavailable"]
    parts: dict[str, PartState]
    code: str | None = None


@cache
def newest_revision() -> str:
    """The revision of the database that this code was written for."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(_MIGRATIONS)).get_current_head() or ""


async def _answers(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def _database(parts: Parts) -> None:
    await asyncio.gather(
        *(_answers(engine) for engine in (parts.database.app, parts.database.systems, parts.database.keys))
    )


async def _migrations(parts: Parts) -> None:
    expected = await asyncio.to_thread(newest_revision)
    async with parts.database.app.connect() as connection:
        found = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
    if found != expected:
        raise RuntimeError("the schema is at another revision than the code")


async def _restoration(parts: Parts) -> None:
    if await restoring(parts.database):
        raise RuntimeError("a restore is not done")


async def _queue(parts: Parts) -> None:
    await parts.queue.redis.ping()


async def _storage(parts: Parts) -> None:
    await parts.store.objects.health()


async def _keys(parts: Parts) -> None:
    await parts.keyring.health()


CHECKS: dict[str, tuple[Callable[[Parts], Awaitable[None]], PartState]] = {
    "database": (_database, "failed"),
    "migrations": (_migrations, "failed"),
    "restoration": (_restoration, "failed"),
    "storage": (_storage, "failed"),
    "keys": (_keys, "failed"),
    "queue": (_queue, "degraded"),
}


async def _state(name: str, parts: Parts) -> PartState:
    check, otherwise = CHECKS[name]
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await check(parts)
    except Exception as error:  # noqa: BLE001 (whatever it is, the part is not well)
        logger.warning("a part is not well", extra={"part": name, "error_type": type(error).__name__})
        return otherwise
    return "ok"


class Lookout:
    """Looks at the parts at most every two seconds, however often and by however many it is asked. One per process."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        self._seen: Readiness | None = None
        self._stale_at = 0.0

    async def readiness(self, parts: Parts) -> Readiness:
        """What was seen last, or is seen now."""
        async with self._one_at_a_time:
            if self._seen is None or time.monotonic() >= self._stale_at:
                self._seen = await _look(parts)
                self._stale_at = time.monotonic() + _FRESH_SECONDS
            return self._seen


async def _look(parts: Parts) -> Readiness:
    names = list(CHECKS)
    states = dict(zip(names, await asyncio.gather(*(_state(name, parts) for name in names)), strict=True))
    if "failed" in states.values():
        code = "replaying_tombstones" if states["restoration"] == "failed" else None
        return Readiness(status="unavailable", parts=states, code=code)
    return Readiness(status="degraded" if "degraded" in states.values() else "ready", parts=states)


class HealthController(Controller):
    """For load balancers and orchestrators."""

    path = "/health"
    tags = ("Health",)
    security = ()

    @get("/live", summary="Is the process alive?", operation_id="live")
    async def live(self) -> Liveness:
        """Answers as long as the process can answer anything. Asks no other part."""
        return Liveness(status="live")

    @get(
        "/ready",
        summary="Can it serve?",
        operation_id="ready",
        responses={503: ResponseSpec(Readiness, generate_examples=False, description="It cannot serve now.")},
    )
    async def ready(self, request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Response[Readiness]:
        """200 when requests can be served, `degraded` when only Redis is away; 503 otherwise. Up to 2 seconds old."""
        lookout: Lookout = request.app.state.lookout
        seen = await lookout.readiness(parts)
        return Response(seen, status_code=503 if seen.status == "unavailable" else 200)
