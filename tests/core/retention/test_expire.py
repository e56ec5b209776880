"""Deleting what has reached its day."""

from datetime import timedelta
from pathlib import Path

import pytest

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import Gone
from core.headshots import queries
from core.photos import service as photos
from core.retention.expire import erase_expired
from tests.queueing import Studio


async def test_what_has_reached_its_day_is_erased_and_what_has_not_stays(parts: Parts) -> None:
    studio = await Studio.open(parts)
    await studio.submit()
    await studio.complete(await studio.claim())
    (headshot,) = await studio.headshots()
    assert await erase_expired(parts.database, parts.store) == 0
    with frozen_at(now() + timedelta(days=8)):  # photos are kept for 7 days, headshots for 30
        assert await erase_expired(parts.database, parts.store) == 1
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        with pytest.raises(Gone):
            await photos.get(session, studio.photo_id)
        assert (await queries.get(session, headshot.id)).id == headshot.id
    with frozen_at(now() + timedelta(days=31)):
        assert await erase_expired(parts.database, parts.store) == 1
        assert await erase_expired(parts.database, parts.store) == 0
    assert await studio.objects() == 0


async def test_one_photo_that_cannot_be_erased_holds_up_no_other(parts: Parts, storage_url: str) -> None:
    stuck, free = await Studio.open(parts), await Studio.open(parts)
    folder = Path(storage_url.removeprefix("file://")) / stuck.platform.tenant_id.hex
    objects = list(folder.iterdir())
    for path in objects:  # a folder in the object's place cannot be deleted as an object
        path.unlink()
        path.mkdir()
        (path / "in the way").touch()
    with frozen_at(now() + timedelta(days=8)):
        assert await erase_expired(parts.database, parts.store, limit=1) == 1
    async with parts.database.tenant(free.platform.tenant_id) as session:
        with pytest.raises(Gone):
            await photos.get(session, free.photo_id)
    async with parts.database.tenant(stuck.platform.tenant_id) as session:
        assert (await photos.get(session, stuck.photo_id)).id == stuck.photo_id
