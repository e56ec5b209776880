"""Deleting what has reached its day."""

from datetime import timedelta

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
