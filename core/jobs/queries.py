"""Read jobs: one, a page, and where one stands in line."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import NotFound
from core.jobs.fair import WORK_PER_STYLE
from core.jobs.models import Job, JobState
from core.subjects import service as subjects

LATELY = 20
# What a style takes on two CPU cores, for the estimate of a deployment that has not finished a job yet.
FIRST_GUESS_SECONDS_PER_STYLE = 5.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """position: jobs that would be taken before it. seconds: until it is done, by how long jobs took of late."""

    position: int
    seconds: float


async def get(session: AsyncSession, job_id: UUID) -> Job:
    """A job. Raises `NotFound`, or `Gone` once its person is erased."""
    found = await session.get(Job, job_id)
    if found is None:
        raise NotFound
    await subjects.get(session, found.subject_id)
    return found


async def page(
    session: AsyncSession, *, subject_id: UUID | None = None, before: UUID | None = None, limit: int
) -> list[Job]:
    """Jobs, newest first. Naming a person raises as `subjects.get` does."""
    query = select(Job).order_by(col(Job.id).desc()).limit(limit)
    if subject_id is not None:
        await subjects.get(session, subject_id)
        query = query.where(Job.subject_id == subject_id)
    if before is not None:
        query = query.where(Job.id < before)
    return list((await session.exec(query)).all())


async def outlook(
    session: AsyncSession, *, region: str, fair_start: float, work: int, job_id: UUID | None = None
) -> Outlook:
    """Where a job with this start tag stands. Without an id, as the last of its tag. In a system session."""
    place = col(Job.fair_start) <= fair_start
    if job_id is not None:
        place = tuple_(col(Job.fair_start), col(Job.id)) < tuple_(fair_start, job_id)
    ahead = select(func.count(), func.coalesce(func.sum(Job.work), 0)).where(
        col(Job.region) == region, col(Job.state) == JobState.PENDING, place
    )
    position, work_ahead = (await session.exec(ahead)).one()
    hands = select(func.count()).where(col(Job.region) == region, col(Job.state) == JobState.RUNNING)
    workers = max(1, (await session.exec(hands)).one())
    lately = (
        select(Job.work, Job.started_at, Job.finished_at)
        .where(Job.region == region, Job.state == JobState.DONE)
        .order_by(col(Job.finished_at).desc())
        .limit(LATELY)
        .subquery()
    )
    took = select(func.sum(lately.c.finished_at - lately.c.started_at), func.sum(lately.c.work))
    spent, done = (await session.exec(took)).one()
    pace = FIRST_GUESS_SECONDS_PER_STYLE / WORK_PER_STYLE
    if isinstance(spent, timedelta) and done:
        pace = spent.total_seconds() / float(done)
    return Outlook(position=int(position), seconds=round((float(work_ahead) / workers + work) * pace, 1))
