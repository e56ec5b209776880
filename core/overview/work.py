"""What waits, what runs, what was made and what was not, over all tenants. Every function wants a system session.

Each query is answered from an index: `infra.bench.operator` shows the plans on a million jobs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import literal_column
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.jobs.models import Job
from core.tenants.models import Quota, Tenant

HOURS = 24
REFUSALS_WITHIN = timedelta(days=7)

# Partial indexes are chosen by a predicate that the planner can read; a bound parameter hides it.
_PENDING = literal_column("job.state") == literal_column("'pending'")
_RUNNING = literal_column("job.state") == literal_column("'running'")
_DONE = literal_column("job.state") == literal_column("'done'")
_ENDED_BADLY = col(Job.state).in_([literal_column("'refused'"), literal_column("'failed'")])


@dataclass(frozen=True, slots=True)
class Line:
    """A region's queue: how many wait, and since when the oldest."""

    region: str
    waiting: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Hour:
    """Jobs that were finished within an hour."""

    begins_at: datetime
    done: int


@dataclass(frozen=True, slots=True)
class AtWork:
    """A tenant with jobs at work."""

    tenant_id: UUID
    name: str
    running: int
    concurrency: int | None
    weight: float


@dataclass(frozen=True, slots=True)
class Refusals:
    """How many jobs ended badly, by the code of the reason."""

    state: str
    reason_code: str | None
    count: int


async def regions(session: AsyncSession) -> list[str]:
    """Every region that a tenant is in."""
    return sorted((await session.exec(select(Tenant.region).distinct())).all())


async def lines(session: AsyncSession) -> list[Line]:
    """The queue of each region, also where nothing waits."""
    query = select(Job.region, func.count(), func.min(Job.created_at)).where(_PENDING).group_by(col(Job.region))
    found = {region: Line(region, waiting, oldest) for region, waiting, oldest in (await session.exec(query)).all()}
    return [found.get(region, Line(region, 0, None)) for region in sorted({*found, *await regions(session)})]


async def throughput(session: AsyncSession, *, hours: int = HOURS) -> list[Hour]:
    """Jobs that were done in each of the last hours, oldest first; the last one is not over yet."""
    this_hour = now().replace(minute=0, second=0, microsecond=0)
    begins = this_hour - timedelta(hours=hours - 1)
    hour = func.date_trunc(literal_column("'hour'"), Job.finished_at, literal_column("'UTC'"))
    query = (
        select(hour, func.count())
        .where(_DONE, col(Job.region).in_(await regions(session)), col(Job.finished_at) >= begins)
        .group_by(hour)
    )
    counted = dict((await session.exec(query)).all())
    moments = (begins + timedelta(hours=number) for number in range(hours))
    return [Hour(begins_at=moment, done=counted.get(moment, 0)) for moment in moments]


async def at_work(session: AsyncSession) -> list[AtWork]:
    """Who has jobs at work, the most first."""
    counted = (
        select(Job.tenant_id, func.count().label("running")).where(_RUNNING).group_by(col(Job.tenant_id)).subquery()
    )
    columns: tuple[Any, ...] = (Tenant.id, Tenant.name, counted.c.running, Quota.concurrency, Tenant.weight)
    query = (
        select(*columns)
        .join(counted, counted.c.tenant_id == Tenant.id)
        .join(Quota, col(Quota.tenant_id) == Tenant.id)
        .order_by(counted.c.running.desc(), col(Tenant.id))
    )
    return [AtWork(*row) for row in (await session.exec(query)).all()]


async def refusals(session: AsyncSession) -> list[Refusals]:
    """Jobs that were refused or failed within a week, the most frequent reason first."""
    query = (
        select(Job.state, Job.reason_code, func.count().label("count"))
        .where(_ENDED_BADLY, col(Job.finished_at) > now() - REFUSALS_WITHIN)
        .group_by(col(Job.state), col(Job.reason_code))
        .order_by(literal_column("count").desc())
    )
    return [Refusals(*row) for row in (await session.exec(query)).all()]


async def running_by_tenant(session: AsyncSession) -> dict[UUID, int]:
    """How many jobs of each tenant are at work."""
    query = select(Job.tenant_id, func.count()).where(_RUNNING).group_by(col(Job.tenant_id))
    return dict((await session.exec(query)).all())


async def waiting_tenants(session: AsyncSession, region: str) -> Sequence[UUID]:
    """Tenants of a region that have jobs waiting: one probe of an index for each."""
    waits = select(Job.id).where(_PENDING, Job.region == region, Job.tenant_id == Tenant.id).exists()
    return (await session.exec(select(Tenant.id).where(Tenant.region == region, waits))).all()


async def dead_letters(session: AsyncSession) -> int:
    """Jobs that were given up."""
    query = select(func.count()).where(literal_column("job.state") == literal_column("'failed'")).select_from(Job)
    return (await session.exec(query)).one()
