"""Legal holds: sealed, ending by themselves, and in the way of an erasure until they end."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from uuid import UUID

import pytest

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import Gone, LegalHoldStands, StateConflict, Unacceptable
from core.photos import service as photos
from core.rights import erase, leave
from core.terms import holds
from core.terms.models import LegalHold
from core.terms.policy import DataClass
from tests.scenes import Platform, a_person, a_platform, a_ready_person, an_erasure

DAY = timedelta(days=1)
REASON = "canary-reason of a claim"


async def _place(parts: Parts, platform: Platform, subject_id: UUID, *classes: DataClass, days: int = 10) -> LegalHold:
    async with parts.database.tenant(platform.tenant_id) as session:
        return await holds.place(
            session,
            parts.keyring,
            subject_id=subject_id,
            reason=REASON,
            expires_at=now() + days * DAY,
            actor="test",
            data_classes=classes,
        )


async def test_a_reason_is_sealed_and_dies_with_the_person(parts: Parts) -> None:
    platform = await a_platform(parts)
    subject_id = await a_person(parts, platform)
    hold = await _place(parts, platform, subject_id)
    assert hold.sealed_reason is not None
    assert REASON.encode() not in hold.sealed_reason
    assert await holds.reason_of(parts.keyring, hold) == REASON
    with frozen_at(now() + 11 * DAY):  # it has ended by itself
        await an_erasure(parts, platform, subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        left = await holds.get(session, hold.id)
    assert (left.sealed_reason, await holds.reason_of(parts.keyring, hold)) == (None, None)


async def test_an_erasure_is_refused_while_any_hold_stands_and_says_until_when(parts: Parts) -> None:
    platform = await a_platform(parts)
    subject_id = await a_person(parts, platform)
    await _place(parts, platform, subject_id, DataClass.PHOTO, days=5)
    longer = await _place(parts, platform, subject_id, DataClass.AUDIT, days=9)
    with pytest.raises(LegalHoldStands) as refused:
        async with parts.database.tenant(platform.tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    assert refused.value.extra == {"until": longer.expires_at.isoformat(), "holds": 2}
    with frozen_at(now() + 9 * DAY + timedelta(seconds=1)):
        async with parts.database.tenant(platform.tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    with pytest.raises(Gone):  # there is nobody left to hold anything of
        await _place(parts, platform, subject_id)


async def test_a_hold_is_on_its_person_and_its_classes_alone(parts: Parts) -> None:
    platform = await a_platform(parts)
    held, free = await a_person(parts, platform), await a_person(parts, platform)
    await _place(parts, platform, held, DataClass.PHOTO)
    async with parts.database.tenant(platform.tenant_id) as session:
        with pytest.raises(LegalHoldStands):
            await holds.require_none(session, held, DataClass.PHOTO)
        await holds.require_none(session, held, DataClass.HEADSHOT)
        await holds.require_none(session, free)
    with pytest.raises(Unacceptable):
        await _place(parts, platform, free, DataClass.EXPORT)


async def test_a_hold_that_ended_by_itself_is_not_released_afterwards(parts: Parts) -> None:
    platform = await a_platform(parts)
    hold = await _place(parts, platform, await a_person(parts, platform), days=1)
    with frozen_at(now() + 2 * DAY), pytest.raises(StateConflict):
        async with parts.database.tenant(platform.tenant_id) as session:
            await holds.release(session, hold.id, actor="test")


async def test_a_deletion_waits_for_a_hold_that_is_being_placed_and_then_sees_it(parts: Parts) -> None:
    platform = await a_platform(parts)
    subject_id, photo_id = await a_ready_person(parts, platform)

    async def delete() -> None:
        async with parts.database.tenant(platform.tenant_id) as session:
            photo = await photos.get(session, photo_id)
            await photos.delete(session, parts.store, photo, actor="test")

    await _meets_a_hold_being_placed(parts, platform, subject_id, delete())
    async with parts.database.tenant(platform.tenant_id) as session:
        asset = await photos.asset_of(session, await photos.get(session, photo_id))
    assert await parts.store.read(asset)


async def test_a_departure_waits_for_a_hold_that_is_being_placed_and_then_sees_it(parts: Parts) -> None:
    platform = await a_platform(parts)
    subject_id = await a_person(parts, platform)
    await leave.suspend(parts.database, tenant_id=platform.tenant_id, actor="test")

    async def shred() -> None:
        await leave.shred(
            parts.database, parts.keyring, tenant_id=platform.tenant_id, actor="test", without_archive=True
        )

    await _meets_a_hold_being_placed(parts, platform, subject_id, shred())
    assert (await parts.keyring.held_of_tenant(platform.tenant_id))[0] > 0
    async with parts.database.tenant(platform.tenant_id) as session:
        for hold in await holds.standing(session, subject_id):
            await holds.release(session, hold.id, actor="test")
    await shred()
    with pytest.raises(Gone):  # there is nothing left that could be held
        await _place(parts, platform, subject_id)


async def _meets_a_hold_being_placed(
    parts: Parts, platform: Platform, subject_id: UUID, work: Coroutine[None, None, None]
) -> None:
    async with parts.database.tenant(platform.tenant_id) as session:
        await holds.place(
            session, parts.keyring, subject_id=subject_id, reason=REASON, expires_at=now() + DAY, actor="test"
        )
        meanwhile = asyncio.create_task(work)
        await asyncio.wait({meanwhile}, timeout=1)
    with pytest.raises(LegalHoldStands):
        await meanwhile
