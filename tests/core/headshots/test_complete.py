"""What a worker made becomes headshots, exactly once."""

import asyncio
from pathlib import Path

import pytest
from sqlmodel import select

from core.audit.models import AuditEntry
from core.bootstrap import Parts
from core.errors import Gone, StorageUnavailable
from core.headshots import complete, queries
from core.headshots.models import HeadshotState
from core.jobs.lease import LeaseLost, Stopped, StopReason
from core.jobs.models import Job, JobState
from core.rights import erase
from tests.queueing import PICTURE, Studio, made, refused


async def test_a_job_ends_with_sealed_pictures_one_charge_one_event_and_one_leaf(parts: Parts, studio: Studio) -> None:
    job = await studio.submit("studio-grey", "charcoal")
    done = await studio.complete(await studio.claim(), made("studio-grey"), made("charcoal"))
    assert (done.state, done.charged, done.progress, done.lease_until) == (JobState.DONE, 2, 1.0, None)
    credit = await studio.quota()
    assert (credit.reserved, credit.used) == (0, 2)
    headshots = await studio.headshots()
    assert [(row.style, row.state, sorted(row.assets)) for row in headshots] == [
        ("charcoal", HeadshotState.DONE, ["hris_600", "square_1024"]),
        ("studio-grey", HeadshotState.DONE, ["hris_600", "square_1024"]),
    ]
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        assets = await queries.assets(session, headshots[0])
        kinds = (await session.exec(select(AuditEntry.kind))).all()
    files = [await parts.store.read(asset) for asset in assets]
    assert all(data.startswith(b"\xff\xd8") and PICTURE.data[20:] in data for data in files)
    assert kinds.count("headshot.done") == 1
    told = await studio.events(job.id)
    assert [event.type for event in told] == ["headshot.completed"]
    assert {entry["style"] for entry in told[0].data["headshots"]} == {"studio-grey", "charcoal"}


async def test_a_style_that_is_not_the_person_any_more_is_refused_and_not_charged(studio: Studio) -> None:
    await studio.submit("studio-grey", "charcoal")
    done = await studio.complete(await studio.claim(), made("studio-grey"), refused("charcoal"))
    assert (done.state, done.charged) == (JobState.DONE, 1)
    states = {row.style: (row.state, row.reason_code) for row in await studio.headshots()}
    assert states == {"studio-grey": ("done", None), "charcoal": ("refused", "not_still_me")}
    credit = await studio.quota()
    assert (credit.reserved, credit.used) == (0, 1)


async def test_a_job_of_which_every_style_is_refused_is_refused(studio: Studio) -> None:
    job = await studio.submit()
    ended = await studio.complete(await studio.claim(), refused())
    assert (ended.state, ended.charged, ended.reason_code) == (JobState.REFUSED, 0, "not_still_me")
    assert [event.type for event in await studio.events(job.id)] == ["headshot.refused"]
    assert (await studio.quota()).used == 0


async def test_a_photo_that_the_studio_will_not_take_refuses_the_job(parts: Parts, studio: Studio) -> None:
    job = await studio.submit()
    await complete.refuse(parts.database, await studio.claim(), code="no_face", message="No face was found.")
    ended = await studio.job(job.id)
    assert (ended.state, ended.reason_code, ended.reason) == (JobState.REFUSED, "no_face", "No face was found.")
    credit = await studio.quota()
    assert (credit.reserved, credit.used) == (0, 0)


async def test_completing_as_often_as_one_likes_has_one_effect(studio: Studio) -> None:
    job = await studio.submit()
    claimed = await studio.claim()
    results = await asyncio.gather(*(studio.complete(claimed) for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(found, Job) for found in results) == 1
    assert sum(isinstance(found, LeaseLost) for found in results) == 5
    assert (await studio.quota()).used == 1
    assert len(await studio.headshots()) == 1
    assert len(await studio.assets()) == 2
    assert await studio.objects() == 3  # the photo and two pictures: the losers' objects are gone
    assert [event.type for event in await studio.events(job.id)] == ["headshot.completed"]


async def test_consent_withdrawn_before_the_result_is_stored_leaves_nothing(parts: Parts, studio: Studio) -> None:
    job = await studio.submit()
    claimed = await studio.claim()
    await studio.withdraw()
    with pytest.raises(Stopped) as stopped:
        await studio.complete(claimed)
    ended = await complete.stop(parts.database, claimed, stopped.value)
    assert (ended.state, ended.reason_code) == (JobState.CANCELLED, "consent_withdrawn")
    assert await studio.assets() == []
    assert await studio.objects() == 1
    assert (await studio.quota()).used == 0
    assert [event.type for event in await studio.events(job.id)] == ["headshot.cancelled"]


async def test_a_person_erased_before_the_result_is_stored_leaves_nothing(parts: Parts, studio: Studio) -> None:
    await studio.submit()
    claimed = await studio.claim()
    await studio.erase_person()
    with pytest.raises(Stopped) as stopped:
        await studio.complete(claimed)
    assert stopped.value.reason is StopReason.ERASED
    assert await studio.assets() == []


@pytest.mark.parametrize("head_start", [0.0, 0.01, 0.02, 0.03, 0.05])
async def test_an_erasure_that_races_the_completion_leaves_nothing_readable(
    parts: Parts, studio: Studio, head_start: float
) -> None:
    job = await studio.submit()
    claimed = await studio.claim()

    async def erase_soon() -> None:
        await asyncio.sleep(head_start)
        await studio.erase_person()

    result, _ = await asyncio.gather(studio.complete(claimed), erase_soon(), return_exceptions=True)
    assert isinstance(result, Job | Stopped)
    if isinstance(result, Stopped):
        await complete.stop(parts.database, claimed, result)
    for asset in await studio.assets():
        with pytest.raises(Gone):
            await parts.store.read(asset)
    await erase.finish(parts.database, parts.store, tenant_id=studio.platform.tenant_id, subject_id=studio.subject_id)
    assert await studio.objects() == 0
    assert all(row.state == HeadshotState.ERASED for row in await studio.headshots())
    assert all(asset.wrapped_key is None for asset in await studio.assets())
    assert (await studio.job(job.id)).state in {JobState.DONE, JobState.CANCELLED}
    assert (await studio.quota()).reserved == 0


async def test_a_leaf_written_after_an_erasure_does_not_name_the_person_again(parts: Parts, studio: Studio) -> None:
    await studio.submit()
    claimed = await studio.claim()
    await studio.erase_person()
    await erase.finish(parts.database, parts.store, tenant_id=studio.platform.tenant_id, subject_id=studio.subject_id)
    await complete.stop(parts.database, claimed, Stopped(StopReason.ERASED))
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        linked = select(AuditEntry.kind).where(AuditEntry.subject_id == studio.subject_id)
        assert (await session.exec(linked)).all() == []


async def test_a_store_that_takes_nothing_costs_the_job_nothing(parts: Parts, studio: Studio, tmp_path: Path) -> None:
    """As when the disk is full: nothing is committed, and the next try succeeds."""
    await studio.submit()
    claimed = await studio.claim()
    folder, aside = tmp_path / "objects", tmp_path / "aside"
    folder.rename(aside)
    folder.touch()
    with pytest.raises(StorageUnavailable):
        await studio.complete(claimed)
    folder.unlink()
    aside.rename(folder)
    assert (await studio.quota()).reserved == 1
    done = await studio.complete(claimed)
    assert done.state == JobState.DONE
