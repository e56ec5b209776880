"""The look at an upload, when a part of it is away."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Event

import pytest
from sqlmodel import select

from core.bootstrap import Parts
from core.errors import StorageUnavailable
from core.photos import service as photos
from core.photos.models import Photo, PhotoState
from core.rights import erase
from tests import scenes
from worker import look as look_of_worker
from worker.engine.engine import Engine
from worker.hands import Hands
from worker.hands import Studio as Room
from worker.hold import Drain
from worker.look import look
from worker.studio import pipeline


@pytest.fixture
async def hands(parts: Parts) -> AsyncIterator[Hands]:
    threads = ThreadPoolExecutor(1)
    yield Hands(name="a worker", parts=parts, drain=Drain(), studio=Room(engine=Engine(), threads=threads))
    threads.shutdown()


async def test_a_store_that_is_away_refuses_no_photo(
    hands: Hands, parts: Parts, portrait: bytes, tmp_path: Path
) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, data=portrait, state=None)
    folder, aside = tmp_path / "objects", tmp_path / "aside"
    folder.rename(aside)
    folder.touch()
    for _ in range(photos.MOST_CHECKS + 1):
        with pytest.raises(StorageUnavailable):
            await look(hands, tenant_id=platform.tenant_id, photo_id=photo_id)
    folder.unlink()
    aside.rename(folder)
    await look(hands, tenant_id=platform.tenant_id, photo_id=photo_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (await photos.get(session, photo_id)).state == PhotoState.READY


async def test_whoever_looks_holds_a_lease_for_as_long_as_the_look_takes(
    hands: Hands, parts: Parts, portrait: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, data=portrait, state=None)
    may_look, examine = Event(), pipeline.examine

    def slowly(pixels: bytes) -> object:
        may_look.wait(20)
        return examine(pixels)

    async def lease() -> datetime | None:
        async with parts.database.tenant(platform.tenant_id) as session:
            return (await session.exec(select(Photo.looked_at_until).where(Photo.id == photo_id))).one()

    async def beaten() -> bool:
        until = await lease()
        return until is not None and first is not None and until > first

    monkeypatch.setattr(pipeline, "examine", slowly)
    monkeypatch.setattr(look_of_worker, "BEAT_SECONDS", 0.1)
    looking = asyncio.create_task(look(hands, tenant_id=platform.tenant_id, photo_id=photo_id))
    await scenes.eventually(lease)
    first = await lease()
    assert first is not None
    await scenes.eventually(beaten)
    # Nobody else looks at it meanwhile, and whoever is to say that nobody has it, sees.
    async with parts.database.tenant(platform.tenant_id) as session:
        assert await photos.begin_check(session, photo_id) is None
        assert await photos.held_by_look(session, subject_id)
        # Erased while it is in memory: it still is, so the lease goes on.
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    first = await lease()
    assert first is not None
    await scenes.eventually(beaten)
    may_look.set()
    await looking
    assert await lease() is None
