"""What a person uploaded."""

import asyncio

import pytest
from sqlmodel import select

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.consent import service as consent
from core.consent.models import Purpose
from core.errors import ConsentRequired, Gone
from core.photos import service
from core.photos.models import Photo, PhotoState
from core.queue import LANES, Task
from core.storage.models import Asset
from core.webhooks.models import Event
from tests import scenes


async def test_no_face_is_stored_before_a_grant(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    with pytest.raises(ConsentRequired):
        await scenes.a_photo(parts, platform, subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (await session.exec(select(Asset))).all() == []


async def test_an_accepted_photo_opens_again_and_wakes_a_worker(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, data=b"the pixels", state=None)
    async with parts.database.tenant(platform.tenant_id) as session:
        photo = await service.get(session, photo_id)
        assert photo.state == PhotoState.CHECKING
        assert await parts.store.read(await service.asset_of(session, photo)) == b"the pixels"
    assert await parts.queue.redis.zcard(LANES[Task.CHECK_PHOTO].value) == 1


async def test_a_verdict_is_given_once(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, state=None)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert await service.begin_check(session, photo_id) is not None
    finding = {"code": "no_face", "severity": "refuse", "message": "We see no face."}
    async with parts.database.tenant(platform.tenant_id) as session:
        await service.record_verdict(session, photo_id, verdict=PhotoState.REFUSED, report={"findings": [finding]})
    async with parts.database.tenant(platform.tenant_id) as session:
        assert await service.begin_check(session, photo_id) is None
        assert (
            await service.record_verdict(session, photo_id, verdict=PhotoState.READY, report={"findings": []}) is None
        )
        told = (await session.exec(select(Event).where(Event.type == "photo.refused"))).one()
    assert told.data["codes"] == ["no_face"]
    assert "message" not in str(told.data)


async def test_a_photo_that_kills_its_workers_is_refused_after_a_few(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, state=None)
    for killed in range(service.MOST_CHECKS + 1):
        with frozen_at(now() + killed * service.LOOK_LEASE):  # each died with its lease
            async with parts.database.tenant(platform.tenant_id) as session:
                taken = await service.begin_check(session, photo_id)
                assert (taken is not None) == (killed < service.MOST_CHECKS)
    async with parts.database.tenant(platform.tenant_id) as session:
        photo = await service.get(session, photo_id)
    assert photo.state == PhotoState.REFUSED
    assert photo.report is not None
    assert photo.report["findings"][0]["code"] == "photo_unreadable"


async def test_no_worker_looks_at_a_photo_whose_consent_was_withdrawn(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    granted = await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, state=None)
    async with parts.database.tenant(platform.tenant_id) as session:
        await consent.withdraw(session, consent_id=granted[Purpose.BIOMETRIC_PROCESSING], actor="test")
    async with parts.database.tenant(platform.tenant_id) as session:
        assert await service.begin_check(session, photo_id) is None


async def test_a_deleted_photo_is_gone_and_cannot_be_read(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    _, photo_id = await scenes.a_ready_person(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        photo = await service.get(session, photo_id)
        asset = await service.asset_of(session, photo)
        await service.delete(session, parts.store, photo, actor="test")
    async with parts.database.tenant(platform.tenant_id) as session:
        with pytest.raises(Gone):
            await service.get(session, photo_id)
        row = (await session.exec(select(Photo))).one()
    assert (row.report, row.removed_metadata) == (None, None)
    with pytest.raises(Gone):
        await parts.store.read(asset)


async def test_a_verdict_that_comes_while_the_photo_is_deleted_is_not_kept(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, state=None)
    async with parts.database.tenant(platform.tenant_id) as deleting:
        photo = await service.get(deleting, photo_id)  # read while it waits for its look
        async with parts.database.tenant(platform.tenant_id) as looking:
            await service.record_verdict(
                looking, photo_id, verdict=PhotoState.READY, report={"findings": [], "scores": {"sharpness": 1}}
            )
        await service.delete(deleting, parts.store, photo, actor="test")
    async with parts.database.tenant(platform.tenant_id) as session:
        row = (await session.exec(select(Photo))).one()
    assert (row.state, row.report) == (PhotoState.ERASED, None)


async def test_of_two_deletions_at_once_one_finds_it_gone(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    _, photo_id = await scenes.a_ready_person(parts, platform)

    async def one() -> None:
        async with parts.database.tenant(platform.tenant_id) as session:
            await service.delete(session, parts.store, await service.get(session, photo_id), actor="test")

    ends = await asyncio.gather(one(), one(), return_exceptions=True)
    assert [type(end) for end in ends if end is not None] == [Gone]
    async with parts.database.tenant(platform.tenant_id) as session:
        assert len((await session.exec(select(Event).where(Event.type == "asset.erased"))).all()) == 1


async def test_a_look_that_never_happened_is_not_counted(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, state=None)
    for _ in range(service.MOST_CHECKS + 2):
        async with parts.database.tenant(platform.tenant_id) as session:
            assert await service.begin_check(session, photo_id) is not None
        async with parts.database.tenant(platform.tenant_id) as session:
            await service.undo_check(session, photo_id)
            await service.let_go(session, photo_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (await service.get(session, photo_id)).state == PhotoState.CHECKING


async def test_the_sweep_finds_photos_whose_token_was_lost(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, state=None)
    async with parts.database.system() as session:
        assert await service.unchecked(session, older_than_seconds=-1, limit=10) == [(platform.tenant_id, photo_id)]
        assert await service.unchecked(session, older_than_seconds=60, limit=10) == []
