"""The look at an upload, when a part of it is away."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.bootstrap import Parts
from core.errors import StorageUnavailable
from core.photos import service as photos
from core.photos.models import PhotoState
from tests import scenes
from worker.engine.engine import Engine
from worker.hands import Hands
from worker.hands import Studio as Room
from worker.hold import Drain
from worker.look import look


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
