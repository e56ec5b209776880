"""The sweep: what has reached its day goes, for everybody in turn, once, and nothing else does."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import log
from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.consent.models import Consent, Purpose
from core.errors import Gone
from core.headshots import queries
from core.headshots.models import Headshot
from core.ids import Prefix, public
from core.jobs.models import Job
from core.photos import service as photos
from core.photos.models import Photo, PhotoState
from core.retention import chores, erasers
from core.retention.service import change_policy
from core.retention.shelves import SHELVES, Shelf
from core.retention.sweep import sweep
from core.rights import checkpoints
from core.storage.models import Asset
from core.terms import holds
from core.terms.policy import DataClass
from core.webhooks import service as webhooks
from core.webhooks.models import Event
from tests.queueing import Studio, refused
from tests.retained import Place
from tests.scenes import Platform, a_person, a_photo, a_platform, consents

DAY = timedelta(days=1)


async def _events(parts: Parts, platform: Platform, type_: str) -> list[Event]:
    async with parts.database.tenant(platform.tenant_id) as session:
        query = select(Event).where(Event.type == type_).order_by(col(Event.id))
        return list((await session.exec(query)).all())


async def _shorten(parts: Parts, platform: Platform, data_class: DataClass, term: timedelta) -> None:
    async with parts.database.tenant(platform.tenant_id) as session:
        await change_policy(
            session,
            tenant_id=platform.tenant_id,
            data_class=data_class,
            seconds=int(term.total_seconds()),
            version=0,
            actor="test",
            approval="apr_1",
        )


async def test_what_has_reached_its_day_is_erased_and_what_has_not_stays(parts: Parts) -> None:
    studio = await Studio.open(parts)
    await studio.submit()
    await studio.complete(await studio.claim())
    (headshot,) = await studio.headshots()
    assert not await sweep(parts.database, parts.store)
    with frozen_at(now() + 8 * DAY):  # photos are kept for 7 days, headshots for 30
        assert await sweep(parts.database, parts.store) == {"erase:photo": 1}
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        with pytest.raises(Gone):
            await photos.get(session, studio.photo_id)
        assert (await queries.get(session, headshot.id)).id == headshot.id
    with frozen_at(now() + 31 * DAY):
        assert (await sweep(parts.database, parts.store))["erase:headshot"] == 1
        assert not await sweep(parts.database, parts.store)
    assert await studio.objects() == 0


async def test_one_photo_that_cannot_be_erased_holds_up_no_other(parts: Parts, storage_url: str) -> None:
    stuck, free = await Studio.open(parts), await Studio.open(parts)
    later = await a_photo(parts, stuck.platform, stuck.subject_id)
    async with parts.database.tenant(stuck.platform.tenant_id) as session:
        name = (await photos.asset_of(session, await photos.get(session, stuck.photo_id))).object_name
    path = Path(storage_url.removeprefix("file://")) / name
    path.unlink()  # a folder in the object's place cannot be deleted as an object
    path.mkdir()
    (path / "in the way").touch()
    one = (chores.ErasePictures(SHELVES[0], erasers.erase_photo, chunk=1),)
    with frozen_at(now() + 8 * DAY):
        assert await sweep(parts.database, parts.store, chores=one) == {"erase:photo": 2}
    for studio, photo_id in ((free, free.photo_id), (stuck, later)):
        async with parts.database.tenant(studio.platform.tenant_id) as session:
            with pytest.raises(Gone):
                await photos.get(session, photo_id)
    async with parts.database.tenant(stuck.platform.tenant_id) as session:
        assert (await photos.get(session, stuck.photo_id)).id == stuck.photo_id


async def _many(parts: Parts, platform: Platform, count: int) -> list[UUID]:
    """So many photos of a platform, two weeks old."""
    place, begun, made = await Place.open(parts, platform), now() - 14 * DAY, []
    async with parts.database.tenant(platform.tenant_id) as session:
        for number in range(count):
            asset, photo = place.rows(
                DataClass.PHOTO, begun=begun + timedelta(seconds=number), own_term=7 * DAY, whose=0
            )
            session.add(asset)
            await session.flush()
            session.add(photo)
            assert isinstance(photo, Photo)
            made.append(photo.id)
    return made


async def test_a_tenant_with_much_delays_another_by_no_more_than_a_turn(parts: Parts) -> None:
    busy, small = await a_platform(parts), await a_platform(parts)
    await _many(parts, busy, 30)
    (waiting,) = await _many(parts, small, 1)
    turns = (chores.ErasePictures(SHELVES[0], erasers.erase_photo, chunk=4),)
    assert await sweep(parts.database, parts.store, chores=turns) == {"erase:photo": 31}
    async with parts.database.tenant(small.tenant_id) as session:
        served = (await session.exec(select(Photo.erased_at).where(Photo.id == waiting))).one()
    async with parts.database.tenant(busy.tenant_id) as session:
        before = (await session.exec(select(Photo.id).where(col(Photo.erased_at) < served))).all()
    # One chunk at most, and the photo that the place of the rows had erased already.
    assert len(before) <= 4 + 1


# A cancelled task leaves the file that it was writing to the collector, as a killed process leaves it to the kernel.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_sweep_that_is_killed_loses_nothing_and_erases_nothing_twice(parts: Parts) -> None:
    platform = await a_platform(parts)
    made = await _many(parts, platform, 12)
    turns = (chores.ErasePictures(SHELVES[0], erasers.erase_photo, chunk=2),)
    for delay in (0.05, 0.1):
        running = asyncio.create_task(sweep(parts.database, parts.store, chores=turns))
        await asyncio.sleep(delay)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await asyncio.gather(*(sweep(parts.database, parts.store, chores=turns) for _ in range(2)))  # and two at once
    told = [event.resource_id for event in await _events(parts, platform, "asset.erased")]
    assert sorted(told) == sorted(made)


async def test_a_sweep_stops_when_it_is_told_to_and_the_next_goes_on(parts: Parts) -> None:
    platform = await a_platform(parts)
    await _many(parts, platform, 6)
    turns, asked = (chores.ErasePictures(SHELVES[0], erasers.erase_photo, chunk=2),), iter((False, False, True))
    done = await sweep(parts.database, parts.store, chores=turns, stop=lambda: next(asked))
    assert done == {"erase:photo": 2}
    assert await sweep(parts.database, parts.store, chores=turns) == {"erase:photo": 4}


async def test_a_shorter_term_reaches_what_is_there_with_its_pictures(parts: Parts) -> None:
    studio = await Studio.open(parts)
    await studio.submit()
    await studio.complete(await studio.claim())
    await _shorten(parts, studio.platform, DataClass.HEADSHOT, 3 * DAY)
    await _shorten(parts, studio.platform, DataClass.PHOTO, 2 * DAY)
    assert await sweep(parts.database, parts.store) == {"shorten:photo": 1, "shorten:headshot": 1}
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        photo = await photos.get(session, studio.photo_id)
        assert photo.expires_at == photo.created_at + 2 * DAY
        assert (await photos.asset_of(session, photo)).expires_at == photo.expires_at
    (headshot,) = await studio.headshots()
    assert headshot.expires_at == headshot.created_at + 3 * DAY
    assert {asset.expires_at for asset in await studio.assets()} == {headshot.expires_at}


async def test_an_asset_is_told_of_once_ahead_of_its_day_in_ids_and_times_alone(parts: Parts) -> None:
    studio = await Studio.open(parts)
    assert not await sweep(parts.database, parts.store)
    for _ in range(2):
        with frozen_at(now() + 6 * DAY + timedelta(hours=1)):
            await sweep(parts.database, parts.store)
    (event,) = await _events(parts, studio.platform, "asset.expiring")
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        photo = await photos.get(session, studio.photo_id)
    assert event.data == {
        "photo_id": public(Prefix.PHOTO, studio.photo_id),
        "subject_id": public(Prefix.SUBJECT, studio.subject_id),
        "data_class": "photo",
        "expires_at": photo.expires_at.isoformat(),
    }


async def test_what_is_held_is_neither_told_of_nor_erased_until_the_hold_ends(parts: Parts) -> None:
    studio = await Studio.open(parts)
    start = now()
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        await holds.place(
            session,
            parts.keyring,
            subject_id=studio.subject_id,
            reason="A claim.",
            expires_at=start + 20 * DAY,
            actor="test",
            data_classes=[DataClass.PHOTO],
        )
    for days in (6.5, 8, 19):
        with frozen_at(start + days * DAY):
            assert not await sweep(parts.database, parts.store)
    assert await _events(parts, studio.platform, "asset.expiring") == []
    with frozen_at(start + 20 * DAY):
        assert await sweep(parts.database, parts.store) == {"erase:photo": 1}


async def test_what_was_refused_goes_within_a_day(parts: Parts) -> None:
    studio = await Studio.open(parts)
    photo_id = await a_photo(parts, studio.platform, studio.subject_id, state=PhotoState.REFUSED)
    await studio.submit()
    await studio.complete(await studio.claim(), refused())
    with frozen_at(now() + DAY + timedelta(minutes=1)):
        done = await sweep(parts.database, parts.store)
    assert done == {"erase:refused_photo": 1, "erase:refused_headshot": 1}
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        photo = await session.get_one(Photo, photo_id)
        assert (photo.state, photo.report) == ("erased", None)
        asset = await session.get_one(Asset, photo.asset_id)
        assert (asset.wrapped_key, asset.expires_at) == (None, photo.expires_at)
        (headshot,) = (await session.exec(select(Headshot))).all()
        assert (headshot.state, headshot.likeness, headshot.ledger) == ("erased", None, None)


async def test_a_job_goes_after_its_headshots_and_takes_their_empty_rows_along(parts: Parts) -> None:
    studio = await Studio.open(parts)
    job = await studio.submit()
    await studio.complete(await studio.claim())
    waits = await studio.submit()
    with frozen_at(now() + 91 * DAY):
        done = await sweep(parts.database, parts.store)
    assert (done["erase:headshot"], done["erase:job"]) == (1, 1)
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        assert (await session.exec(select(Job.id))).all() == [waits.id]  # it has not ended
        assert (await session.exec(select(Headshot.id))).all() == []
    assert job.id != waits.id
    assert (await studio.quota()).used == 1  # what was spent stays spent


async def test_a_job_whose_headshot_cannot_be_erased_waits_for_it(parts: Parts, storage_url: str) -> None:
    studio = await Studio.open(parts)
    await studio.submit()
    await studio.complete(await studio.claim())
    for asset in await studio.assets():
        path = Path(storage_url.removeprefix("file://")) / asset.object_name
        path.unlink()
        path.mkdir()
        (path / "in the way").touch()
    with frozen_at(now() + 91 * DAY):
        done = await sweep(parts.database, parts.store)
        assert (done["erase:headshot"], done["erase:job"]) == (0, 0)


async def test_evidence_goes_once_its_consent_has_long_ended_and_the_ledger_stays(parts: Parts) -> None:
    studio = await Studio.open(parts)
    await studio.withdraw(Purpose.BIOMETRIC_PROCESSING)
    with frozen_at(now() + 3 * 365 * DAY + DAY):
        assert (await sweep(parts.database, parts.store))["erase:consent_evidence"] == 1
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        ledger = {entry.id: entry for entry in (await session.exec(select(Consent))).all()}
    assert len(ledger) == 3
    ended, standing = (ledger[studio.consents[purpose]] for purpose in (Purpose.BIOMETRIC_PROCESSING, Purpose.HEADSHOT))
    assert (ended.action, ended.sealed_evidence) == ("granted", None)
    assert standing.sealed_evidence is not None


async def test_a_record_of_somebody_who_is_being_held_at_this_moment_is_passed_over(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = await Studio.open(parts)
    await studio.withdraw(Purpose.BIOMETRIC_PROCESSING)
    later = now() + 3 * 365 * DAY + DAY
    found = chores._find

    async def and_then_a_hold_is_placed(session: AsyncSession, shelf: Shelf, *rest: Any, **binds: Any) -> Any:
        rows = await found(session, shelf, *rest, **binds)
        if shelf.name == "consent_evidence" and rows:
            async with parts.database.tenant(studio.platform.tenant_id) as another:
                await holds.place(
                    another,
                    parts.keyring,
                    subject_id=studio.subject_id,
                    reason="A claim.",
                    expires_at=later + DAY,
                    actor="test",
                )
        return rows

    with frozen_at(later), monkeypatch.context() as patched:
        patched.setattr(chores, "_find", and_then_a_hold_is_placed)
        assert (await sweep(parts.database, parts.store))["erase:consent_evidence"] == 0
    with frozen_at(later + 2 * DAY):
        assert (await sweep(parts.database, parts.store))["erase:consent_evidence"] == 1


async def test_a_consent_that_expires_by_itself_starts_the_term_of_its_evidence(parts: Parts) -> None:
    platform = await a_platform(parts)
    subject_id = await a_person(parts, platform)
    granted = await consents(parts, platform, subject_id, Purpose.MODEL_TRAINING)
    async with parts.database.tenant(platform.tenant_id) as session:
        entry = await session.get_one(Consent, granted[Purpose.MODEL_TRAINING])
        assert entry.evidence_ended_at is None
    renewed = await consents(parts, platform, subject_id, Purpose.MODEL_TRAINING)
    async with parts.database.tenant(platform.tenant_id) as session:
        first = await session.get_one(Consent, granted[Purpose.MODEL_TRAINING])
        second = await session.get_one(Consent, renewed[Purpose.MODEL_TRAINING])
        assert first.evidence_ended_at == second.recorded_at
        assert second.evidence_ended_at is None


async def test_events_go_with_their_deliveries_but_not_one_that_is_still_to_be_sent(parts: Parts) -> None:
    platform = await a_platform(parts)
    async with parts.database.tenant(platform.tenant_id) as session:
        endpoint, _ = await webhooks.create_endpoint(
            session,
            parts.keyring,
            parts.settings.webhooks,
            tenant_id=platform.tenant_id,
            url="https://hooks.sample.example/likeness",
            events=[],
            description=None,
            actor="test",
        )
        sent, waits = [await webhooks.send_test(session, endpoint_id=endpoint.id) for _ in range(2)]
        sent.state = "delivered"
        session.add(sent)
    with frozen_at(now() + 31 * DAY):
        assert await sweep(parts.database, parts.store) == {"erase:event": 1}
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (await session.exec(select(Event.id))).all() == [waits.event_id]


async def test_a_leaf_loses_its_salt_and_its_person_and_every_proof_stays_valid(parts: Parts) -> None:
    studio = await Studio.open(parts)
    tenant_id = studio.platform.tenant_id
    await checkpoints.sequence(parts.database, parts.keyring, tenant_id=tenant_id)
    async with parts.database.tenant(tenant_id) as session:
        before = await log.inclusion(session, number=0)
        assert before.entry.salt is not None
        size = before.checkpoint.size
    with frozen_at(now() + 3 * 365 * DAY + DAY):
        done = await sweep(parts.database, parts.store)
    assert done["erase:audit_entry"] >= size
    async with parts.database.tenant(tenant_id) as session:
        after = await log.inclusion(session, number=0, size=size)
        left = "SELECT count(*) FROM audit_entry WHERE number < :size AND (salt IS NOT NULL OR subject_id IS NOT NULL)"
        assert (await (await session.connection()).execute(text(left), {"size": size})).scalar_one() == 0
    assert (after.entry.leaf_hash, after.proof) == (before.entry.leaf_hash, before.proof)
    assert after.checkpoint.root_hash == before.checkpoint.root_hash


async def test_with_many_rows_the_looks_go_by_the_indexes_that_are_there_for_them(
    parts: Parts, administrator_url: str
) -> None:
    platform = await a_platform(parts)
    (first,) = await _many(parts, platform, 1)
    copied = ", ".join(name for name in Photo.model_fields if name not in {"id", "expires_at", "created_at"})
    administrator = await asyncpg.connect(administrator_url)
    await administrator.execute(
        f"INSERT INTO photo (id, created_at, expires_at, {copied})"  # noqa: S608 (the table's own columns)
        f" SELECT gen_random_uuid(), now() - at, now() - at + interval '7 days', {copied} FROM photo,"
        " LATERAL (SELECT n * interval '1 minute' AS at FROM generate_series(1, 5000) n) made WHERE id = $1",
        first,
    )
    await administrator.execute("ANALYZE photo")
    await administrator.close()
    looks = {chore.name: chore.waiting() for chore in chores.CHORES}
    async with parts.database.system() as session:
        for chore, index in (
            ("shorten:photo", "photo_kept_for"),
            ("tell:photo", "photo_to_tell"),
            ("erase:photo", "photo_kept_until"),
            ("shorten:refused_photo", "photo_refused_for"),
            ("erase:refused_photo", "photo_refused_until"),
        ):
            sql = looks[chore].replace(":now", f"'{now().isoformat()}'")
            plan = (await (await session.connection()).execute(text(f"EXPLAIN {sql}"))).scalars().all()
            assert any(f"using {index} on photo" in line for line in plan), plan
