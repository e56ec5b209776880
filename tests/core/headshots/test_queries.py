"""Reading headshots, and deleting one."""

from uuid import uuid4

import pytest

from core.bootstrap import Parts
from core.errors import Gone, NotFound
from core.headshots import queries
from tests.queueing import Studio, made


async def test_a_deleted_headshot_is_gone_with_its_pictures_and_nothing_else(parts: Parts, studio: Studio) -> None:
    job = await studio.submit("charcoal", "studio-grey")
    await studio.complete(await studio.claim(), made("charcoal"), made("studio-grey"))
    first, second = await studio.headshots()
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        await queries.delete(session, parts.store, await queries.get(session, first.id), actor="test")
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        with pytest.raises(Gone):
            await queries.get(session, first.id)
        kept = await queries.get(session, second.id)
        assert [row.id for row in await queries.page(session, studio.subject_id, before=None, limit=10)] == [kept.id]
        assert len(await queries.of_job(session, job.id)) == 2
        assert len(await queries.assets(session, kept)) == 2
    assert await studio.objects() == 3  # the photo and the kept headshot's two pictures


async def test_an_unknown_headshot_is_not_found(parts: Parts, studio: Studio) -> None:
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        with pytest.raises(NotFound):
            await queries.get(session, uuid4())
