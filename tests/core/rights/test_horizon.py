"""The second moment: proved once the time is over, the backups gone and the tenant's key destroyed; not before."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlmodel import select

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import KeyProviderUnavailable, NotFound
from core.ids import Prefix, public
from core.rights import horizon, leave
from core.rights.models import Departure, ErasureCertificate
from core.storage.tombstones import Entry, Kind
from core.subjects import service as subjects
from core.webhooks.models import Event
from infra import verify_certificate as verifier
from tests import scenes
from tests.core.rights.test_certify import published

DAYS = 7
NOBODY = UUID(int=0)


async def passed(parts: Parts, *, days_later: float) -> int:
    with frozen_at(now() + timedelta(days=days_later)):
        return await horizon.pass_horizons(parts.database, parts.keyring, parts.tombstones, days=DAYS)


async def test_it_is_not_proved_before_its_day_and_then_verifies_with_its_certificate(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    gone, stays = [(await scenes.a_ready_person(parts, platform))[0] for _ in range(2)]
    first = await scenes.an_erasure(parts, platform, gone)
    assert await passed(parts, days_later=6.9) == 0
    async with parts.database.tenant(platform.tenant_id) as session:
        with pytest.raises(NotFound):
            await horizon.get(session, first.id)
    assert await passed(parts, days_later=7.1) == 1
    keks = await parts.keyring.kek_versions(platform.tenant_id)
    assert [(kek.version, kek.destroyed) for kek in keks] == [(1, True), (2, False)]
    async with parts.database.tenant(platform.tenant_id) as session:
        second = await horizon.get(session, first.id)
        told = [event.data["state"] for event in (await session.exec(select(Event))).all() if "state" in event.data]
        person = await subjects.get(session, stays)
    assert told.count(horizon.STATE) == 1
    # Whoever stays is readable under the new key.
    assert (await subjects.reveal(parts.keyring, person)).display_name == "Canary Q. Personname"
    keys = verifier.read_keys(await published(parts))
    said = verifier.verify_both(first.document or b"", second, keys)
    assert (said["tenant_key_version"], said["horizon_days"]) == (1, DAYS)
    assert "passed_at" in verifier.describe(said)
    assert await passed(parts, days_later=8) == 0


async def test_the_second_part_of_another_certificate_is_refused(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    certificates = [
        await scenes.an_erasure(parts, platform, (await scenes.a_ready_person(parts, platform))[0]) for _ in range(2)
    ]
    assert await passed(parts, days_later=8) == 2
    # One rotation serves both.
    assert len(await parts.keyring.kek_versions(platform.tenant_id)) == 2
    async with parts.database.tenant(platform.tenant_id) as session:
        second = await horizon.get(session, certificates[0].id)
        ones = (await session.exec(select(ErasureCertificate))).all()
    assert all(one.horizon_at is not None for one in ones)
    keys = verifier.read_keys(await published(parts))
    verifier.verify_both(certificates[0].document or b"", second, keys)
    with pytest.raises(verifier.NotVerified, match="second part"):
        verifier.verify_both(certificates[1].document or b"", second, keys)
    with pytest.raises(verifier.NotVerified, match="signature"):
        verifier.verify(second.replace(b'"horizon_days":7', b'"horizon_days":6'), keys)


async def test_a_backup_from_before_holds_it_up_until_it_is_gone_and_one_from_after_does_not(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    platform = await scenes.a_platform(parts)
    before = Entry(Kind.BACKUP, NOBODY, uuid4(), now(), {"database": "/somewhere", "keys": "/elsewhere"})
    await parts.tombstones.enter(before)
    await scenes.an_erasure(parts, platform, (await scenes.a_ready_person(parts, platform))[0])
    after = Entry(Kind.BACKUP, NOBODY, uuid4(), now() + timedelta(days=1), {"database": "/x", "keys": "/y"})
    await parts.tombstones.enter(after)
    assert await passed(parts, days_later=30) == 0
    assert "not known to be gone" in caplog.text
    await parts.tombstones.enter(Entry(Kind.PRUNED, NOBODY, before.id, now()))
    assert await passed(parts, days_later=30) == 1


async def test_a_tenant_whose_key_cannot_be_rotated_holds_up_no_other(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = await scenes.a_platform(parts), await scenes.a_platform(parts)
    for _ in range(3):
        await scenes.an_erasure(parts, stuck, (await scenes.a_ready_person(parts, stuck))[0])
    await scenes.an_erasure(parts, other, (await scenes.a_ready_person(parts, other))[0])
    tried, rotate = [], parts.keyring.rotate_tenant

    async def rotated(tenant_id: UUID) -> object:
        tried.append(tenant_id)
        if tenant_id == stuck.tenant_id:
            raise KeyProviderUnavailable
        return await rotate(tenant_id)

    monkeypatch.setattr(parts.keyring, "rotate_tenant", rotated)
    with frozen_at(now() + timedelta(days=8)):
        # There is room for two, and the three that are older can never be passed.
        assert await horizon.pass_horizons(parts.database, parts.keyring, parts.tombstones, days=DAYS, limit=2) == 1
    assert sorted(tried) == sorted([stuck.tenant_id, other.tenant_id])
    # With room for all, the one that is stuck is tried once a round.
    assert await passed(parts, days_later=8) == 0
    assert tried.count(stuck.tenant_id) == 2


async def a_tenant_that_left(parts: Parts) -> Departure:
    platform = await scenes.a_platform(parts)
    await scenes.a_ready_person(parts, platform)
    tenant_id = platform.tenant_id
    await leave.suspend(parts.database, tenant_id=tenant_id, actor="test")
    await leave.shred(parts.database, parts.keyring, tenant_id=tenant_id, actor="test", without_archive=True)
    with frozen_at(now() + timedelta(seconds=6)):
        return await leave.finish(parts.database, parts.store, tenant_id=tenant_id)


async def test_the_certificate_of_a_tenant_that_left_gets_a_second_part_that_verifies_with_it(parts: Parts) -> None:
    left, other = await a_tenant_that_left(parts), await a_tenant_that_left(parts)
    assert await passed(parts, days_later=6.9) == 0
    async with parts.database.tenant(left.tenant_id) as session:
        with pytest.raises(NotFound):
            await horizon.of_tenant(session, left.tenant_id)
    assert await passed(parts, days_later=7.1) == 2
    async with parts.database.tenant(left.tenant_id) as session:
        second = await horizon.of_tenant(session, left.tenant_id)
    keys = verifier.read_keys(await published(parts))
    said = verifier.verify_both(left.document or b"", second, keys)
    assert (said["tenant"], said["horizon_days"]) == (public(Prefix.TENANT, left.tenant_id), DAYS)
    assert "everybody" in verifier.describe(said)
    with pytest.raises(verifier.NotVerified, match="second part"):
        verifier.verify_both(other.document or b"", second, keys)
    assert await passed(parts, days_later=8) == 0


async def test_a_backup_from_before_a_tenant_left_holds_its_second_part_up(parts: Parts) -> None:
    before = Entry(Kind.BACKUP, NOBODY, uuid4(), now(), {"database": "/somewhere", "keys": "/elsewhere"})
    await parts.tombstones.enter(before)
    await a_tenant_that_left(parts)
    assert await passed(parts, days_later=30) == 0
    await parts.tombstones.enter(Entry(Kind.PRUNED, NOBODY, before.id, now()))
    assert await passed(parts, days_later=30) == 1
