"""The product's story, first half: a request for headshots becomes a job.

One transaction, whose steps are numbered below. When it commits, the job's row is the promise: the token that wakes a
worker may be lost, the row is not.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.consent import service as consent
from core.db import Database
from core.errors import (
    AttireNeedsFullModel,
    Gone,
    NotFound,
    PhotoNotReady,
    PhotoRefused,
    StateConflict,
    ValidationFailed,
)
from core.headshots import brand_styles, visible_marks
from core.headshots.styles import Attire, Retouch
from core.jobs import fair, queries
from core.jobs.finish import finish
from core.jobs.models import FINAL, FairClock, FairShare, Job, JobState
from core.photos import service as photos
from core.photos.models import Photo, PhotoState
from core.photos.service import NEEDS
from core.queue import Task, wake_after_commit
from core.subjects import service as subjects
from core.tenants import quota
from core.tenants import service as tenants
from core.tenants.models import Mode, Tenant
from core.tenants.service import Caller
from core.terms.policy import DataClass, term_asked

CREDITS_PER_STYLE = 1
MOST_STYLES = 10
LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Quote:
    """What a request would cost, in credits, and when it would be done. Nothing was made."""

    credits: int
    available: int
    position: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Order:
    photo: Photo
    tenant: Tenant
    styles: list[str]
    looks: dict[str, Any]
    cost: int
    work: int
    retain_seconds: int


async def submit(  # noqa: PLR0913 (a job is asked for with that many facts)
    session: AsyncSession,
    *,
    caller: Caller,
    photo_id: UUID,
    styles: Sequence[str],
    seed: int | None = None,
    expires_after: int | None = None,
    retouch: Retouch | None = None,
    attire: Attire = Attire.KEEP,
    mark: str | None = None,
    full_model: bool = False,
) -> Job:
    """Admit one job: one photo, one headshot per style. The caller's transaction commits it.

    retouch, mark: the level and the visible mark for all of its styles; each style's own if left out.
    attire: what happens to clothes; other than `keep` needs `full_model`, a mounted full-size inpainting model.

    Raises `TenantSuspended`, `NotFound`, `Gone`, `ValidationFailed`, `UnknownStyle`, `UnknownMark`,
    `AttireNeedsFullModel`, `PhotoNotReady`, `PhotoRefused`, `RetentionOutOfRange`, `ConsentRequired` or
    `QuotaExceeded`; then nothing was made.
    """
    require_attire(attire, full_model=full_model)
    order = await _read(session, caller=caller, photo_id=photo_id, styles=styles, expires_after=expires_after)
    if seed is not None and not 0 <= seed <= LARGEST_SEED:
        raise ValidationFailed(errors=[{"field": "seed", "message": f"A whole number from 0 to {LARGEST_SEED}."}])
    laid = None if mark is None else await visible_marks.named(session, mark)
    # 1. The person's row is held until the commit, and every purpose is granted.
    subject = await subjects.lock(session, order.photo.subject_id, share=True)
    await consent.require(session, subject.id, *NEEDS)
    # 2. The credits.
    await quota.reserve(session, caller.tenant_id, order.cost)
    # 3. The job, with its exact cost and its place in line.
    weight = order.tenant.weight
    tags = await fair.join(
        session, tenant_id=caller.tenant_id, region=order.tenant.region, work=order.work, weight=weight
    )
    job = Job(
        tenant_id=caller.tenant_id,
        subject_id=subject.id,
        photo_id=order.photo.id,
        mode=caller.mode.value,
        region=order.tenant.region,
        styles=order.styles,
        looks=order.looks or None,
        retouch=None if retouch is None else retouch.value,
        mark_id=None if laid is None else laid.id,
        attire=None if attire is Attire.KEEP else attire.value,
        seed=secrets.randbelow(LARGEST_SEED + 1) if seed is None else seed,
        cost=order.cost,
        work=order.work,
        weight=weight,
        fair_start=tags.start,
        fair_finish=tags.finish,
        erasure_epoch=subject.erasure_epoch,
        retain_seconds=order.retain_seconds,
    )
    session.add(job)
    await session.flush()
    # 4. The audit leaf, and a token once all of it is committed.
    await audit.append(
        session,
        tenant_id=job.tenant_id,
        subject_id=job.subject_id,
        kind="headshot.requested",
        actor=caller.actor,
        facts={"job": job.id.hex, "photo": job.photo_id.hex, "styles": ",".join(job.styles), "cost": job.cost},
    )
    wake_after_commit(session, Task.RUN_JOB)
    return job


async def quote(
    database: Database,
    *,
    caller: Caller,
    photo_id: UUID,
    styles: Sequence[str],
    expires_after: int | None = None,
    mark: str | None = None,
) -> Quote:
    """Everything that `submit` would check but the credits, and what it would cost. Raises as `submit` does."""
    async with database.tenant(caller.tenant_id, mode=caller.mode) as session:
        order = await _read(session, caller=caller, photo_id=photo_id, styles=styles, expires_after=expires_after)
        if mark is not None:
            await visible_marks.named(session, mark)
        await consent.require(session, order.photo.subject_id, *NEEDS)
        credit = await quota.usage(session, caller.tenant_id)
        region = order.tenant.region
        share = select(FairShare.last_finish).where(FairShare.region == region)
        clock = select(FairClock.virtual_time).where(FairClock.region == region)
        tags = fair.tags(
            virtual_time=(await session.exec(clock)).first() or 0.0,
            last_finish=(await session.exec(share)).first() or 0.0,
            work=order.work,
            weight=order.tenant.weight,
        )
    async with database.system() as session:
        outlook = await queries.outlook(session, region=region, fair_start=tags.start, work=order.work)
    return Quote(
        credits=order.cost,
        available=credit.credits - credit.used - credit.reserved,
        position=outlook.position,
        seconds=outlook.seconds,
    )


async def cancel(session: AsyncSession, job_id: UUID, *, actor: str) -> Job:
    """Stop a job: at once while it waits, at the worker's next step while it runs. Cancelling twice is harmless.

    Raises `NotFound`, or `StateConflict` for a job that ended otherwise.
    """
    query = select(Job).where(Job.id == job_id).with_for_update().execution_options(populate_existing=True)
    job = (await session.exec(query)).first()
    if job is None:
        raise NotFound
    if job.state == JobState.CANCELLED:
        return job
    if job.state in FINAL:
        raise StateConflict(f"The job is {job.state} and cannot be cancelled.", state=job.state)
    job.cancel_requested_at = job.cancel_requested_at or now()
    session.add(job)
    if job.state == JobState.PENDING:
        await finish(session, job, JobState.CANCELLED, actor=actor, reason_code="cancelled")
    return job


def require_attire(attire: Attire, *, full_model: bool) -> None:
    """Let through what can be done to clothes: without a full-size model, nothing. Raises `AttireNeedsFullModel`."""
    if attire is not Attire.KEEP and not full_model:
        raise AttireNeedsFullModel


async def _read(
    session: AsyncSession, *, caller: Caller, photo_id: UUID, styles: Sequence[str], expires_after: int | None
) -> _Order:
    caller.require_active()
    if not 1 <= len(styles) <= MOST_STYLES:
        raise ValidationFailed(errors=[{"field": "styles", "message": f"Name 1 to {MOST_STYLES} styles."}])
    if len(set(styles)) != len(styles):
        raise ValidationFailed(errors=[{"field": "styles", "message": "Name each style once."}])
    looks = await brand_styles.resolve(session, styles)
    photo = await photos.get(session, photo_id)
    if photo.expires_at <= now():
        raise Gone
    if photo.state == PhotoState.CHECKING:
        raise PhotoNotReady
    if photo.state == PhotoState.REFUSED:
        raise PhotoRefused(findings=(photo.report or {}).get("findings", []))
    tenant = await tenants.get_tenant(session, caller.tenant_id)
    term = await term_asked(session, caller.tenant_id, DataClass.HEADSHOT, expires_after=expires_after)
    return _Order(
        photo=photo,
        tenant=tenant,
        styles=list(styles),
        looks=looks,
        cost=CREDITS_PER_STYLE * len(styles) if caller.mode is Mode.LIVE else 0,
        work=fair.WORK_PER_STYLE * len(styles),
        retain_seconds=int(term.total_seconds()),
    )
