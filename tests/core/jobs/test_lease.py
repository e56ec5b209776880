"""Holding a job, and losing it."""

import pytest

from core.bootstrap import Parts
from core.consent.models import Purpose
from core.headshots import complete
from core.jobs.claim import Claim
from core.jobs.lease import LeaseLost, Stopped, StopReason, checkpoint, hand_back, heartbeat, report
from core.jobs.models import JobState
from core.jobs.rescue import rescue_dead
from core.photos import service as photos
from tests.queueing import Studio


async def _checkpoint(parts: Parts, claimed: Claim) -> None:
    async with parts.database.tenant(claimed.tenant_id) as session:
        await checkpoint(session, claimed)


async def test_a_heartbeat_extends_the_lease(parts: Parts, studio: Studio) -> None:
    job = await studio.submit()
    claimed = await studio.claim(lease_seconds=5)
    before = (await studio.job(job.id)).lease_until
    await heartbeat(parts.database, claimed, lease_seconds=60)
    after = (await studio.job(job.id)).lease_until
    assert before is not None
    assert after is not None
    assert after > before


async def test_a_worker_that_was_silent_past_its_lease_writes_nothing_more(parts: Parts, studio: Studio) -> None:
    job = await studio.submit()
    stale = await studio.claim(worker="stopped")
    await studio.let_lease_run_out(job.id)
    await rescue_dead(parts.database, region="local")
    await studio.end_pause(job.id)
    fresh = await studio.claim(worker="fresh")
    assert fresh.fence == stale.fence + 1
    before = await studio.job(job.id)
    with pytest.raises(LeaseLost):
        await heartbeat(parts.database, stale, lease_seconds=60)
    with pytest.raises(LeaseLost):
        await _checkpoint(parts, stale)
    with pytest.raises(LeaseLost):
        await studio.complete(stale)
    with pytest.raises(LeaseLost):
        await complete.refuse(parts.database, stale, code="no_face", message="No face.")
    with pytest.raises(LeaseLost):
        await complete.fail(parts.database, stale)
    with pytest.raises(LeaseLost):
        await complete.stop(parts.database, stale, Stopped(StopReason.CANCELLED))
    assert not await hand_back(parts.database, stale)
    after = await studio.job(job.id)
    assert after.model_dump() == before.model_dump()
    assert await studio.assets() == []
    assert await studio.objects() == 1  # the photo
    done = await studio.complete(fresh)
    assert done.state == JobState.DONE


async def test_the_same_number_in_other_hands_is_no_fence(parts: Parts, studio: Studio) -> None:
    await studio.submit()
    claimed = await studio.claim(worker="mine")
    other = Claim(**{**{name: getattr(claimed, name) for name in Claim.__slots__}, "worker": "not mine"})
    with pytest.raises(LeaseLost):
        await heartbeat(parts.database, other, lease_seconds=60)


@pytest.mark.parametrize("purpose", [Purpose.HEADSHOT, Purpose.BIOMETRIC_PROCESSING])
async def test_withdrawn_consent_stops_a_running_job(parts: Parts, studio: Studio, purpose: Purpose) -> None:
    await studio.submit()
    claimed = await studio.claim()
    await _checkpoint(parts, claimed)
    await studio.withdraw(purpose)
    with pytest.raises(Stopped) as stopped:
        await _checkpoint(parts, claimed)
    assert stopped.value.reason is StopReason.CONSENT_WITHDRAWN


async def test_an_erased_person_stops_a_running_job(parts: Parts, studio: Studio) -> None:
    await studio.submit()
    claimed = await studio.claim()
    await studio.erase_person()
    with pytest.raises(Stopped) as stopped:
        await _checkpoint(parts, claimed)
    assert stopped.value.reason is StopReason.ERASED


async def test_a_deleted_photo_stops_a_running_job(parts: Parts, studio: Studio) -> None:
    await studio.submit()
    claimed = await studio.claim()
    async with parts.database.tenant(claimed.tenant_id) as session:
        await photos.delete(session, parts.store, await photos.get(session, studio.photo_id), actor="test")
    with pytest.raises(Stopped) as stopped:
        await _checkpoint(parts, claimed)
    assert stopped.value.reason is StopReason.PHOTO_ERASED


async def test_cancelling_a_running_job_stops_it_at_its_next_step(parts: Parts, studio: Studio) -> None:
    job = await studio.submit("studio-grey", "charcoal")
    claimed = await studio.claim()
    asked = await studio.cancel(job.id)
    assert asked.state == JobState.RUNNING
    with pytest.raises(Stopped) as stopped:
        await _checkpoint(parts, claimed)
    ended = await complete.stop(parts.database, claimed, stopped.value)
    assert (ended.state, ended.reason_code, ended.charged) == (JobState.CANCELLED, "cancelled", 0)
    credit = await studio.quota()
    assert (credit.reserved, credit.used) == (0, 0)
    assert [event.type for event in await studio.events(job.id)] == ["headshot.cancelled"]


async def test_a_job_handed_back_keeps_its_place_and_counts_no_death(parts: Parts, studio: Studio) -> None:
    first = await studio.submit()
    await studio.submit()
    claimed = await studio.claim()
    assert await hand_back(parts.database, claimed)
    waiting = await studio.job(first.id)
    assert (waiting.state, waiting.deaths, waiting.worker, waiting.lease_until) == (JobState.PENDING, 0, None, None)
    again = await studio.claim()
    assert (again.job_id, again.fence) == (first.id, 2)


async def test_progress_is_told_once_per_stage(parts: Parts, studio: Studio) -> None:
    job = await studio.submit()
    claimed = await studio.claim()
    for stage, progress in (("preparing", 0.1), ("preparing", 0.1), ("sealing", 0.95)):
        async with parts.database.tenant(claimed.tenant_id) as session:
            await report(session, await checkpoint(session, claimed), stage=stage, progress=progress)
    told = await studio.events(job.id)
    assert [(event.type, event.data["stage"], event.data["progress"]) for event in told] == [
        ("headshot.progress", "preparing", 0.1),
        ("headshot.progress", "sealing", 0.95),
    ]
    shown = await studio.job(job.id)
    assert (shown.stage, shown.progress) == ("sealing", 0.95)
