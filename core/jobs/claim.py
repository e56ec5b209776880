"""Buy the fairest pending job.

A token says that there is work, never which. The claim takes the smallest start tag that nobody holds, and counts the
attempt: that number is the fence, and every later write of the worker names it.

A tenant may have a cap on its jobs that run at once. Most have none, and the head of the line is taken in one
statement. Where the head belongs to a tenant with a cap, the claim looks at the head of each tenant's own line instead
and takes the smallest that has room: that costs one probe of an index per tenant, however long the lines are. Claims
for one capped tenant take turns, so that two workers never both see its last free place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, lateral, literal, or_, true
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.db import Database
from core.jobs import fair
from core.jobs.models import FairShare, Job, JobState
from core.tenants.models import Quota

# Each round that comes to nothing means that somebody else took the place meanwhile.
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Claim:
    """A job in a worker's hands: ids, the fence, and what is to be made. capped: its tenant has a cap."""

    job_id: UUID
    tenant_id: UUID
    subject_id: UUID
    photo_id: UUID
    worker: str
    fence: int
    erasure_epoch: int
    region: str
    mode: str
    styles: tuple[str, ...]
    seed: int
    retain_seconds: int
    looks: Mapping[str, Any] | None = None
    retouch: str | None = None
    mark_id: UUID | None = None
    attire: str | None = None
    fair_tag: float = 0.0
    capped: bool = False


@dataclass(frozen=True, slots=True)
class _Taken:
    job_id: UUID
    tenant_id: UUID
    fence: int
    fair_tag: float
    capped: bool


@dataclass(frozen=True, slots=True)
class _Hands:
    """Who takes, where, and for how long."""

    worker: str
    region: str
    lease_seconds: float


async def claim(database: Database, *, worker: str, region: str, lease_seconds: float) -> Claim | None:
    """Take the fairest due job of the region for `lease_seconds`. None when nothing is due that may run."""
    hands = _Hands(worker=worker, region=region, lease_seconds=lease_seconds)
    taken = await _take_head(database, hands) or await _take_with_room(database, hands)
    if taken is None:
        return None
    # What is to be made is for the tenant's own session: the role that finds work across tenants cannot read it.
    async with database.tenant(taken.tenant_id) as session:
        job = (await session.exec(select(Job).where(Job.id == taken.job_id))).one()
    return Claim(
        job_id=job.id,
        tenant_id=job.tenant_id,
        subject_id=job.subject_id,
        photo_id=job.photo_id,
        worker=worker,
        fence=taken.fence,
        erasure_epoch=job.erasure_epoch,
        region=region,
        mode=job.mode,
        styles=tuple(job.styles),
        seed=job.seed,
        retain_seconds=job.retain_seconds,
        looks=job.looks,
        retouch=job.retouch,
        mark_id=job.mark_id,
        attire=job.attire,
        fair_tag=taken.fair_tag,
        capped=taken.capped,
    )


async def _take_head(database: Database, hands: _Hands) -> _Taken | None:
    """Take the head of the whole line, unless its tenant has a cap."""
    capped = exists().where(col(Quota.tenant_id) == Job.tenant_id, col(Quota.concurrency).is_not(None))
    async with database.system() as session:
        return await _take(session, hands, *_due(hands.region), unless=capped)


async def _take_with_room(database: Database, hands: _Hands) -> _Taken | None:
    """Take the smallest of the heads of the tenants' own lines, among tenants that have room."""
    for _ in range(ROUNDS):
        async with database.system() as session:
            found = await _head_with_room(session, hands.region)
            if found is None:
                return None
            tenant_id, cap = found
            if cap is not None:
                await _take_turns(session, tenant_id)
                if await running(session, tenant_id) >= cap:
                    continue
            of_tenant = (*_due(hands.region), col(Job.tenant_id) == tenant_id)
            taken = await _take(session, hands, *of_tenant, capped=cap is not None)
            if taken is not None:
                return taken
    return None


async def running(session: AsyncSession, tenant_id: UUID) -> int:
    """How many jobs of a tenant run at this moment, in all regions."""
    query = select(func.count()).where(col(Job.tenant_id) == tenant_id, col(Job.state) == JobState.RUNNING)
    return (await session.exec(query)).one()


async def _head_with_room(session: AsyncSession, region: str) -> tuple[UUID, int | None] | None:
    """The tenant whose head has the smallest start tag among those with room, and its cap."""
    # One row per tenant that ever joined the region's line; for each, one probe into its own line.
    head = lateral(
        select(Job.fair_start, Job.id)
        .where(*_due(region), col(Job.tenant_id) == FairShare.tenant_id)
        .order_by(col(Job.fair_start), col(Job.id))
        .limit(1)
    ).alias("head")
    in_hand = (
        select(func.count())
        .where(col(Job.tenant_id) == FairShare.tenant_id, col(Job.state) == JobState.RUNNING)
        .correlate(FairShare)
        .scalar_subquery()
    )
    query = (
        select(FairShare.tenant_id, Quota.concurrency)
        .join(Quota, col(Quota.tenant_id) == FairShare.tenant_id)
        .join(head, true())
        .where(FairShare.region == region, or_(col(Quota.concurrency).is_(None), col(Quota.concurrency) > in_hand))
        .order_by(head.c.fair_start, head.c.id)
        .limit(1)
    )
    return (await session.exec(query)).first()


async def _take_turns(session: AsyncSession, tenant_id: UUID) -> None:
    turn = func.hashtextextended(literal(f"likeness.claim {tenant_id}"), 0)
    await session.exec(select(func.pg_advisory_xact_lock(turn)))


def _due(region: str) -> tuple[ColumnElement[bool], ...]:
    return (col(Job.region) == region, col(Job.state) == JobState.PENDING, col(Job.not_before) <= now())


async def _take(
    session: AsyncSession,
    hands: _Hands,
    *where: ColumnElement[bool],
    unless: ColumnElement[bool] | None = None,
    capped: bool = False,
) -> _Taken | None:
    """Take the first of these jobs that nobody holds, and count the attempt. unless: leaves the first one alone."""
    moment = now()
    fairest = (
        select(Job.id)
        .where(*where)
        .order_by(col(Job.fair_start), col(Job.id))
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("fairest")
    )
    taking = (
        update(Job)
        .where(col(Job.id) == fairest.c.id)
        .values(
            state=JobState.RUNNING.value,
            attempt=col(Job.attempt) + 1,
            worker=hands.worker,
            lease_until=moment + timedelta(seconds=hands.lease_seconds),
            started_at=moment,
            stage="claimed",
            progress=0.0,
        )
        .returning(col(Job.id), col(Job.tenant_id), col(Job.attempt), col(Job.fair_start))
        .execution_options(synchronize_session=False)
    )
    if unless is not None:
        taking = taking.where(~unless)
    taken = (await session.exec(taking)).first()
    if taken is None:
        return None
    job_id, tenant_id, fence, start = taken
    await fair.advance(session, hands.region, start)
    return _Taken(job_id=job_id, tenant_id=tenant_id, fence=fence, fair_tag=start, capped=capped)
