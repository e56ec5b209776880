"""An erasure that begins before, during or after other work: whatever the order, nothing is left in the end."""

import asyncio
import random
from pathlib import Path
from uuid import UUID

import pytest
from sqlmodel import select

from core.bootstrap import Parts
from core.errors import ConsentRequired, Gone, LikenessError
from core.headshots import submit
from core.rights import erase
from core.rights.models import ErasureState
from core.storage.models import Asset, AssetState
from tests import scenes

SEEDS = 24


async def _race(parts: Parts, platform: scenes.Platform, subject_id: UUID, chance: random.Random) -> list[bool]:
    """Two uploads, an order and the erasure, each after its own short pause; which of the three came first."""
    photo_id = await scenes.a_photo(parts, platform, subject_id)
    tenant_id = platform.tenant_id

    async def upload() -> None:
        await asyncio.sleep(chance.uniform(0, 0.04))
        await scenes.a_photo(parts, platform, subject_id, state=None)

    async def order() -> None:
        await asyncio.sleep(chance.uniform(0, 0.04))
        async with parts.database.tenant(tenant_id) as session:
            await submit.submit(session, caller=platform.caller, photo_id=photo_id, styles=["studio-grey"])

    async def leave() -> None:
        await asyncio.sleep(chance.uniform(0, 0.04))
        async with parts.database.tenant(tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
        await erase.finish(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)

    *others, left = await asyncio.gather(upload(), upload(), order(), leave(), return_exceptions=True)
    assert left is None, left
    for outcome in others:
        assert outcome is None or isinstance(outcome, Gone | ConsentRequired), outcome
    return [outcome is None for outcome in others]


async def test_uploads_and_orders_race_an_erasure_and_leave_nothing(parts: Parts, tmp_path: Path) -> None:
    platform = await scenes.a_platform(parts, credits=1000)
    notice_id = await scenes.a_notice(parts, platform)
    came_first: list[bool] = []
    for seed in range(SEEDS):
        subject_id = await scenes.a_person(parts, platform)
        await scenes.consents(parts, platform, subject_id, notice_id=notice_id)
        came_first += await _race(parts, platform, subject_id, random.Random(seed))  # noqa: S311 (no secret)
        async with parts.database.tenant(platform.tenant_id) as session:
            assert (await erase.tombstone_of(session, subject_id)).state == ErasureState.ERASED
            assets = (await session.exec(select(Asset).where(Asset.subject_id == subject_id))).all()
        assert {asset.state for asset in assets} == {AssetState.ERASED}
        for asset in assets:
            with pytest.raises(LikenessError):
                await parts.store.read(asset)
    assert set(came_first) == {True, False}
    left = [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]
    # What a refused upload had written is noise under a key that was never kept, and the reaper's.
    assert len(left) <= came_first.count(False)
