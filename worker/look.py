"""The look at an upload: is there one face, and can a headshot be made of it?"""

import asyncio
import logging
from functools import partial
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from core.errors import Gone, Unavailable
from core.photos import service as photos
from core.photos.models import PhotoState
from core.storage.models import Asset
from core.subjects import access
from worker.hands import Hands
from worker.studio import pipeline

logger = logging.getLogger("likeness.worker")

BEAT_SECONDS = 5.0


async def look(hands: Hands, *, tenant_id: UUID, photo_id: UUID) -> None:
    """Open a photo in memory, look, and put the verdict on it.

    The look is counted before it begins (`begin_check`), so a photo that kills its worker is refused in the end, and
    the sweep sends another token for one whose look was lost. While it lasts it holds a lease, for which the
    certificate of an erasure waits.
    """
    database = hands.parts.database
    async with database.tenant(tenant_id) as session:
        photo = await photos.begin_check(session, photo_id)
        if photo is None:
            return
        asset = await photos.asset_of(session, photo)
    beats = asyncio.create_task(_beat(hands, tenant_id=tenant_id, photo_id=photo_id))
    try:
        await _look(hands, asset, tenant_id=tenant_id, photo_id=photo_id)
    except Gone:
        pass  # erased since
    except (Unavailable, asyncio.CancelledError) as error:
        # A part is away, or this worker leaves: the photo is not to blame, and the sweep sends another token.
        async with database.tenant(tenant_id) as session:
            await photos.undo_check(session, photo_id)
            if isinstance(error, Unavailable):
                await photos.let_go(session, photo_id)
        raise  # the thread of one that leaves may look on for a moment: its lease runs out by itself
    except Exception:
        await _let_go(hands, beats, tenant_id=tenant_id, photo_id=photo_id)
        raise
    finally:
        beats.cancel()
    await _let_go(hands, beats, tenant_id=tenant_id, photo_id=photo_id)


async def _let_go(hands: Hands, beats: asyncio.Task[None], *, tenant_id: UUID, photo_id: UUID) -> None:
    beats.cancel()
    await asyncio.wait((beats,))
    async with hands.parts.database.tenant(tenant_id) as session:
        await photos.let_go(session, photo_id)


async def _beat(hands: Hands, *, tenant_id: UUID, photo_id: UUID) -> None:
    """Hold the photo's lease until it is cancelled, so that no certificate says that nobody has it in memory."""
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        try:
            async with hands.parts.database.tenant(tenant_id) as session:
                await photos.hold_on(session, photo_id)
        except (SQLAlchemyError, OSError, Unavailable) as error:
            logger.warning("a look could not be held for now", extra={"error_type": type(error).__name__})


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
