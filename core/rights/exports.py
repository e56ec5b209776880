"""Exports: the row of each, from the request that it answers to the day on which its file goes.

`core.portability` builds the file. A restriction, an objection, a withdrawn consent or a suspended tenant stops no
export: it is the person's own right to have it (GDPR Art. 15, 18(2), 20). A denial, or word that it was not the person
who asked, takes it back. An erasure takes it like any other asset.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.errors import Gone, NotFound, StateConflict
from core.ids import Prefix, public
from core.queue import Task, wake_after_commit
from core.rights.models import ExportState, PersonExport, RightsRequest
from core.storage.models import Asset
from core.storage.service import SealedStore
from core.subjects import service as subjects
from core.webhooks import service as webhooks

LIVING: Final = (ExportState.PREPARING.value, ExportState.READY.value)


async def begin(session: AsyncSession, request: RightsRequest, *, actor: str) -> PersonExport:
    """Begin the export of a request, or return the one that lives. The caller holds the person's row."""
    unended = col(PersonExport.expires_at).is_(None) | (col(PersonExport.expires_at) > now())
    living = select(PersonExport).where(
        PersonExport.request_id == request.id, col(PersonExport.state).in_(LIVING), unended
    )
    known = (await session.exec(living)).first()
    if known is not None:
        return known
    export = PersonExport(tenant_id=request.tenant_id, subject_id=request.subject_id, request_id=request.id)
    session.add(export)
    await session.flush()
    await record(session, export, "begun", actor=actor)
    wake_after_commit(session, Task.EXPORT, export.tenant_id, export.id)
    return export


async def get(session: AsyncSession, export_id: UUID) -> PersonExport:
    """An export. Raises `NotFound`, or `Gone` once its person is erased."""
    found = await session.get(PersonExport, export_id)
    if found is None:
        raise NotFound
    await subjects.get(session, found.subject_id)
    return found


async def of_request(session: AsyncSession, request_id: UUID) -> PersonExport | None:
    """The newest export of a request."""
    query = select(PersonExport).where(PersonExport.request_id == request_id).order_by(col(PersonExport.id).desc())
    return (await session.exec(query.limit(1))).first()


async def page(session: AsyncSession, subject_id: UUID, *, before: UUID | None, limit: int) -> list[PersonExport]:
    """A person's exports, newest first."""
    await subjects.get(session, subject_id)
    query = (
        select(PersonExport)
        .where(PersonExport.subject_id == subject_id)
        .order_by(col(PersonExport.id).desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(PersonExport.id < before)
    return list((await session.exec(query)).all())


async def file_of(session: AsyncSession, export: PersonExport) -> Asset:
    """The sealed file. Raises `StateConflict` while, or because, there is none, and `Gone` once its term is over."""
    if state_of(export) == ExportState.EXPIRED:
        raise Gone("The term of this export is over. Ask for a new one.")
    if export.state != ExportState.READY:
        raise StateConflict(f"This export is {export.state}.", state=export.state)
    found = await session.get(Asset, export.asset_id)
    if found is None:
        raise NotFound
    return found


async def of_file(session: AsyncSession, file: Asset) -> PersonExport | None:
    """The export whose file this is, held; None for another asset, or once the export's row says that it is gone."""
    query = select(PersonExport).where(
        PersonExport.subject_id == file.subject_id,
        PersonExport.asset_id == file.id,
        PersonExport.state == ExportState.READY,
    )
    return (await session.exec(query.with_for_update())).first()


def state_of(export: PersonExport) -> ExportState:
    """Where it stands now: a file whose term is over is not handed out, though the sweep may not have come by yet."""
    over = export.state == ExportState.READY and export.expires_at is not None and export.expires_at <= now()
    return ExportState.EXPIRED if over else ExportState(export.state)


async def take_back(session: AsyncSession, request_id: UUID, *, reason: str) -> None:
    """End the export of a request: what is being built is not kept, and a file ends now and is swept away."""
    query = select(PersonExport).where(PersonExport.request_id == request_id, col(PersonExport.state).in_(LIVING))
    export = (await session.exec(query.with_for_update().execution_options(populate_existing=True))).first()
    if export is None:
        return
    if export.state == ExportState.PREPARING:
        await fail(session, export, reason=reason)
        return
    export.expires_at = now()
    session.add(export)
    file = await session.get(Asset, export.asset_id)
    if file is not None:
        file.expires_at = export.expires_at
        session.add(file)


async def fail(session: AsyncSession, export: PersonExport, *, reason: str) -> None:
    """Say that there is no file, and why. The caller holds the row."""
    export.state = ExportState.FAILED.value
    export.reason_code = reason
    session.add(export)
    await session.flush()
    await tell(session, export, "export.failed")


async def delete(session: AsyncSession, store: SealedStore, export: PersonExport, *, actor: str) -> None:
    """Erase the file of an export whose term is over: its object and key first, then the row says so."""
    file = await session.get(Asset, export.asset_id)
    if file is not None:
        await store.delete(session, file)
    export.state = ExportState.EXPIRED.value
    export.erased_at = now()
    session.add(export)
    await session.flush()
    await record(session, export, "erased", actor=actor)
    await tell(session, export, "asset.erased")


async def unfinished(session: AsyncSession, *, limit: int) -> Sequence[tuple[UUID, UUID]]:
    """Exports that nobody builds at present, as (tenant, export). In a system session."""
    query = (
        select(PersonExport.tenant_id, PersonExport.id)
        .where(PersonExport.state == ExportState.PREPARING, PersonExport.next_at <= now())
        .order_by(col(PersonExport.next_at))
        .limit(limit)
    )
    return [(tenant_id, export_id) for tenant_id, export_id in (await session.exec(query)).all()]


async def held_by_builder(session: AsyncSession, subject_id: UUID | None = None) -> bool:
    """Whether a builder may have clear pictures in memory; of one person, or of anybody of the session's tenant."""
    query = select(PersonExport.id).where(
        PersonExport.state == ExportState.PREPARING, PersonExport.attempt > 0, PersonExport.next_at > now()
    )
    if subject_id is not None:
        query = query.where(PersonExport.subject_id == subject_id)
    return (await session.exec(query.limit(1))).first() is not None


async def record(session: AsyncSession, export: PersonExport, what: str, *, actor: str) -> None:
    """Add a leaf about an export."""
    await audit.append(
        session,
        tenant_id=export.tenant_id,
        subject_id=export.subject_id,
        kind=f"export.{what}",
        actor=actor,
        facts={"export": export.id.hex, "request": export.request_id.hex},
    )


async def tell(session: AsyncSession, export: PersonExport, type: str) -> None:  # noqa: A002 (the event's own name)
    """Send an event about an export: ids, states and times alone."""
    await webhooks.emit(
        session,
        tenant_id=export.tenant_id,
        type=type,
        resource_id=export.id,
        data={
            "export_id": public(Prefix.EXPORT, export.id),
            "rights_request_id": public(Prefix.RIGHTS_REQUEST, export.request_id),
            "subject_id": public(Prefix.SUBJECT, export.subject_id),
            "state": export.state,
            "expires_at": None if export.expires_at is None else export.expires_at.isoformat(),
        },
    )
