"""Delete what has reached its day. Each asset is a transaction of its own, so a sweep may die at any point."""

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import tuple_
from sqlmodel import col, select

from core.clock import now
from core.db import Database
from core.headshots import queries as headshots
from core.headshots.models import Headshot, HeadshotState
from core.photos import service as photos
from core.photos.models import Photo, PhotoState
from core.storage.service import SealedStore

logger = logging.getLogger("likeness.retention")

ACTOR = "retention"


async def erase_expired(database: Database, store: SealedStore, *, limit: int = 100) -> int:
    """Erase photos and headshots past `expires_at`, oldest first. How many were erased.

    One that cannot be erased now is logged and passed over, so that it holds up nobody else's; it comes round again.
    """
    erased = 0
    for table, erase in ((Photo, _erase_photo), (Headshot, _erase_headshot)):
        after: tuple[datetime, UUID] | None = None
        while page := await _expired(database, table, after=after, limit=limit):
            for expires_at, tenant_id, row_id in page:
                after = (expires_at, row_id)
                try:
                    await erase(database, store, tenant_id, row_id)
                except Exception as error:
                    facts = {"tenant": tenant_id.hex, "error_type": type(error).__name__}
                    logger.exception("an expired asset could not be erased", extra=facts)
                else:
                    erased += 1
    return erased


async def _expired(
    database: Database, table: type[Photo] | type[Headshot], *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[tuple[datetime, UUID, UUID]]:
    """A page of what has reached its day: (expiry, tenant, id) in order, behind `after`."""
    query = select(table.expires_at, table.tenant_id, table.id).where(
        table.state != "erased", table.expires_at <= now()
    )
    if after is not None:
        query = query.where(tuple_(col(table.expires_at), col(table.id)) > after)
    async with database.system() as session:
        return (await session.exec(query.order_by(col(table.expires_at), col(table.id)).limit(limit))).all()


async def _erase_photo(database: Database, store: SealedStore, tenant_id: UUID, photo_id: UUID) -> None:
    async with database.tenant(tenant_id) as session:
        held = select(Photo).where(Photo.id == photo_id, Photo.state != PhotoState.ERASED)
        photo = (await session.exec(held.with_for_update(skip_locked=True))).first()
        if photo is not None:
            await photos.delete(session, store, photo, actor=ACTOR)


async def _erase_headshot(database: Database, store: SealedStore, tenant_id: UUID, headshot_id: UUID) -> None:
    async with database.tenant(tenant_id) as session:
        held = select(Headshot).where(Headshot.id == headshot_id, Headshot.state != HeadshotState.ERASED)
        headshot = (await session.exec(held.with_for_update(skip_locked=True))).first()
        if headshot is not None:
            await headshots.delete(session, store, headshot, actor=ACTOR)
