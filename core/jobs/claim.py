"""Buy the fairest pending job.

A token says that there is work, never which. The claim takes the smallest start tag that nobody holds, and counts the
attempt: that number is the fence, and every later write of the worker names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlmodel import col, select, update

from core.clock import now
from core.db import Database
from core.jobs import fair
from core.jobs.models import Job, JobState


@dataclass(frozen=True, slots=True)
class Claim:
    """A job in a worker's hands: ids, the fence, and what is to be made."""

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


async def claim(database: Database, *, worker: str, region: str, lease_seconds: float) -> Claim | None:
    """Take the fairest due job of the region for `lease_seconds`. None when nothing is due."""
    moment = now()
    fairest = (
        select(Job.id)
        .where(Job.region == region, Job.state == JobState.PENDING, Job.not_before <= moment)
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
            worker=worker,
            lease_until=moment + timedelta(seconds=lease_seconds),
            started_at=moment,
            stage="claimed",
            progress=0.0,
        )
        .returning(col(Job.id), col(Job.tenant_id), col(Job.attempt), col(Job.fair_start))
        .execution_options(synchronize_session=False)
    )
    async with database.system() as session:
        taken = (await session.exec(taking)).first()
        if taken is None:
            return None
        job_id, tenant_id, fence, start = taken
        await fair.advance(session, region, start)
    # What is to be made is for the tenant's own session: the role that finds work across tenants cannot read it.
    async with database.tenant(tenant_id) as session:
        job = (await session.exec(select(Job).where(Job.id == job_id))).one()
    return Claim(
        job_id=job_id,
        tenant_id=tenant_id,
        subject_id=job.subject_id,
        photo_id=job.photo_id,
        worker=worker,
        fence=fence,
        erasure_epoch=job.erasure_epoch,
        region=region,
        mode=job.mode,
        styles=tuple(job.styles),
        seed=job.seed,
        retain_seconds=job.retain_seconds,
        looks=job.looks,
        retouch=job.retouch,
    )
