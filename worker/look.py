"""The look at an upload: is there one face, and can a headshot be made of it?"""

import asyncio
import logging
from functools import partial
from uuid import UUID

from core.errors import Gone, Unavailable
from core.photos import service as photos
from core.photos.models import PhotoState
from core.storage.models import Asset
from core.subjects import access
from worker.hands import Hands
from worker.studio import pipeline

logger = logging.getLogger("likeness.worker")


async def look(hands: Hands, *, tenant_id: UUID, photo_id: UUID) -> None:
    """Open a photo in memory, look, and put the verdict on it.

    The look is counted before it begins (`begin_check`), so a photo that kills its worker is refused in the end, and
    the sweep sends another token for one whose look was lost.
    """
    database = hands.parts.database
    async with database.tenant(tenant_id) as session:
        photo = await photos.begin_check(session, photo_id)
        if photo is None:
            return
        asset = await photos.asset_of(session, photo)
    try:
        await _look(hands, asset, tenant_id=tenant_id, photo_id=photo_id)
    except Gone:
        return  # erased since
    except (Unavailable, asyncio.CancelledError):
        # A part is away, or this worker leaves: the photo is not to blame, and the sweep sends another token.
        async with database.tenant(tenant_id) as session:
            await photos.undo_check(session, photo_id)
        raise


async def _look(hands: Hands, asset: Asset, *, tenant_id: UUID, photo_id: UUID) -> None:
    database = hands.parts.database
    async with database.tenant(tenant_id) as session:
        await access.note(
            session,
            subject_id=asset.subject_id,
            what=asset.kind,
            resource_id=asset.id,
            actor=hands.name,
            why="face_check",
        )
    pixels = await hands.parts.store.read(asset)
    report = await hands.in_studio.run(partial(pipeline.examine, pixels))
    async with database.tenant(tenant_id) as session:
        await photos.record_verdict(session, photo_id, verdict=PhotoState(report.verdict.value), report=report.public())
