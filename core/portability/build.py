"""Build an export: everything that is held of a person, in one sealed file.

    1. log       leaves that wait for a number get it, so that each has a proof to take along
    2. claim     one builder at a time; what will be opened is noted for the person to read, before it is opened
    3. stream    pictures, data, the page to look at, the signed manifest: written, zipped and sealed as they are read
    4. keep      with the person's row held: the file becomes real if fence and person still stand, or never

It may be killed anywhere: the sweep takes it up, and it begins again with 2, since a sealed file cannot be gone on
with. What a lost try had sealed is ciphertext whose key was never committed. Memory holds a block of it at a time, and
the rows of one page.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.consent.models import Consent
from core.db import Database
from core.errors import Gone, Unavailable
from core.headshots.models import Headshot, HeadshotState
from core.photos.models import Photo, PhotoState
from core.portability.contents import headshot_path, photo_path
from core.portability.models import PersonImport
from core.portability.stream import Chapters
from core.portability.writing import Picture, Writing
from core.rights import checkpoints, exports
from core.rights.models import ExportState, PersonExport, RightsRequest
from core.storage.models import Asset, AssetState
from core.storage.service import SealedStore
from core.subjects import access
from core.subjects import service as subjects
from core.terms import policy as terms
from core.terms.policy import DataClass

logger = logging.getLogger("likeness.portability")

# A builder says this often that it lives, and is given up after the other.
BEAT_SECONDS: Final = 2.0
LEASE: Final = timedelta(seconds=30)
MOST_TRIES: Final = 5
REST: Final = timedelta(seconds=10)


class Lost(Exception):
    """Somebody else builds it, or nobody should any more: what was made is not kept."""


@dataclass(frozen=True)
class Claim:
    """The right to build one export. attempt: the fence."""

    export: PersonExport
    attempt: int
    pictures: tuple[Picture, ...]


async def build(
    database: Database, store: SealedStore, *, tenant_id: UUID, export_id: UUID, root: str
) -> PersonExport | None:
    """Build it and return it, ready. None: there is nothing to do, somebody else is at it, or it is not wanted.

    root: the public address of this service. Raises what stopped it, having noted that; the sweep tries again.
    """
    # 1. Log.
    await checkpoints.sequence(database, store.keyring, tenant_id=tenant_id)
    # 2. Claim.
    async with database.tenant(tenant_id) as session:
        claim = await _claim(session, export_id)
    if claim is None:
        return None
    try:
        return await _build(database, store, claim, root=root)
    except (Gone, Lost):
        # The person is erased, whose certificate waits for this, or the request denied, or another builder was faster.
        await _let_go(database, claim, rest=timedelta(0))
        return None
    except asyncio.CancelledError:
        await asyncio.shield(_let_go(database, claim, rest=timedelta(0)))
        raise
    except Unavailable:
        await _let_go(database, claim, rest=REST)  # no fault of the export's
        raise
    except Exception:
        await _count_failure(database, claim)
        raise


async def _claim(session: AsyncSession, export_id: UUID) -> Claim | None:
    try:
        export = await exports.get(session, export_id)
        subject = await subjects.lock(session, export.subject_id, share=True)
    except Gone:
        await _give_up(session, export_id)
        return None
    held = select(PersonExport).where(PersonExport.id == export_id).with_for_update()
    export = (await session.exec(held.execution_options(populate_existing=True))).one()
    if export.state != ExportState.PREPARING or export.next_at > now():
        return None
    export.attempt += 1
    export.next_at = now() + LEASE
    export.written = 0
    pictures = await _pictures(session, subject.id)
    export.entries = len(pictures) + Chapters.COUNT
    session.add(export)
    await _note(session, export, pictures)
    return Claim(export=export, attempt=export.attempt, pictures=pictures)


async def _pictures(session: AsyncSession, subject_id: UUID) -> tuple[Picture, ...]:
    """Every picture of the person that still stands, and the name that it gets."""
    photos = select(Photo).where(Photo.subject_id == subject_id, Photo.state != PhotoState.ERASED)
    headshots = select(Headshot).where(Headshot.subject_id == subject_id, Headshot.state == HeadshotState.DONE)
    standing = select(Asset).where(Asset.subject_id == subject_id, Asset.state == AssetState.STORED)
    assets = {one.id.hex: one for one in (await session.exec(standing)).all() if not _is_over(one.expires_at)}
    found = [
        Picture(asset, photo_path(photo.id, asset.media_type))
        for photo in (await session.exec(photos.order_by(col(Photo.id)))).all()
        if (asset := assets.get(photo.asset_id.hex)) is not None
    ]
    found += [
        Picture(asset, headshot_path(headshot, variant, asset.media_type))
        for headshot in (await session.exec(headshots.order_by(col(Headshot.id)))).all()
        for variant, asset_hex in sorted(headshot.assets.items())
        if (asset := assets.get(asset_hex)) is not None
    ]
    return tuple(found)


def _is_over(expires_at: datetime | None) -> bool:
    return expires_at is not None and expires_at <= now()


async def _note(session: AsyncSession, export: PersonExport, pictures: tuple[Picture, ...]) -> None:
    opened = [(one.asset.kind, one.asset.id) for one in pictures]
    opened.append(("identity", export.subject_id))
    words = select(RightsRequest.id).where(
        RightsRequest.subject_id == export.subject_id,
        col(RightsRequest.sealed_details).is_not(None) | col(RightsRequest.sealed_reason).is_not(None),
    )
    evidence = select(Consent.id).where(
        Consent.subject_id == export.subject_id, col(Consent.sealed_evidence).is_not(None)
    )
    came = select(PersonImport.id).where(PersonImport.subject_id == export.subject_id)
    for what, query in (("rights_request", words), ("consent", evidence), ("import", came)):
        opened += [(what, row_id) for row_id in (await session.exec(query)).all()]
    for what, resource_id in opened:
        await access.note(
            session,
            subject_id=export.subject_id,
            what=what,
            resource_id=resource_id,
            actor=f"export:{export.id.hex}",
            why="export",
        )


async def _build(database: Database, store: SealedStore, claim: Claim, *, root: str) -> PersonExport:
    export = claim.export
    writing = Writing(
        database=database,
        store=store,
        export=export,
        pictures=claim.pictures,
        root=root,
        signing_key=await store.keyring.signing.active(),
        at=now(),
    )
    file: Asset | None = None
    try:
        async with database.tenant(export.tenant_id) as session:
            # 3. Stream. This session begins nothing before the file is down.
            file = await store.write(
                session,
                tenant_id=export.tenant_id,
                subject_id=export.subject_id,
                kind="export",
                data=_with_beats(database, claim, Chapters(writing)),
                media_type="application/zip",
                width=0,
                height=0,
            )
            # 4. Keep.
            return await _keep(session, claim, file)
    except BaseException:
        if file is not None:  # nothing was committed, so nothing names the object
            with suppress(Unavailable):
                await store.objects.delete_all_versions(file.object_name)
        raise


async def _with_beats(database: Database, claim: Claim, chapters: Chapters) -> AsyncIterator[bytes]:
    """The file, and every two seconds a sign of life. Raises `Lost` and `Gone` as soon as it is not wanted."""
    last = time.monotonic()
    async for block in chapters.blocks():
        yield block
        if time.monotonic() - last > BEAT_SECONDS:
            await beat(database, claim, written=chapters.written)
            last = time.monotonic()


async def beat(database: Database, claim: Claim, *, written: int) -> None:
    """Say that the builder lives, and how far it is. Raises `Gone` for a person who was erased, and `Lost`."""
    async with database.tenant(claim.export.tenant_id) as session:
        await subjects.get(session, claim.export.subject_id)
        await _update(session, claim, next_at=now() + LEASE, written=written)


async def _update(session: AsyncSession, claim: Claim, **values: object) -> None:
    ours = (
        update(PersonExport)
        .where(
            col(PersonExport.id) == claim.export.id,
            col(PersonExport.attempt) == claim.attempt,
            col(PersonExport.state) == ExportState.PREPARING,
        )
        .values(**values)
    )
    if (await session.exec(ours)).rowcount == 0:
        raise Lost


async def _keep(session: AsyncSession, claim: Claim, file: Asset) -> PersonExport:
    await subjects.lock(session, claim.export.subject_id, share=True)
    held = select(PersonExport).where(PersonExport.id == claim.export.id).with_for_update()
    export = (await session.exec(held.execution_options(populate_existing=True))).one()
    if export.state != ExportState.PREPARING or export.attempt != claim.attempt:
        raise Lost
    export.state = ExportState.READY.value
    export.asset_id = file.id
    export.written = export.entries
    export.ready_at = now()
    term = await terms.term(session, export.tenant_id, DataClass.EXPORT)
    export.expires_at = file.expires_at = export.ready_at + term
    session.add_all((export, file))
    await session.flush()
    await exports.record(session, export, "ready", actor=f"export:{export.id.hex}")
    await exports.tell(session, export, "export.ready")
    return export


async def _give_up(session: AsyncSession, export_id: UUID) -> None:
    """An erased person's export is not built any more, and nobody needs to be told."""
    export = await session.get_one(PersonExport, export_id, with_for_update=True)
    if export.state == ExportState.PREPARING:
        export.state, export.reason_code = ExportState.FAILED.value, "erased"
        session.add(export)


async def _let_go(database: Database, claim: Claim, *, rest: timedelta) -> None:
    with suppress(Lost):
        async with database.tenant(claim.export.tenant_id) as session:
            await _update(session, claim, next_at=now() + rest)


async def _count_failure(database: Database, claim: Claim) -> None:
    async with database.tenant(claim.export.tenant_id) as session:
        export = await session.get_one(PersonExport, claim.export.id, with_for_update=True)
        if export.state != ExportState.PREPARING or export.attempt != claim.attempt:
            return
        export.failures += 1
        export.next_at = now() + REST * 2**export.failures
        session.add(export)
        if export.failures >= MOST_TRIES:
            await exports.fail(session, export, reason="internal_error")
            logger.error("an export was given up", extra={"attempts": export.attempt})
