"""Take an export in, from another platform or another deployment: all of it, or nothing.

    1. admit    the person is here, has consented here, and the tenant may begin something new
    2. check    the file is whole and signed by somebody whom this deployment trusts
    3. clean    each photo goes through the sandbox, like any upload
    4. keep     the photos, and the rest as sealed history, in one transaction

Consents never travel as grants: what was said to somebody else is history here, and says nothing of what is allowed.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import IntegrityError as DuplicateRow
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.consent.models import Action
from core.db import Database
from core.errors import IntakeBusy, LikenessError, NotFound, StateConflict
from core.ids import Prefix, new_id, public
from core.intake.clean import CleanPhoto, Intake
from core.keyring.service import Keyring
from core.photos import service as photos
from core.portability import trust, untrusted
from core.portability.contents import SOURCE
from core.portability.models import PersonImport
from core.portability.untrusted import Package
from core.storage.service import SealedStore
from core.subjects import access
from core.subjects import service as subjects
from core.tenants.service import Caller

AT_ONCE: Final = 2
FACTS: Final = ("format", "export", "tenant", "subject", "platform", "issuer", "created_at")


class Receiver:
    """Takes exports in, few at a time: each is held in memory while it is checked.

    anchors: issuer → the file with its published keys.
    """

    def __init__(self, database: Database, store: SealedStore, intake: Intake, *, anchors: Mapping[str, Path]) -> None:
        self._database = database
        self._store = store
        self._intake = intake
        self._anchors = anchors
        self._places = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place, to be taken before the bytes are read. Raises `IntakeBusy` while all are taken."""
        if self._places.locked():
            raise IntakeBusy("Other exports are being taken in at this moment.")
        async with self._places:
            yield

    async def admit(self, *, caller: Caller, subject_id: UUID) -> None:
        """Everything that can refuse an import before a byte of it is read: fresh consent, above all."""
        async with self._database.tenant(caller.tenant_id, mode=caller.mode) as session:
            await photos.admit(session, caller=caller, subject_id=subject_id, expires_after=None)

    async def check(self, data: bytes) -> tuple[Package, list[CleanPhoto]]:
        """The export, and its photos as the sandbox made them anew. Raises what is wrong with it."""
        keys = await trust.trusted_keys(self._store.keyring.signing, self._anchors)
        package = await asyncio.to_thread(untrusted.read, data, trust=partial(trust.require_trusted, keys=keys))
        clean = []
        for name in sorted(package.photos):
            try:
                clean.append(await self._intake.clean(package.photos[name]))
            except LikenessError as error:
                error.extra["entry"] = name  # which of the photos it is about; random ids name nobody
                raise
        return package, clean

    async def keep(
        self, session: AsyncSession, package: Package, clean: list[CleanPhoto], *, caller: Caller, subject_id: UUID
    ) -> PersonImport:
        """Keep what was checked. Raises `StateConflict` for an export that came in before."""
        await subjects.lock(session, subject_id, share=True)
        known = select(PersonImport).where(
            PersonImport.subject_id == subject_id, PersonImport.manifest_sha256 == package.manifest_sha256
        )
        if (before := (await session.exec(known)).first()) is not None:
            raise StateConflict("This export was taken in before.", import_id=public(Prefix.IMPORT, before.id))
        made = [
            await photos.accept(
                session, self._store, caller=caller, subject_id=subject_id, photo=photo, expires_after=None
            )
            for photo in clean
        ]
        row = await note(
            session,
            self._store.keyring,
            tenant_id=caller.tenant_id,
            subject_id=subject_id,
            package=package,
            photo_ids=[photo.id for photo in made],
        )
        await audit.append(
            session,
            tenant_id=caller.tenant_id,
            subject_id=subject_id,
            kind="subject.imported",
            actor=caller.actor,
            facts={"import": row.id.hex, "manifest": row.manifest_sha256, "photos": len(made)},
        )
        return row


async def note(
    session: AsyncSession,
    keyring: Keyring,
    *,
    tenant_id: UUID,
    subject_id: UUID,
    package: Package,
    photo_ids: list[UUID],
) -> PersonImport:
    """Write down what came, sealed under the person's key here."""
    sealer = await keyring.subject_sealer(tenant_id, subject_id)
    import_id = new_id()
    source = {name: package.manifest.get(name) for name in FACTS} | {"history": package.history}
    row = PersonImport(
        id=import_id,
        tenant_id=tenant_id,
        subject_id=subject_id,
        manifest_sha256=package.manifest_sha256,
        issuer=str(package.manifest.get("issuer")),
        key_id=package.key_id,
        sealed_source=sealer.seal_field(SOURCE + import_id.hex, json.dumps(source, ensure_ascii=False)),
        photos=[photo_id.hex for photo_id in photo_ids],
    )
    session.add(row)
    try:
        await session.flush()
    except DuplicateRow as error:  # the same export, at the same moment
        raise StateConflict("This export was taken in before.") from error
    return row


async def get(session: AsyncSession, import_id: UUID) -> PersonImport:
    """An import. Raises `NotFound`, which is also the answer once its person is erased, and the row with them."""
    found = await session.get(PersonImport, import_id)
    if found is None:
        raise NotFound
    await subjects.get(session, found.subject_id)
    return found


async def page(session: AsyncSession, subject_id: UUID, *, before: UUID | None, limit: int) -> list[PersonImport]:
    """A person's imports, newest first."""
    await subjects.get(session, subject_id)
    query = (
        select(PersonImport)
        .where(PersonImport.subject_id == subject_id)
        .order_by(col(PersonImport.id).desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(PersonImport.id < before)
    return list((await session.exec(query)).all())


async def read(
    database: Database, keyring: Keyring, row: PersonImport, *, actor: str, show_declined: bool
) -> dict[str, Any]:
    """Open the history that came with it; the opening is noted first. A no is shown to those who may see it alone."""
    async with database.tenant(row.tenant_id) as session:
        await access.note(
            session, subject_id=row.subject_id, what="import", resource_id=row.id, actor=actor, why="read"
        )
    sealer = await keyring.subject_sealer(row.tenant_id, row.subject_id)
    source: dict[str, Any] = json.loads(sealer.open_field(SOURCE + row.id.hex, row.sealed_source))
    consents = source["history"].get("consents", [])
    if not show_declined:
        source["history"]["consents"] = [one for one in consents if one.get("action") != Action.DECLINED]
    return source
