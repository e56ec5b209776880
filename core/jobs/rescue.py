"""Jobs whose worker died or stumbled: tried again after a pause that doubles, and buried after the fifth time.

A job that keeps killing workers must not take the queue with it. The dead letter is the row itself, in the state
`failed` with the reason; its credits are given back and its tenant is told.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.db import Database
from core.jobs.finish import finish
from core.jobs.models import Job, JobState
from core.queue import Task, wake_after_commit

MOST_DEATHS = 5
LONGEST_PAUSE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Rescued:
    """What one sweep found: jobs back in line, and jobs given up."""

    again: int = 0
    buried: int = 0


async def rescue_dead(database: Database, *, region: str, limit: int = 100) -> Rescued:
    """Take back jobs whose lease has run out. Each is a transaction of its own; two sweeps at once do no harm."""
    async with database.system() as session:
        query = (
            select(Job.id, Job.tenant_id)
            .where(Job.region == region, Job.state == JobState.RUNNING, col(Job.lease_until) < now())
            .order_by(col(Job.lease_until))
            .limit(limit)
        )
        expired = (await session.exec(query)).all()
    again = buried = 0
    for job_id, tenant_id in expired:
        async with database.tenant(tenant_id) as session:
            # It may have been finished, or rescued by another sweep, since we looked.
            held = select(Job).where(Job.id == job_id, Job.state == JobState.RUNNING, col(Job.lease_until) < now())
            job = (await session.exec(held.with_for_update(skip_locked=True))).first()
            if job is None:
                continue
            if await again_or_bury(session, job, reason_code="worker_died"):
                again += 1
            else:
                buried += 1
    return Rescued(again=again, buried=buried)


async def again_or_bury(session: AsyncSession, job: Job, *, reason_code: str) -> bool:
    """Count a death of a locked, running job and put it back in line, or end it. True: it is back in line."""
    job.deaths += 1
    if job.cancel_requested_at is not None:
        await finish(session, job, JobState.CANCELLED, actor="rescue", reason_code="cancelled")
        return False
    if job.deaths >= MOST_DEATHS:
        reason = "Making this headshot failed again and again, so it was given up. It costs nothing."
        await finish(session, job, JobState.FAILED, actor="rescue", reason_code=reason_code, reason=reason)
        return False
    job.state = JobState.PENDING.value
    job.worker = None
    job.lease_until = None
    job.stage = None
    job.progress = 0.0
    job.not_before = now() + timedelta(seconds=pause_seconds(job.deaths))
    session.add(job)
    await session.flush()
    wake_after_commit(session, Task.RUN_JOB)
    return True


def pause_seconds(deaths: int) -> float:
    """How long a job rests after its n-th death: 1, 2, 4, 8 seconds, and never more than a minute."""
    return float(min(2 ** (deaths - 1), LONGEST_PAUSE_SECONDS))


async def due(session: AsyncSession, *, region: str) -> int:
    """How many jobs could be claimed now, for the sweep to send lost tokens again. In a system session."""
    query = select(func.count()).where(
        col(Job.region) == region, col(Job.state) == JobState.PENDING, col(Job.not_before) <= now()
    )
    return (await session.exec(query)).one()
