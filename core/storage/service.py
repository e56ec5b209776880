"""Sealed objects and their rows: the only way that a picture reaches a disk, or comes back from one.

Invariants of this file:
- Clear bytes are in memory alone, block by block; nothing writes them anywhere.
- The object goes first, the row after it, so that a crash leaves at most an object that no row names. The reaper
  finds it; meanwhile its key is nowhere, and it is noise.
- On erasure, too, the object goes first, so that a row that says `erased` tells the truth. Before it goes, the
  tombstone ledger knows of it, so that no restore brings it back.
"""

import logging
from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.db import Database
from core.errors import Gone
from core.ids import new_id
from core.keyring.context import Context
from core.keyring.sealing import open_all, open_stream, seal_stream
from core.keyring.service import Keyring
from core.storage.models import Asset, AssetKind, AssetState
from core.storage.store import STAGING, Objects
from core.storage.tombstones import Kind, remember

logger = logging.getLogger("likeness.storage")


class SealedStore:
    """Writes, opens and deletes sealed objects."""

    def __init__(self, objects: Objects, keyring: Keyring) -> None:
        self.objects = objects
        self.keyring = keyring

    async def write(  # noqa: PLR0913 (an asset is described by that many facts)
        self,
        session: AsyncSession,
        *,
        tenant_id: UUID,
        subject_id: UUID,
        kind: str,
        data: AsyncIterator[bytes] | bytes,
        media_type: str,
        width: int,
        height: int,
        variant: str | None = None,
        expires_at: datetime | None = None,
    ) -> Asset:
        """Seal `data` into a new object and add its row to the caller's tenant session.

        width, height: pixels. Raises Gone for a shredded subject, KeyProviderUnavailable, StorageUnavailable.
        """
        asset_id = new_id()
        context = Context(tenant_id, AssetKind(kind).value, subject=subject_id, object_id=asset_id)
        sealer = await self.keyring.subject_sealer(tenant_id, subject_id)
        key, wrapped = sealer.new_object_key(context)
        object_name = f"{tenant_id.hex}/{uuid4().hex}"
        clear = _Counted(data)
        await self.objects.put_stream(object_name, seal_stream(key, context, clear.chunks()))
        asset = Asset(
            id=asset_id,
            tenant_id=tenant_id,
            subject_id=subject_id,
            kind=kind,
            object_name=object_name,
            wrapped_key=wrapped,
            media_type=media_type,
            variant=variant,
            width=width,
            height=height,
            plain_bytes=clear.count,
            expires_at=expires_at,
        )
        session.add(asset)
        await session.flush()
        return asset

    async def open(self, asset: Asset) -> AsyncIterator[bytes]:
        """The clear bytes as a stream of verified blocks.

        Raises Gone for what was erased or whose subject was shredded, KeyProviderUnavailable and StorageUnavailable,
        all before the first block where they can be known. The stream itself raises `SealBroken` when it finds the
        object altered or cut, however late: then everything that it gave must be thrown away.
        """
        key, context = await self._key(asset)
        return open_stream(key, context, await self.objects.get_stream(asset.object_name))

    async def read(self, asset: Asset) -> bytes:
        """All the clear bytes, given out only once the last chunk was verified. Raises as `open` and its stream do."""
        key, context = await self._key(asset)
        return await open_all(key, context, await self.objects.get_stream(asset.object_name))

    async def seal_for_row(self, tenant_id: UUID, name: str, data: bytes) -> bytes:
        """Something small of a platform as a whole, sealed under its keys, to be kept in a row rather than an object.

        name: what it is, bound into the seal.
        """
        return await self.keyring.seal_secret(tenant_id, name, data)

    async def open_from_row(self, tenant_id: UUID, name: str, sealed: bytes) -> bytes:
        """What `seal_for_row` sealed under the same name. Raises `core.keyring.sealing.SealBroken`."""
        return await self.keyring.open_secret(tenant_id, name, sealed)

    async def delete(self, session: AsyncSession, asset: Asset, *, with_person: bool = False) -> None:
        """Delete the object, then its key, and say so in the row. Safe to repeat. Raises StorageUnavailable.

        with_person: the whole person is being erased, whose own entry in the tombstone ledger covers the asset.
        """
        if not with_person:
            await remember(session, Kind.ASSET, tenant_id=asset.tenant_id, id=asset.id)
        await self.objects.delete_all_versions(asset.object_name)
        if asset.state == AssetState.ERASED:
            return
        asset.state = AssetState.ERASED.value
        asset.wrapped_key = None
        asset.erased_at = now()
        session.add(asset)
        await session.flush()

    async def reap_orphans(self, database: Database, *, older_than: datetime) -> int:
        """Delete the objects that no stored asset names; returns how many.

        older_than: so long ago that whoever wrote the object has committed its row or died; an hour is plenty.
        Each tenant's names are looked up in that tenant's own session, where all its rows are visible. The folder of
        a tenant that this database does not know is left alone: then either the bucket or the database is the wrong
        one, and what looks like an orphan may be somebody's only copy.
        """
        reaped = 0
        async for names in self.objects.list_older_than(older_than):
            by_folder: dict[str, set[str]] = {}
            for name in names:
                by_folder.setdefault(name.partition("/")[0], set()).add(name)
            for folder, candidates in by_folder.items():
                orphans = candidates - await _needed(database, folder, candidates)
                for name in orphans:
                    await self.objects.delete_all_versions(name)
                reaped += len(orphans)
        return reaped

    async def _key(self, asset: Asset) -> tuple[bytes, Context]:
        if asset.state != AssetState.STORED or asset.wrapped_key is None:
            raise Gone
        context = Context(
            asset.tenant_id, asset.kind, subject=asset.subject_id, object_id=asset.id, version=asset.version
        )
        sealer = await self.keyring.subject_sealer(asset.tenant_id, asset.subject_id)
        return sealer.open_object_key(asset.wrapped_key, context), context


class _Counted:
    """The data as a stream, counted as it goes by."""

    def __init__(self, data: AsyncIterator[bytes] | bytes) -> None:
        self._data = data
        self.count = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        if isinstance(self._data, bytes):
            self.count = len(self._data)
            yield self._data
            return
        async for chunk in self._data:
            self.count += len(chunk)
            yield chunk


async def _needed(database: Database, folder: str, names: set[str]) -> set[str]:
    """Which of the names in one tenant's folder must stay: those that a stored asset of that tenant has.

    All of them, where this database does not know the tenant.
    """
    if folder == STAGING:
        return set()
    try:
        tenant_id = UUID(hex=folder)
    except ValueError:
        return names  # not ours: leave it alone
    async with database.tenant(tenant_id) as session:
        # Plain SQL, because tenants are above storage.
        known = text("SELECT 1 FROM tenant WHERE id = :tenant").bindparams(tenant=tenant_id)
        if (await (await session.connection()).execute(known)).first() is None:
            logger.warning("objects of a tenant unknown here were left alone", extra={"count": len(names)})
            return names
        query = select(Asset.object_name).where(
            col(Asset.object_name).in_(names), col(Asset.state) == AssetState.STORED.value
        )
        return set((await session.exec(query)).all())
