"""Whose turn it is: start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queueing", SIGCOMM 1996).

Every job carries two tags, computed once, when it is admitted:

    start  = max(V, finish of the tenant's job before it)
    finish = start + work / weight

Workers take the smallest start. V, the region's virtual time, is the start tag of the job last taken into service.
While two tenants both wait, what they are served differs, by weight, by no more than one job of each:
|W_i/w_i - W_j/w_j| <= L_i/w_i + L_j/w_j, however many jobs either of them has sent.

Work is exact and known beforehand, because a diffusion's cost is: steps × rows × tokens. A style drawn without a model
counts the same nominal steps, so a tenant's share does not depend on which worker serves it.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.jobs.models import FairClock, FairShare, Job, JobState

STEPS = 20
ROWS = 2  # guidance asks the model twice: with the prompt and without
TOKENS = 64 * 64  # a latent of 512 px at an eighth of the edge
WORK_PER_STYLE = STEPS * ROWS * TOKENS


@dataclass(frozen=True, slots=True)
class Tags:
    """A job's place in line, in units of work per weight."""

    start: float
    finish: float


def tags(*, virtual_time: float, last_finish: float, work: int, weight: float) -> Tags:
    """The tags of a tenant's next job."""
    if work <= 0 or weight <= 0:
        raise ValueError("work and weight are positive")
    start = max(virtual_time, last_finish)
    return Tags(start=start, finish=start + work / weight)


async def join(session: AsyncSession, *, tenant_id: UUID, region: str, work: int, weight: float) -> Tags:
    """Put a job at the end of its tenant's line. The tenant's row stays locked until the caller commits."""
    # The conflicting update changes nothing: it locks the row and reads it in one round trip.
    held = insert(FairShare).values(tenant_id=tenant_id, region=region, last_finish=0.0)
    clock = select(FairClock.virtual_time).where(FairClock.region == region).scalar_subquery()
    statement = held.on_conflict_do_update(
        index_elements=["tenant_id", "region"], set_={"region": held.excluded.region}
    ).returning(col(FairShare.last_finish), func.coalesce(clock, 0.0))
    last_finish, virtual_time = (await session.exec(statement)).one()
    found = tags(virtual_time=virtual_time, last_finish=last_finish, work=work, weight=weight)
    await _set_end(session, tenant_id, region, found.finish)
    return found


async def leave(session: AsyncSession, job: Job) -> None:
    """Take a job that was never served out of line.

    When it stood last, the line ends where the last job that was not taken out ends; without this a tenant that
    cancelled a long line would wait behind it. A gap in the middle stays a gap: closing it would let a tenant save up
    turns and spend them at once.
    """
    share = select(FairShare).where(FairShare.tenant_id == job.tenant_id, FairShare.region == job.region)
    held = (await session.exec(share.with_for_update().execution_options(populate_existing=True))).first()
    if held is None or job.fair_finish < held.last_finish:
        return
    remaining = select(func.max(Job.fair_finish)).where(
        Job.tenant_id == job.tenant_id,
        Job.region == job.region,
        Job.id != job.id,
        or_(Job.state != JobState.CANCELLED, col(Job.started_at).is_not(None)),
    )
    await _set_end(session, job.tenant_id, job.region, (await session.exec(remaining)).one() or 0.0)


async def advance(session: AsyncSession, region: str, start: float) -> None:
    """Move the region's virtual time to the start tag taken into service. It never runs backwards."""
    moved = insert(FairClock).values(region=region, virtual_time=start)
    await session.exec(
        moved.on_conflict_do_update(
            index_elements=["region"],
            set_={"virtual_time": moved.excluded.virtual_time},
            where=col(FairClock.virtual_time) < moved.excluded.virtual_time,
        )
    )


async def _set_end(session: AsyncSession, tenant_id: UUID, region: str, finish: float) -> None:
    await session.exec(
        update(FairShare)
        .where(col(FairShare.tenant_id) == tenant_id, col(FairShare.region) == region)
        .values(last_finish=finish)
    )


async def begin_anew(session: AsyncSession, *, tenant_id: UUID, region: str) -> int:
    """Move a tenant's waiting line up to the virtual time; returns how many jobs it moved.

    A cap holds a line back while the virtual time goes on. When the cap is lifted, the line has the smallest tags of
    all, and would be served alone until it had caught up: so it begins anew, with the time that it was held back lost,
    as an idle tenant's is. Its order stays.
    """
    # The line first; jobs that somebody else holds are leaving it, so nobody waits here for a job's row.
    share = select(FairShare).where(FairShare.tenant_id == tenant_id, FairShare.region == region)
    held = (await session.exec(share.with_for_update().execution_options(populate_existing=True))).first()
    virtual_time = (await session.exec(select(FairClock.virtual_time).where(FairClock.region == region))).first()
    waiting = (col(Job.tenant_id) == tenant_id, col(Job.region) == region, col(Job.state) == JobState.PENDING)
    first = (await session.exec(select(func.min(Job.fair_start)).where(*waiting))).one()
    if held is None or virtual_time is None or first is None or first >= virtual_time:
        return 0
    behind = virtual_time - first
    line = select(Job.id).where(*waiting).with_for_update(skip_locked=True).cte("line")
    moved = await session.exec(
        update(Job)
        .where(col(Job.id).in_(select(line.c.id)))
        .values(fair_start=Job.fair_start + behind, fair_finish=Job.fair_finish + behind)
        .execution_options(synchronize_session=False)
    )
    await _set_end(session, tenant_id, region, held.last_finish + behind)
    return moved.rowcount
