"""End a job, once: state, credits, line, audit leaf and event in the caller's transaction.

Every way to a final state comes through here, so none can forget the credits or the event. The caller holds the job's
row locked; the database refuses a second ending.
"""

from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.ids import Prefix, public
from core.jobs import fair
from core.jobs.models import FINAL, Job, JobState
from core.tenants import quota
from core.webhooks import service as webhooks

_EVENTS = {
    JobState.DONE: "headshot.completed",
    JobState.REFUSED: "headshot.refused",
    JobState.FAILED: "headshot.failed",
    JobState.CANCELLED: "headshot.cancelled",
}


async def finish(
    session: AsyncSession,
    job: Job,
    state: JobState,
    *,
    actor: str,
    charged: int = 0,
    reason_code: str | None = None,
    reason: str | None = None,
    told: dict[str, Any] | None = None,
) -> None:
    """Bring a locked job to a final state. `told` adds ids and codes to the event; nothing personal may be in it."""
    if state not in FINAL:
        raise ValueError("a job ends in a final state")
    never_served = job.started_at is None
    job.state = state.value
    job.charged = charged
    job.reason_code = reason_code
    job.reason = reason
    job.finished_at = now()
    job.lease_until = None
    job.worker = None
    job.stage = None
    job.progress = 1.0 if state is JobState.DONE else job.progress
    session.add(job)
    await session.flush()
    await quota.settle(session, job.tenant_id, reserved=job.cost, charged=charged)
    if never_served and state is JobState.CANCELLED:
        await fair.leave(session, job)
    await audit.append(
        session,
        tenant_id=job.tenant_id,
        # A leaf written after an erasure must not link to the person again.
        subject_id=None if reason_code == "erased" else job.subject_id,
        kind=f"headshot.{state.value}",
        actor=actor,
        facts={"job": job.id.hex, "attempt": job.attempt, "charged": charged, "reason": reason_code},
    )
    await webhooks.emit(
        session,
        tenant_id=job.tenant_id,
        type=_EVENTS[state],
        resource_id=job.id,
        data={
            "job_id": public(Prefix.JOB, job.id),
            "subject_id": public(Prefix.SUBJECT, job.subject_id),
            "photo_id": public(Prefix.PHOTO, job.photo_id),
            "state": job.state,
            "reason_code": reason_code,
            **(told or {}),
        },
    )
