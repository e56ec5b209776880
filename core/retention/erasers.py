"""How each class is erased. Every function works in the caller's tenant transaction and may be called again."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from sqlalchemy import delete, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.audit.models import AuditEntry
from core.consent.models import Consent
from core.headshots import queries as headshots
from core.headshots.models import Headshot, HeadshotState
from core.jobs.models import Job
from core.photos import service as photos
from core.photos.models import Photo, PhotoState
from core.rights import exports
from core.storage.models import Asset, AssetState
from core.storage.service import SealedStore
from core.terms.policy import Term
from core.webhooks.models import Event, WebhookDelivery

ACTOR = "retention"

EraseOne = Callable[[AsyncSession, SealedStore, UUID], Awaitable[bool]]
# Returns how many rows that changed.
EraseMany = Callable[[AsyncSession, Sequence[UUID]], Awaitable[int]]


async def erase_photo(session: AsyncSession, store: SealedStore, photo_id: UUID) -> bool:
    """Erase a photo, unless somebody holds it or was as fast."""
    query = select(Photo).where(Photo.id == photo_id, Photo.state != PhotoState.ERASED)
    photo = (await session.exec(query.with_for_update(skip_locked=True))).first()
    if photo is None:
        return False
    await photos.delete(session, store, photo, actor=ACTOR)
    return True


async def erase_headshot(session: AsyncSession, store: SealedStore, headshot_id: UUID) -> bool:
    """Erase a headshot, unless somebody holds it or was as fast."""
    query = select(Headshot).where(Headshot.id == headshot_id, Headshot.state != HeadshotState.ERASED)
    headshot = (await session.exec(query.with_for_update(skip_locked=True))).first()
    if headshot is None:
        return False
    await headshots.delete(session, store, headshot, actor=ACTOR)
    return True


async def erase_export(session: AsyncSession, store: SealedStore, asset_id: UUID) -> bool:
    """Erase the sealed file of an export, unless somebody holds it or was as fast."""
    query = select(Asset).where(Asset.id == asset_id, Asset.state == AssetState.STORED)
    asset = (await session.exec(query.with_for_update(skip_locked=True))).first()
    if asset is None:
        return False
    export = await exports.of_file(session, asset)
    if export is not None:
        await exports.delete(session, store, export, actor=ACTOR)
    else:
        await store.delete(session, asset)
    return True


async def empty_evidence(session: AsyncSession, consent_ids: Sequence[UUID]) -> int:
    """Take the sealed evidence away. The entries stay as they are: what was answered, to which notice, and when."""
    emptied = update(Consent).where(col(Consent.id).in_(consent_ids))
    return int((await session.exec(emptied.values(sealed_evidence=None, evidence_ended_at=None))).rowcount)


async def delete_jobs(session: AsyncSession, job_ids: Sequence[UUID]) -> int:
    """Delete ended jobs with the rows of their headshots, of which nothing but the ids is left."""
    await session.exec(delete(Headshot).where(col(Headshot.job_id).in_(job_ids)))
    return int((await session.exec(delete(Job).where(col(Job.id).in_(job_ids)))).rowcount)


async def delete_events(session: AsyncSession, event_ids: Sequence[UUID]) -> int:
    """Delete events and what is known of their deliveries."""
    await session.exec(delete(WebhookDelivery).where(col(WebhookDelivery.event_id).in_(event_ids)))
    return int((await session.exec(delete(Event).where(col(Event.id).in_(event_ids)))).rowcount)


async def unlink_leaves(session: AsyncSession, entry_ids: Sequence[UUID]) -> int:
    """Take salt and person from leaves. The leaf, its hash and its number stay, and so does every proof."""
    unlinked = update(AuditEntry).where(col(AuditEntry.id).in_(entry_ids))
    return int((await session.exec(unlinked.values(salt=None, subject_id=None, linked=None))).rowcount)


async def note(session: AsyncSession, *, tenant_id: UUID, term: Term, count: int) -> None:
    """A leaf that says how many records of a class went, under which policy."""
    await audit.append(
        session,
        tenant_id=tenant_id,
        kind="retention.erased",
        actor=ACTOR,
        facts={
            "class": term.data_class.value,
            "count": count,
            "term_seconds": term.seconds,
            "policy_version": term.version,
        },
    )
