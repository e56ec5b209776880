"""Delete what has reached its day. Each asset is a transaction of its own, so a sweep may die at any point."""

from uuid import UUID

from sqlmodel import col, select

from core.clock import now
from core.db import Database
from core.headshots import queries as headshots
from core.headshots.models import Headshot, HeadshotState
from core.photos import service as photos
from core.photos.models import Photo, PhotoState
from core.storage.service import SealedStore

ACTOR = "retention"


async def erase_expired(database: Database, store: SealedStore, *, limit: int = 100) -> int:
    """Erase photos and headshots past `expires_at`, oldest first. How many there were."""
    async with database.system() as session:
        old_photos = (
            select(Photo.tenant_id, Photo.id)
            .where(Photo.state != PhotoState.ERASED, Photo.expires_at <= now())
            .order_by(col(Photo.expires_at))
            .limit(limit)
        )
        expired_photos = (await session.exec(old_photos)).all()
        old_headshots = (
            select(Headshot.tenant_id, Headshot.id)
            .where(Headshot.state != HeadshotState.ERASED, Headshot.expires_at <= now())
            .order_by(col(Headshot.expires_at))
            .limit(limit)
        )
        expired_headshots = (await session.exec(old_headshots)).all()
    for tenant_id, photo_id in expired_photos:
        await _erase_photo(database, store, tenant_id=tenant_id, photo_id=photo_id)
    for tenant_id, headshot_id in expired_headshots:
        await _erase_headshot(database, store, tenant_id=tenant_id, headshot_id=headshot_id)
    return len(expired_photos) + len(expired_headshots)


async def _erase_photo(database: Database, store: SealedStore, *, tenant_id: UUID, photo_id: UUID) -> None:
    async with database.tenant(tenant_id) as session:
        held = select(Photo).where(Photo.id == photo_id, Photo.state != PhotoState.ERASED)
        photo = (await session.exec(held.with_for_update(skip_locked=True))).first()
        if photo is not None:
            await photos.delete(session, store, photo, actor=ACTOR)


async def _erase_headshot(database: Database, store: SealedStore, *, tenant_id: UUID, headshot_id: UUID) -> None:
    async with database.tenant(tenant_id) as session:
        held = select(Headshot).where(Headshot.id == headshot_id, Headshot.state != HeadshotState.ERASED)
        headshot = (await session.exec(held.with_for_update(skip_locked=True))).first()
        if headshot is not None:
            await headshots.delete(session, store, headshot, actor=ACTOR)
