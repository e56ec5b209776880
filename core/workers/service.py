"""Workers report themselves; operators look, and ask one to leave. Every function wants a system session.

A report is no lease: a worker that does not report still holds its jobs, and one that is gone is seen by its silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.errors import NotFound, StateConflict
from core.ids import new_id
from core.workers.models import Worker

# Three reports that did not come.
SILENT_AFTER = timedelta(seconds=45)
FORGOTTEN_AFTER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of itself. Nothing personal can be in it: names of our own, numbers and digests."""

    name: str
    kind: str
    region: str
    concurrency: int
    jobs_in_hand: int = 0
    draining: bool = False
    engine: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[Mapping[str, Any], ...] = ()
    memory: Mapping[str, int] = field(default_factory=dict)


async def report(session: AsyncSession, said: Report) -> bool:
    """Write down what a worker says of itself. True: it was asked to leave."""
    moment = now()
    said_now = {
        "region": said.region,
        "concurrency": said.concurrency,
        "jobs_in_hand": said.jobs_in_hand,
        "engine": dict(said.engine),
        "models": [dict(model) for model in said.models],
        "memory": dict(said.memory),
        "seen_at": moment,
    }
    row = insert(Worker).values(
        id=new_id(),
        name=said.name,
        kind=said.kind,
        started_at=moment,
        draining_at=moment if said.draining else None,
        **said_now,
    )
    if said.draining:  # since when it drains, not until when
        said_now["draining_at"] = func.coalesce(Worker.draining_at, moment)
    written = row.on_conflict_do_update(index_elements=["name"], set_=said_now).returning(col(Worker.drain_asked_at))
    return (await session.exec(written)).one()[0] is not None


async def leave(session: AsyncSession, name: str) -> None:
    """Say goodbye."""
    moment = now()
    await session.exec(
        update(Worker).where(col(Worker.name) == name).values(left_at=moment, seen_at=moment, jobs_in_hand=0)
    )


async def forget_old(session: AsyncSession) -> None:
    """Drop workers that have not been heard of for a week."""
    await session.exec(delete(Worker).where(col(Worker.seen_at) < now() - FORGOTTEN_AFTER))


async def living(session: AsyncSession) -> list[Worker]:
    """Workers that have reported themselves of late and have not left."""
    query = select(Worker).where(col(Worker.seen_at) > now() - SILENT_AFTER, col(Worker.left_at).is_(None))
    return list((await session.exec(query.order_by(col(Worker.id)))).all())


async def page(session: AsyncSession, *, before: UUID | None, limit: int) -> list[Worker]:
    """All workers that are remembered, the newest first."""
    query = select(Worker).order_by(col(Worker.id).desc()).limit(limit)
    if before is not None:
        query = query.where(Worker.id < before)
    return list((await session.exec(query)).all())


def state_of(worker: Worker) -> str:
    """`serving`, `draining`, `silent` (no report for 45 s) or `left`."""
    if worker.left_at is not None:
        return "left"
    if worker.seen_at <= now() - SILENT_AFTER:
        return "silent"
    return "draining" if worker.draining_at or worker.drain_asked_at else "serving"


async def ask_to_drain(session: AsyncSession, worker_id: UUID, *, actor: str) -> Worker:
    """Ask a worker to end what it holds and leave. It hears with its next report. Asking twice changes nothing.

    Raises `NotFound`, and `StateConflict` for one that has left or is silent.
    """
    query = select(Worker).where(Worker.id == worker_id).with_for_update()
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound
    if (state := state_of(found)) in {"left", "silent"}:
        raise StateConflict(f"The worker is {state}.", state=state)
    if found.drain_asked_at is None:
        found.drain_asked_at, found.drain_asked_by = now(), actor
        session.add(found)
    return found
