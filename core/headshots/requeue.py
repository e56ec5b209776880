"""Put a dead letter back in line: an operator has mended what killed it.

The job keeps its id and its fence, gets credits and a place in line anew, and may die as often again before it is
given up. Nothing is put back that could not be asked for today: the person, their consents and the photo still count.
"""

from uuid import UUID

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.consent import service as consent
from core.errors import ConsentRequired, NotFound, StateConflict
from core.ids import Prefix, public
from core.jobs import fair
from core.jobs.models import Job, JobState
from core.photos.models import Photo, PhotoState
from core.photos.service import NEEDS
from core.queue import Task, wake_after_commit
from core.subjects import service as subjects
from core.tenants import quota
from core.tenants import service as tenants
from core.webhooks import service as webhooks


async def requeue(session: AsyncSession, job_id: UUID, *, actor: str) -> Job:
    """Let a failed job wait again. The caller's transaction commits it.

    Raises `NotFound`, `Gone` once the person is erased, `QuotaExceeded`, and `StateConflict` for a job that did not
    fail, or whose photo or consents are gone.
    """
    known = (await session.exec(select(Job).where(Job.id == job_id))).first()
    if known is None:
        raise NotFound
    # 1. The person, held until the commit, and their consents.
    subject = await subjects.lock(session, known.subject_id, share=True)
    try:
        await consent.require(session, subject.id, *NEEDS)
    except ConsentRequired as refused:
        raise StateConflict("A consent that this needs does not stand any more.", reason_code=refused.code) from None
    # 2. The job and its photo.
    query = select(Job).where(Job.id == job_id).with_for_update().execution_options(populate_existing=True)
    job = (await session.exec(query)).one()
    if job.state != JobState.FAILED:
        raise StateConflict(f"The job is {job.state}; only one that failed can be put back.", state=job.state)
    photo = await session.get(Photo, job.photo_id)
    if photo is None or photo.state != PhotoState.READY or photo.expires_at <= now():
        raise StateConflict("The photo that the job was to be made of is gone.", reason_code="photo_erased")
    # 3. The credits, and a place at the end of its tenant's line.
    await quota.reserve(session, job.tenant_id, job.cost)
    tenant = await tenants.get_tenant(session, job.tenant_id)
    tags = await fair.join(session, tenant_id=job.tenant_id, region=job.region, work=job.work, weight=tenant.weight)
    job.state = JobState.PENDING.value
    job.weight, job.fair_start, job.fair_finish = tenant.weight, tags.start, tags.finish
    job.erasure_epoch = subject.erasure_epoch
    job.deaths, job.not_before = 0, now()
    job.started_at = job.finished_at = job.cancel_requested_at = None
    job.reason_code = job.reason = job.timings = None
    job.progress = 0.0
    session.add(job)
    await session.flush()
    # 4. The audit leaf, the tenant's word, and a token.
    await audit.append(
        session,
        tenant_id=job.tenant_id,
        subject_id=job.subject_id,
        kind="headshot.requeued",
        actor=actor,
        facts={"job": job.id.hex, "attempt": job.attempt},
    )
    await webhooks.emit(
        session,
        tenant_id=job.tenant_id,
        type="headshot.requeued",
        resource_id=job.id,
        data={
            "job_id": public(Prefix.JOB, job.id),
            "subject_id": public(Prefix.SUBJECT, job.subject_id),
            "state": job.state,
        },
    )
    wake_after_commit(session, Task.RUN_JOB)
    return job
