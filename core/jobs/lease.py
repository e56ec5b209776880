"""Holding a job: the lease that keeps it, the fence that guards every write, the checkpoint before every effect.

Invariants of this file:
- A worker writes only while its fence holds: the job runs, in its hands, in the attempt that it was given.
- Locks are taken in one order everywhere: the person's row, the job's row, the tenant's credits, the tenant's line.
"""

from datetime import timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.consent import service as consent
from core.db import Database
from core.errors import ConsentRequired, Gone, IntegrityError, ProcessingRestricted
from core.ids import Prefix, public
from core.jobs.claim import Claim
from core.jobs.models import Job, JobState
from core.photos.models import Photo, PhotoState
from core.photos.service import NEEDS
from core.subjects import service as subjects
from core.webhooks import service as webhooks


class LeaseLost(IntegrityError):
    """The fence does not hold any more: someone else has the job, or it has ended. Nothing may be written."""


class StopReason(StrEnum):
    """Why work on a job that we hold has to end."""

    CANCELLED = "cancelled"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    ERASED = "erased"
    PHOTO_ERASED = "photo_erased"
    RESTRICTED = "processing_restricted"


class Stopped(Exception):
    """The work may not go on, and `reason` says why."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


async def heartbeat(database: Database, claim: Claim, *, lease_seconds: float) -> None:
    """Hold the job for another `lease_seconds`. Raises `LeaseLost`."""
    async with database.system() as session:
        beat = await session.exec(
            update(Job)
            .where(*_fence(claim))
            .values(lease_until=now() + timedelta(seconds=lease_seconds))
            .execution_options(synchronize_session=False)
        )
        if beat.rowcount == 0:
            raise LeaseLost


async def held(session: AsyncSession, claim: Claim) -> Job:
    """The job, its row locked until commit. Raises `LeaseLost`."""
    query = select(Job).where(*_fence(claim)).with_for_update().execution_options(populate_existing=True)
    job = (await session.exec(query)).first()
    if job is None:
        raise LeaseLost
    return job


async def checkpoint(session: AsyncSession, claim: Claim) -> Job:
    """Ask whether the work may go on, and hold the answer until the caller commits.

    Raises `LeaseLost`, or `Stopped` when the job was asked to stop, the person erased, a consent withdrawn or expired,
    processing restricted, or the photo deleted.
    """
    # 1. The person. An erasure waits for our commit, or we see that it came first.
    try:
        subject = await subjects.lock(session, claim.subject_id, share=True)
    except Gone:
        raise Stopped(StopReason.ERASED) from None
    if subject.erasure_epoch != claim.erasure_epoch:
        raise Stopped(StopReason.ERASED)
    # 2. The fence.
    job = await held(session, claim)
    if job.cancel_requested_at is not None:
        raise Stopped(StopReason.CANCELLED)
    # 3. The consents.
    try:
        await consent.require(session, claim.subject_id, *NEEDS)
    except ProcessingRestricted:
        raise Stopped(StopReason.RESTRICTED) from None
    except ConsentRequired:
        raise Stopped(StopReason.CONSENT_WITHDRAWN) from None
    # 4. The photo, held as well: deleting it waits for our commit.
    query = select(Photo).where(Photo.id == claim.photo_id).with_for_update(read=True)
    photo = (await session.exec(query.execution_options(populate_existing=True))).one()
    if photo.state != PhotoState.READY:
        raise Stopped(StopReason.PHOTO_ERASED)
    return job


async def report(session: AsyncSession, job: Job, *, stage: str, progress: float) -> None:
    """Write how far a held job has come, and tell whoever follows it. progress: 0..1."""
    if (job.stage, job.progress) == (stage, progress):
        return
    job.stage = stage
    job.progress = progress
    session.add(job)
    await session.flush()
    await webhooks.emit(
        session,
        tenant_id=job.tenant_id,
        type="headshot.progress",
        resource_id=job.id,
        data={"job_id": public(Prefix.JOB, job.id), "state": job.state, "stage": stage, "progress": progress},
    )


async def hand_back(database: Database, claim: Claim, *, delay_seconds: float = 0) -> bool:
    """Give the job back unfinished, without blame: its place in line is kept. False when it was not ours any more."""
    async with database.system() as session:
        given = await session.exec(
            update(Job)
            .where(*_fence(claim))
            .values(
                state=JobState.PENDING.value,
                worker=None,
                lease_until=None,
                stage=None,
                progress=0.0,
                not_before=now() + timedelta(seconds=delay_seconds),
            )
            .execution_options(synchronize_session=False)
        )
        return given.rowcount == 1


def _fence(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        col(Job.id) == claim.job_id,
        col(Job.state) == JobState.RUNNING,
        col(Job.attempt) == claim.fence,
        col(Job.worker) == claim.worker,
    )
