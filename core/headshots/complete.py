"""The product's story, second half: what a worker made becomes headshots, exactly once.

Everything here may be tried any number of times, by any number of workers. The fence decides whose try counts, the
person's erasure epoch whether any does; both are checked in the transaction that writes. What a losing try had sealed
is ciphertext whose key was never committed, so nothing can open it, and the orphan reaper removes it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.consent import service as consent
from core.consent.models import Purpose
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
from core.photos.models import Photo
from core.provenance import service as authenticity
from core.provenance.service import Given, Provenance
from core.storage.models import Asset
from core.storage.service import SealedStore
from core.tenants.models import Mode
from core.terms.policy import DataClass, term

VERSION = "0.1.0"
ORIGIN_MARKS = frozenset({"c2pa", "iptc", "ai_source"})
"""What intake may find in a photo that says where it comes from (`core.intake.detect.CATEGORIES`)."""


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
    mark: the 8 bytes of the pictures' watermark.
    """

    style: str
    style_version: int
    seconds: float
    pictures: tuple[Picture, ...] = ()
    ledger: list[dict[str, Any]] | None = None
    mark: bytes | None = None
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
    provenance: Provenance,
    timings: Mapping[str, Any],
) -> Job:
    """Keep what was made. Raises `LeaseLost` or `Stopped`; then nothing of it is kept."""
    # 1. Sign every picture: what was done to it goes into the file, under the tenant's certificate.
    began = perf_counter()
    outcomes = await _signed(database, provenance, claim, outcomes)
    took = {"sign": round(perf_counter() - began, 3)}
    made = sum(outcome.state is HeadshotState.DONE for outcome in outcomes)
    expires_at = now() + timedelta(seconds=claim.retain_seconds)
    headshots = [_row(claim, outcome, expires_at=expires_at) for outcome in outcomes]
    sealed: list[Asset] = []
    try:
        async with database.tenant(claim.tenant_id) as session:
            # 2. Seal every picture. The objects' keys become real with this transaction, or never.
            began = perf_counter()
            refused_for = await term(session, claim.tenant_id, DataClass.REJECTED_OUTPUT)
            for headshot, outcome in zip(headshots, outcomes, strict=True):
                if outcome.state is HeadshotState.REFUSED:
                    headshot.expires_at = min(expires_at, headshot.created_at + refused_for)
                for picture in outcome.pictures:
                    asset = await _seal(session, store, claim, picture, expires_at=expires_at)
                    sealed.append(asset)
                    headshot.assets[picture.variant] = asset.id.hex
            took["seal"] = round(perf_counter() - began, 3)
            # 3. Hold the person and the job; go on only if fence, epoch and consents still stand.
            job = await checkpoint(session, claim)
            # 4. The headshots, one row per style; the database takes each style of a job once.
            session.add_all(headshots)
            for headshot, outcome in zip(headshots, outcomes, strict=True):
                await authenticity.note(
                    session,
                    tenant_id=claim.tenant_id,
                    subject_id=claim.subject_id,
                    headshot_id=headshot.id,
                    pictures=[await _given(provenance, outcome, picture) for picture in outcome.pictures],
                )
            job.timings = {**timings, **took}
            # 5. Finish: state, credits for what was delivered, audit leaf, event.
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


async def _signed(
    database: Database, provenance: Provenance, claim: Claim, outcomes: Sequence[Outcome]
) -> list[Outcome]:
    # The library that signs is native code that the API, which imports this file as well, must not load.
    from core.provenance.sign import sign

    async with database.tenant(claim.tenant_id) as session:
        # Whether photo and person still stand is for the checkpoint to say; here only what the photo came with counts.
        photo = await session.get(Photo, claim.photo_id)
        came_with = (photo.removed_metadata or []) if photo is not None else []
        permitted = (await consent.current(session, claim.subject_id)).get(Purpose.MODEL_TRAINING)
    credential = await provenance.credential(claim.tenant_id)
    training_allowed = permitted is not None and consent.in_force(permitted)
    signed = []
    for outcome in outcomes:
        ledger = [*(outcome.ledger or []), *_carried(came_with)]
        pictures = []
        for picture in outcome.pictures:
            signing = partial(
                sign,
                picture.data,
                picture.media_type,
                ledger=_without_names(ledger, claim.looks or {}),
                mark=_mark(outcome),
                training_allowed=training_allowed,
                credential=credential,
                time_stamps=provenance.settings.time_stamp_url,
                version=VERSION,
            )
            pictures.append(replace(picture, data=await asyncio.to_thread(signing)))
        signed.append(replace(outcome, pictures=tuple(pictures), ledger=ledger if pictures else outcome.ledger))
    return signed


def _carried(removed: Sequence[str]) -> list[dict[str, Any]]:
    """The marks of origin that the photo came with are recorded, and told on: none is dropped silently."""
    marks = sorted(ORIGIN_MARKS & set(removed))
    return [{"region": "source", "action": "carried", "source": "own", "share": 1.0, "marks": marks}] if marks else []


def _without_names(ledger: Sequence[Mapping[str, Any]], looks: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The ledger as it goes into files: a platform's own style is called `brand`, as its name may name the platform."""
    return [{**line, **({"style": "brand"} if line.get("style") in looks else {})} for line in ledger]


def _mark(outcome: Outcome) -> bytes:
    if outcome.mark is None:
        raise ValueError("a picture without its mark does not leave")
    return outcome.mark


async def _given(provenance: Provenance, outcome: Outcome, picture: Picture) -> Given:
    return Given(fingerprint=await provenance.fingerprint(picture.data), mark=_mark(outcome))


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
