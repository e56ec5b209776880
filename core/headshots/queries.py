"""Read headshots, and delete one."""

from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.errors import Gone, NotFound
from core.headshots.models import Headshot, HeadshotState
from core.ids import Prefix, public
from core.provenance import service as authenticity
from core.storage.models import Asset, AssetState
from core.storage.service import SealedStore
from core.subjects import service as subjects
from core.terms import holds
from core.terms.policy import DataClass
from core.webhooks import service as webhooks


async def get(session: AsyncSession, headshot_id: UUID) -> Headshot:
    """A headshot. Raises `NotFound`, or `Gone` once it, or its person, is erased."""
    found = await session.get(Headshot, headshot_id)
    if found is None:
        raise NotFound
    await subjects.get(session, found.subject_id)
    if found.state == HeadshotState.ERASED:
        raise Gone
    return found


async def of_job(session: AsyncSession, job_id: UUID) -> list[Headshot]:
    """What a job made, in the order in which it was made; erased ones are among them, empty."""
    query = select(Headshot).where(Headshot.job_id == job_id).order_by(col(Headshot.id))
    return list((await session.exec(query)).all())


async def page(session: AsyncSession, subject_id: UUID, *, before: UUID | None, limit: int) -> list[Headshot]:
    """A person's headshots, newest first."""
    await subjects.get(session, subject_id)
    query = (
        select(Headshot)
        .where(Headshot.subject_id == subject_id, Headshot.state != HeadshotState.ERASED)
        .order_by(col(Headshot.id).desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(Headshot.id < before)
    return list((await session.exec(query)).all())


async def assets(session: AsyncSession, headshot: Headshot) -> list[Asset]:
    """The sealed pictures of a headshot."""
    ids = [UUID(hex=text) for text in headshot.assets.values()]
    query = select(Asset).where(col(Asset.id).in_(ids), Asset.state == AssetState.STORED).order_by(col(Asset.id))
    return list((await session.exec(query)).all())


async def delete(
    session: AsyncSession, store: SealedStore, headshot: Headshot, *, actor: str, whatever_holds: bool = False
) -> None:
    """Erase one headshot: the keys and objects of its pictures first, then what the row says of it.

    Raises `LegalHoldStands`. whatever_holds: as of a photo (`core.photos.service.delete`).
    """
    refused = headshot.state == HeadshotState.REFUSED
    if not whatever_holds:
        data_class = DataClass.REJECTED_OUTPUT if refused else DataClass.HEADSHOT
        await holds.require_none(session, headshot.subject_id, data_class)
    for asset in await assets(session, headshot):
        await store.delete(session, asset)
    await authenticity.forget(session, headshot.id)
    headshot.state = HeadshotState.ERASED.value
    headshot.erased_at = now()
    headshot.ledger = None
    headshot.likeness = None
    session.add(headshot)
    await audit.append(
        session,
        tenant_id=headshot.tenant_id,
        subject_id=headshot.subject_id,
        kind="headshot.erased",
        actor=actor,
        facts={"headshot": headshot.id.hex},
    )
    await webhooks.emit(
        session,
        tenant_id=headshot.tenant_id,
        type="asset.erased",
        resource_id=headshot.id,
        data={
            "headshot_id": public(Prefix.HEADSHOT, headshot.id),
            "subject_id": public(Prefix.SUBJECT, headshot.subject_id),
            "state": headshot.state,
        },
    )
