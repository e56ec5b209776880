"""What a crash left announced in the tombstone ledger is settled by the sweep, and no committed erasure is lost."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from core.bootstrap import Parts
from core.rights import erase, leave, replay
from core.storage.tombstones import Kind
from tests import scenes


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "UNSETTLED_AFTER", timedelta(0))


async def _ledger(parts: Parts) -> tuple[list[UUID], list[UUID]]:
    """Who is entered, and who is only announced."""
    entered = [entry.id async for entry in parts.tombstones.entries(Kind.SUBJECT, Kind.TENANT)]
    return entered, [entry.id async for entry in parts.tombstones.announced()]


def _die_once_committed(session: AsyncSession) -> None:
    session.info["after_commit"].clear()


async def test_what_committed_is_entered_and_what_was_rolled_back_is_withdrawn(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    gone, stays = await scenes.a_person(parts, platform), await scenes.a_person(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=gone, actor="test")
        _die_once_committed(session)
    with pytest.raises(ZeroDivisionError):
        async with parts.database.tenant(platform.tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=stays, actor="test")
            _ = 1 // 0
    assert await replay.settle(parts.database, parts.tombstones) == 2
    assert await _ledger(parts) == ([gone], [])


async def test_a_departure_whose_keys_are_destroyed_is_entered(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = await scenes.a_platform(parts)
    await leave.suspend(parts.database, tenant_id=platform.tenant_id, actor="test")
    with monkeypatch.context() as patched:
        patched.setattr(parts.tombstones, "settle", parts.tombstones.announce)  # the process dies in between
        await leave.shred(
            parts.database, parts.keyring, tenant_id=platform.tenant_id, actor="test", without_archive=True
        )
    assert await _ledger(parts) == ([], [platform.tenant_id])
    await replay.settle(parts.database, parts.tombstones)
    assert await _ledger(parts) == ([platform.tenant_id], [])


async def test_an_old_announcement_is_not_withdrawn_under_an_erasure_that_is_asked_for_again(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    with pytest.raises(ZeroDivisionError):
        async with parts.database.tenant(platform.tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
            _ = 1 // 0
    async with parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
        meanwhile = asyncio.create_task(replay.settle(parts.database, parts.tombstones))
        await asyncio.wait({meanwhile}, timeout=1)
        _die_once_committed(session)
    await meanwhile
    assert await _ledger(parts) == ([subject_id], [])
