"""The product's story, second half: what a worker made becomes headshots, exactly once.

Everything here may be tried any number of times, by any number of workers. The fence decides whose try counts, the
person's erasure epoch whether any does; both are checked in the transaction that writes. What a losing try had sealed
is ciphertext whose key was never committed, so nothing can open it, and the orphan reaper removes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.db import Database
from core.errors import Gone
from core.headshots.models import Headshot, HeadshotState
from core.headshots.submit import CREDITS_PER_STYLE
from core.ids import Prefix, new_id, public
from core.jobs.claim import Claim
from core.jobs.finish import finish
from core.jobs.lease import LeaseLost, Stopped, StopReason, checkpoint, held
from core.jobs.models import Job, JobState
from core.jobs.rescue import again_or_bury
from core.storage.models import Asset
from core.storage.service import SealedStore
from core.tenants.models import Mode


@dataclass(frozen=True, slots=True)
class Picture:
    """One encoded output of a style: its variant (`square`, `linkedin`, …), bytes and size in px."""

    variant: str
    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a style came to: pictures, or the still-me gate's refusal.

    ledger: what was done to the picture, region by region. likeness: the gate's measures. Neither names a person.
    """

    style: str
    style_version: int
    seconds: float
    pictures: tuple[Picture, ...] = ()
    ledger: list[dict[str, Any]] | None = None
    likeness: dict[str, Any] | None = None
    reason_code: str | None = None
    reason: str | None = None

    @property
    def state(self) -> HeadshotState:
        """Made or refused."""
        return HeadshotState.DONE if self.pictures else HeadshotState.REFUSED


async def complete(
    database: Database,
    store: SealedStore,
    claim: Claim,
    outcomes: Sequence[Outcome],
    *,
    timings: Mapping[str, Any],
) -> Job:
    """Keep what was made. Raises `LeaseLost` or `Stopped`; then nothing of it is kept."""
    made = sum(outcome.state is HeadshotState.DONE for outcome in outcomes)
    expires_at = now() + timedelta(seconds=claim.retain_seconds)
    headshots = [_row(claim, outcome, expires_at=expires_at) for outcome in outcomes]
    sealed: list[Asset] = []
    try:
        async with database.tenant(claim.tenant_id) as session:
            # 1. Seal every picture. The objects' keys become real with this transaction, or never.
            for headshot, outcome in zip(headshots, outcomes, strict=True):
                for picture in outcome.pictures:
                    asset = await _seal(session, store, claim, picture, expires_at=expires_at)
                    sealed.append(asset)
                    headshot.assets[picture.variant] = asset.id.hex
            # 2. Hold the person and the job; go on only if fence, epoch and consents still stand.
            job = await checkpoint(session, claim)
            # 3. The headshots, one row per style; the database takes each style of a job once.
            session.add_all(headshots)
            job.timings = dict(timings)
            # 4. Finish: state, credits for what was delivered, audit leaf, event.
            refused = next((outcome for outcome in outcomes if outcome.state is HeadshotState.REFUSED), None)
            await finish(
                session,
                job,
                JobState.DONE if made else JobState.REFUSED,
                actor=claim.worker,
                charged=made * CREDITS_PER_STYLE if claim.mode == Mode.LIVE else 0,
                reason_code=refused.reason_code if refused and not made else None,
                reason=refused.reason if refused and not made else None,
                told={
                    "headshots": [
                        {"headshot_id": public(Prefix.HEADSHOT, row.id), "style": row.style, "state": row.state}
                        for row in headshots
                    ]
                },
            )
    except (LeaseLost, Stopped):
        # Nothing was committed, so nothing names these objects; no need to wait for the reaper.
        for asset in sealed:
            await store.objects.delete_all_versions(asset.object_name)
        raise
    return job


async def _seal(
    session: AsyncSession, store: SealedStore, claim: Claim, picture: Picture, *, expires_at: datetime
) -> Asset:
    try:
        return await store.write(
            session,
            tenant_id=claim.tenant_id,
            subject_id=claim.subject_id,
            kind="headshot",
            data=picture.data,
            media_type=picture.media_type,
            width=picture.width,
            height=picture.height,
            variant=picture.variant,
            expires_at=expires_at,
        )
    except Gone:
        raise Stopped(StopReason.ERASED) from None


async def refuse(database: Database, claim: Claim, *, code: str, message: str) -> Job:
    """End a job whose photo the studio will not work with. It costs nothing. Raises `LeaseLost`."""
    async with database.tenant(claim.tenant_id) as session:
        job = await held(session, claim)
        await finish(session, job, JobState.REFUSED, actor=claim.worker, reason_code=code, reason=message)
    return job


async def fail(database: Database, claim: Claim, *, code: str = "internal_error") -> Job:
    """Count a failed try: back in line after a pause, or given up after the last. Raises `LeaseLost`."""
    async with database.tenant(claim.tenant_id) as session:
        job = await held(session, claim)
        await again_or_bury(session, job, reason_code=code)
    return job


async def stop(database: Database, claim: Claim, stopped: Stopped) -> Job:
    """End a job that may not go on: asked to stop, person or photo erased, consent gone. Raises `LeaseLost`."""
    async with database.tenant(claim.tenant_id) as session:
        job = await held(session, claim)
        await finish(session, job, JobState.CANCELLED, actor=claim.worker, reason_code=stopped.reason.value)
    return job


def _row(claim: Claim, outcome: Outcome, *, expires_at: datetime) -> Headshot:
    return Headshot(
        id=new_id(),
        tenant_id=claim.tenant_id,
        subject_id=claim.subject_id,
        job_id=claim.job_id,
        style=outcome.style,
        style_version=outcome.style_version,
        state=outcome.state.value,
        reason_code=outcome.reason_code,
        reason=outcome.reason,
        assets={},
        ledger=outcome.ledger,
        likeness=outcome.likeness,
        seconds=outcome.seconds,
        expires_at=expires_at,
    )
