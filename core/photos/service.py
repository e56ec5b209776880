"""What a person uploaded: accepted after consent, looked at by a worker, deleted on its day."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.consent import service as consent
from core.consent.models import Purpose
from core.errors import ConsentRequired, Gone, NotFound
from core.ids import Prefix, public
from core.intake.clean import CleanPhoto
from core.photos.models import Photo, PhotoState
from core.queue import Task, wake_after_commit
from core.storage.models import Asset
from core.storage.service import SealedStore
from core.subjects import service as subjects
from core.tenants.service import Caller
from core.terms import holds
from core.terms.policy import DataClass, term, term_asked
from core.webhooks import service as webhooks

NEEDS = (Purpose.HEADSHOT, Purpose.BIOMETRIC_PROCESSING)
MOST_CHECKS = 3
LOOK_LEASE = timedelta(seconds=30)


async def admit(session: AsyncSession, *, caller: Caller, subject_id: UUID, expires_after: int | None) -> None:
    """Everything that can refuse an upload before a byte of it is read."""
    caller.require_active()
    await subjects.get(session, subject_id)
    await consent.require(session, subject_id, *NEEDS)
    await term_asked(session, caller.tenant_id, DataClass.PHOTO, expires_after=expires_after)


async def accept(
    session: AsyncSession,
    store: SealedStore,
    *,
    caller: Caller,
    subject_id: UUID,
    photo: CleanPhoto,
    expires_after: int | None,
) -> Photo:
    """Seal a cleaned photo and ask a worker to look for the face."""
    # 1. The person's row is held, so an erasure waits for this commit and then takes the photo with it.
    caller.require_active()
    await subjects.lock(session, subject_id, share=True)
    # 2. No face is stored before a grant.
    await consent.require(session, subject_id, *NEEDS)
    # 3. Seal.
    expires_at = now() + await term_asked(session, caller.tenant_id, DataClass.PHOTO, expires_after=expires_after)
    asset = await store.write(
        session,
        tenant_id=caller.tenant_id,
        subject_id=subject_id,
        kind="photo",
        data=photo.data,
        media_type=photo.media_type,
        width=photo.width,
        height=photo.height,
        variant=None,
        expires_at=expires_at,
    )
    # 4. The row, the leaf, and the wake-up.
    row = Photo(
        tenant_id=caller.tenant_id,
        subject_id=subject_id,
        asset_id=asset.id,
        source_format=photo.source_format,
        width=photo.width,
        height=photo.height,
        removed_metadata=sorted(photo.removed),
        expires_at=expires_at,
    )
    session.add(row)
    await session.flush()
    await audit.append(
        session,
        tenant_id=caller.tenant_id,
        subject_id=subject_id,
        kind="photo.uploaded",
        actor=caller.actor,
        facts={"photo": row.id.hex},
    )
    wake_after_commit(session, Task.CHECK_PHOTO, caller.tenant_id, row.id)
    return row


async def get(session: AsyncSession, photo_id: UUID) -> Photo:
    """A photo. Raises `NotFound`, or `Gone` once it, or its person, is erased."""
    found = await session.get(Photo, photo_id)
    if found is None:
        raise NotFound
    await subjects.get(session, found.subject_id)
    if found.state == PhotoState.ERASED:
        raise Gone
    return found


async def page(session: AsyncSession, subject_id: UUID, *, before: UUID | None, limit: int) -> list[Photo]:
    """A person's photos, newest first."""
    await subjects.get(session, subject_id)
    query = (
        select(Photo)
        .where(Photo.subject_id == subject_id, Photo.state != PhotoState.ERASED)
        .order_by(col(Photo.id).desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(Photo.id < before)
    return list((await session.exec(query)).all())


async def asset_of(session: AsyncSession, photo: Photo) -> Asset:
    """The sealed pixels of a photo."""
    found = await session.get(Asset, photo.asset_id)
    if found is None:
        raise NotFound
    return found


async def begin_check(session: AsyncSession, photo_id: UUID) -> Photo | None:
    """Take a photo to look at, under a lease. None when there is nothing to do.

    That is: somebody has looked, or is at it; it is erased; or consent was withdrawn. The count is committed before the
    look, so a photo that kills its worker is refused after a few and not tried for ever.
    """
    query = select(Photo).where(Photo.id == photo_id).with_for_update(skip_locked=True)
    photo = (await session.exec(query)).first()
    if photo is None or photo.state != PhotoState.CHECKING:
        return None
    if photo.looked_at_until is not None and photo.looked_at_until > now():
        return None
    try:
        await subjects.get(session, photo.subject_id)
        await consent.require(session, photo.subject_id, *NEEDS)
    except (Gone, ConsentRequired):
        return None
    if photo.checks >= MOST_CHECKS:
        report = {
            "findings": [
                {
                    "code": "photo_unreadable",
                    "severity": "refuse",
                    "message": "This photo could not be looked at. Please take or export it again.",
                }
            ]
        }
        await record_verdict(session, photo_id, verdict=PhotoState.REFUSED, report=report)
        return None
    photo.checks += 1
    photo.looked_at_until = now() + LOOK_LEASE
    session.add(photo)
    return photo


async def hold_on(session: AsyncSession, photo_id: UUID) -> None:
    """Say that whoever looks at a photo still has it in memory, whatever became of it meanwhile."""
    lives = update(Photo).where(col(Photo.id) == photo_id).values(looked_at_until=now() + LOOK_LEASE)
    await session.exec(lives)


async def let_go(session: AsyncSession, photo_id: UUID) -> None:
    """Say that nobody has it in memory any more."""
    await session.exec(update(Photo).where(col(Photo.id) == photo_id).values(looked_at_until=None))


async def held_by_look(session: AsyncSession, subject_id: UUID | None = None) -> bool:
    """Whether a worker may have a clear upload in memory; of one person, or of anybody of the session's tenant."""
    query = select(Photo.id).where(col(Photo.looked_at_until) > now())
    if subject_id is not None:
        query = query.where(Photo.subject_id == subject_id)
    return (await session.exec(query.limit(1))).first() is not None


async def undo_check(session: AsyncSession, photo_id: UUID) -> None:
    """Take back the count of a look that never happened, because a part was away or the worker left: no fault of it."""
    query = select(Photo).where(Photo.id == photo_id).with_for_update()
    photo = (await session.exec(query.execution_options(populate_existing=True))).first()
    if photo is not None and photo.state == PhotoState.CHECKING and photo.checks > 0:
        photo.checks -= 1
        session.add(photo)


async def record_verdict(
    session: AsyncSession, photo_id: UUID, *, verdict: PhotoState, report: dict[str, Any]
) -> Photo | None:
    """Note what the worker saw. None when the photo has a verdict, or was erased, in the meantime."""
    query = select(Photo).where(Photo.id == photo_id).with_for_update()
    photo = (await session.exec(query.execution_options(populate_existing=True))).first()
    if photo is None or photo.state != PhotoState.CHECKING:
        return None
    photo.state = verdict.value
    photo.report = report
    photo.checked_at = now()
    session.add(photo)
    if verdict is PhotoState.REFUSED:
        refused_for = await term(session, photo.tenant_id, DataClass.REJECTED_OUTPUT)
        photo.expires_at = min(photo.expires_at, photo.created_at + refused_for)
        (await asset_of(session, photo)).expires_at = photo.expires_at
        await webhooks.emit(
            session,
            tenant_id=photo.tenant_id,
            type="photo.refused",
            resource_id=photo.id,
            data={
                "photo_id": public(Prefix.PHOTO, photo.id),
                "subject_id": public(Prefix.SUBJECT, photo.subject_id),
                "state": photo.state,
                "codes": [finding["code"] for finding in report.get("findings", [])],
            },
        )
    return photo


async def delete(
    session: AsyncSession, store: SealedStore, photo: Photo, *, actor: str, whatever_holds: bool = False
) -> None:
    """Erase one photo: its object key and its object first, then what the row says of it.

    Raises `Gone` if it was erased, and `LegalHoldStands`. whatever_holds: it was erased before, and a restore brought
    its row back; a hold keeps nothing of it any more.

    The row is held first: a verdict that comes meanwhile waits, and then finds nothing to write on.
    """
    await session.refresh(photo, with_for_update=True)
    if photo.state == PhotoState.ERASED:
        raise Gone
    refused = photo.state == PhotoState.REFUSED
    if not whatever_holds:
        await holds.require_none(session, photo.subject_id, DataClass.REJECTED_OUTPUT if refused else DataClass.PHOTO)
    asset = await asset_of(session, photo)
    await store.delete(session, asset)
    photo.state = PhotoState.ERASED.value
    photo.erased_at = now()
    photo.report = None
    photo.removed_metadata = None
    session.add(photo)
    await audit.append(
        session,
        tenant_id=photo.tenant_id,
        subject_id=photo.subject_id,
        kind="photo.erased",
        actor=actor,
        facts={"photo": photo.id.hex},
    )
    await webhooks.emit(
        session,
        tenant_id=photo.tenant_id,
        type="asset.erased",
        resource_id=photo.id,
        data={
            "photo_id": public(Prefix.PHOTO, photo.id),
            "subject_id": public(Prefix.SUBJECT, photo.subject_id),
            "state": "erased",
        },
    )


async def unchecked(session: AsyncSession, *, older_than_seconds: float, limit: int) -> Sequence[tuple[UUID, UUID]]:
    """Photos that still wait for a look, as (tenant, photo): their token may be lost. In a system session.

    In no order, so that photos which nobody may look at (a consent was withdrawn) cannot fill every round.
    """
    query = (
        select(Photo.tenant_id, Photo.id)
        .where(Photo.state == PhotoState.CHECKING, Photo.created_at < now() - timedelta(seconds=older_than_seconds))
        .order_by(func.random())
        .limit(limit)
    )
    return [(tenant_id, photo_id) for tenant_id, photo_id in (await session.exec(query)).all()]
