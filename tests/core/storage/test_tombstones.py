"""The tombstone ledger: nothing that was erased is missing from it, whatever happened around the commit."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlmodel import select

from core.bootstrap import Parts
from core.consent import service as consent
from core.consent.models import Purpose
from core.db import Database
from core.photos import service as photos
from core.photos.models import Photo
from core.rights import erase
from core.storage.tombstones import Entry, Kind
from core.tenants import service as tenants
from tests import scenes


async def entered(parts: Parts, kind: Kind) -> list[UUID]:
    return sorted([entry.id async for entry in parts.tombstones.entries(kind)])


async def announced(parts: Parts) -> list[Entry]:
    return [entry async for entry in parts.tombstones.announced()]


async def test_an_erasure_is_announced_before_it_commits_and_entered_after(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
        assert [entry.id for entry in await announced(parts)] == [subject_id]
        assert await entered(parts, Kind.SUBJECT) == []
    assert await announced(parts) == []
    assert await entered(parts, Kind.SUBJECT) == [subject_id]


async def test_an_erasure_that_was_rolled_back_stays_announced_for_the_sweep_to_settle(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    with pytest.raises(ZeroDivisionError):
        async with parts.database.tenant(platform.tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
            _ = 1 // 0
    assert [entry.id for entry in await announced(parts)] == [subject_id]
    assert await entered(parts, Kind.SUBJECT) == []
    assert [entry async for entry in parts.tombstones.announced(older_than=timedelta(hours=1))] == []


async def test_a_deleted_photo_a_withdrawal_and_a_revoked_key_are_entered(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    granted = await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        photo = (await session.exec(select(Photo).where(Photo.id == photo_id))).one()
        await photos.delete(session, parts.store, photo, actor="test")
        withdrawal = await consent.withdraw(session, consent_id=granted[Purpose.HEADSHOT], actor="test")
        key_id = platform.caller.api_key_id
        await tenants.revoke_api_key(session, tenant_id=platform.tenant_id, key_id=key_id, actor="test")
    assert await entered(parts, Kind.ASSET) == [photo.asset_id]
    assert await entered(parts, Kind.API_KEY) == [key_id]
    (entry,) = [entry async for entry in parts.tombstones.entries(Kind.CONSENT)]
    assert entry.id == withdrawal.id
    assert entry.facts == {"subject": subject_id.hex, "purpose": "headshot"}


async def test_the_objects_of_an_erased_person_need_no_entries_of_their_own(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    await scenes.an_erasure(parts, platform, subject_id)
    assert await entered(parts, Kind.ASSET) == []
    assert await entered(parts, Kind.SUBJECT) == [subject_id]


async def test_without_a_ledger_nobody_can_be_erased(parts: Parts, database: Database) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    with pytest.raises(RuntimeError):
        async with database.tenant(platform.tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    assert await parts.keyring.holds_subject_key(platform.tenant_id, subject_id)
