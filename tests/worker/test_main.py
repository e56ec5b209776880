"""Worker processes that are killed, stopped, drained and robbed of their queue: nothing is lost, nothing done twice."""

import signal
import time
from typing import Any

import pytest

from core.bootstrap import Parts
from core.headshots.models import HeadshotState
from core.jobs.models import Job, JobState
from core.photos import service as photos
from core.photos.models import PhotoState
from core.provenance.service import Standing
from core.rights.erase import tombstone_of
from core.rights.models import ErasureState
from tests import scenes
from tests.queueing import Studio
from tests.scenes import eventually
from tests.worker.conftest import Start

STYLES = ("studio-grey", "studio-white", "office-window", "warm-canvas")


async def _open(parts: Parts, portrait: bytes, *, checked: bool = True) -> Studio:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    granted = await scenes.consents(parts, platform, subject_id)
    state = PhotoState.READY if checked else None
    photo_id = await scenes.a_photo(parts, platform, subject_id, data=portrait, state=state)
    return Studio(parts=parts, platform=platform, subject_id=subject_id, photo_id=photo_id, consents=granted)


async def _reaches(studio: Studio, job: Job, *states: JobState, seconds: float = 60) -> Job:
    async def there() -> bool:
        return (await studio.job(job.id)).state in states

    await eventually(there, seconds=seconds)
    return await studio.job(job.id)


async def _is_made(studio: Studio, job: Job) -> None:
    """Wait until the worker is deep in the job."""

    async def making() -> bool:
        return ((await studio.job(job.id)).stage or "").startswith(STYLES)

    await eventually(making, seconds=60)


async def _assert_done_once(studio: Studio, job: Job) -> None:
    found = await studio.job(job.id)
    headshots = await studio.headshots()
    assert sorted(row.style for row in headshots) == sorted(job.styles)
    made = sum(row.state == HeadshotState.DONE for row in headshots)
    assert made >= 1
    assert (found.state, found.charged) == (JobState.DONE, made)
    named = {asset for row in headshots for asset in row.assets.values()}
    assert {asset.id.hex for asset in await studio.assets()} == named
    credit = await studio.quota()
    assert (credit.reserved, credit.used) == (0, made)
    kinds = [event.type for event in await studio.events(job.id)]
    assert kinds.count("headshot.completed") == 1
    assert "headshot.failed" not in kinds


async def test_a_job_is_made_and_its_progress_told(parts: Parts, start: Start, portrait: bytes) -> None:
    studio = await _open(parts, portrait)
    worker = start("studio")
    job = await studio.submit(*STYLES)
    await _reaches(studio, job, JobState.DONE)
    await _assert_done_once(studio, job)
    shares = [event.data["progress"] for event in await studio.events(job.id) if event.type == "headshot.progress"]
    assert len(shares) >= 5
    assert shares == sorted(shares)
    for asset in await studio.assets():
        kind = {"image/jpeg": b"\xff\xd8", "image/png": b"\x89P"}[asset.media_type]
        file = await parts.store.read(asset)
        assert file[:2] == kind
        assert await parts.provenance.standing_of_file(file) is Standing.LIVE
    log = worker.said()
    for canary in ("canary", "Personname", "lk_live"):
        assert canary not in log


async def test_an_upload_is_looked_at_even_when_its_token_is_lost(parts: Parts, start: Start, portrait: bytes) -> None:
    studio = await _open(parts, portrait, checked=False)
    await parts.queue.redis.flushall()
    start("studio")

    async def looked_at() -> bool:
        async with parts.database.tenant(studio.platform.tenant_id) as session:
            return (await photos.get(session, studio.photo_id)).state == PhotoState.READY

    await eventually(looked_at, seconds=60)


async def test_a_photo_that_cannot_be_looked_at_is_refused_in_the_end(parts: Parts, start: Start) -> None:
    studio = await _open(parts, b"\xff\xd8 no picture at all", checked=False)
    start("studio")

    async def refused() -> dict[str, Any] | None:
        async with parts.database.tenant(studio.platform.tenant_id) as session:
            photo = await photos.get(session, studio.photo_id)
            return photo.report if photo.state == PhotoState.REFUSED else None

    await eventually(refused, seconds=60)
    report = await refused()
    assert report is not None
    assert report["findings"][0]["code"] == "photo_unreadable"


async def test_a_killed_workers_job_is_done_once_by_another(parts: Parts, start: Start, portrait: bytes) -> None:
    studio = await _open(parts, portrait)
    first = start("studio")
    job = await studio.submit(*STYLES)
    await _is_made(studio, job)
    first.kill()
    start("studio")
    done = await _reaches(studio, job, JobState.DONE)
    assert (done.attempt, done.deaths) == (2, 1)
    await _assert_done_once(studio, job)


async def test_a_worker_stopped_past_its_lease_writes_nothing_when_it_wakes(
    parts: Parts, start: Start, portrait: bytes
) -> None:
    studio = await _open(parts, portrait)
    sleeper = start("studio")
    job = await studio.submit(*STYLES)
    await _is_made(studio, job)
    sleeper.send(signal.SIGSTOP)
    other = start("studio")
    await _reaches(studio, job, JobState.DONE)
    before = (await studio.job(job.id)).model_dump()
    sleeper.send(signal.SIGCONT)

    async def gave_up() -> bool:
        return '"state": "lost"' in sleeper.said()

    await eventually(gave_up, seconds=30)
    assert (await studio.job(job.id)).model_dump() == before
    await _assert_done_once(studio, job)
    assert other.alive


async def test_a_flushed_queue_loses_no_accepted_job(parts: Parts, start: Start, portrait: bytes) -> None:
    studio = await _open(parts, portrait)
    jobs = [await studio.submit("studio-grey") for _ in range(3)]
    await parts.queue.redis.flushall()
    start("studio")
    await _is_made(studio, jobs[0])
    await parts.queue.redis.flushall()
    for job in jobs:
        await _reaches(studio, job, JobState.DONE)
    assert (await studio.quota()).used == 3


@pytest.mark.parametrize("reason", ["cancelled", "consent_withdrawn", "erased"])
async def test_a_running_job_stops_when_it_may_not_go_on(
    parts: Parts, start: Start, portrait: bytes, reason: str
) -> None:
    studio = await _open(parts, portrait)
    start("studio")
    job = await studio.submit(*STYLES)
    await _is_made(studio, job)
    if reason == "cancelled":
        await studio.cancel(job.id)
    elif reason == "consent_withdrawn":
        await studio.withdraw()
    else:
        await studio.erase_person()
    ended = await _reaches(studio, job, JobState.CANCELLED, JobState.DONE, seconds=20)
    assert (ended.state, ended.reason_code) == (JobState.CANCELLED, reason)
    assert await studio.headshots() == []
    assert await studio.assets() == []
    credit = await studio.quota()
    assert (credit.reserved, credit.used) == (0, 0)


async def test_a_worker_told_to_leave_finishes_what_it_can_and_exits(
    parts: Parts, start: Start, portrait: bytes
) -> None:
    studio = await _open(parts, portrait)
    leaver = start("studio")
    first = await studio.submit("studio-grey")
    second = await studio.submit("studio-white")
    await _is_made(studio, first)
    assert leaver.leave() == 0
    assert (await studio.job(first.id)).state == JobState.DONE
    assert (await studio.job(second.id)).state == JobState.PENDING
    start("studio")
    await _reaches(studio, second, JobState.DONE)


async def test_a_worker_without_time_hands_its_job_back_without_blame(
    parts: Parts, start: Start, worker_env: dict[str, str], portrait: bytes
) -> None:
    worker_env["LIKENESS_WORKER_DRAIN_SECONDS"] = "0.1"
    studio = await _open(parts, portrait)
    leaver = start("studio")
    job = await studio.submit(*STYLES)
    await _is_made(studio, job)
    began = time.monotonic()
    assert leaver.leave() == 0
    assert time.monotonic() - began < 10
    waiting = await studio.job(job.id)
    assert (waiting.state, waiting.deaths, waiting.worker) == (JobState.PENDING, 0, None)
    start("studio")
    done = await _reaches(studio, job, JobState.DONE)
    assert (done.attempt, done.deaths) == (2, 0)
    await _assert_done_once(studio, job)


async def test_the_light_worker_finishes_an_erasure_without_any_picture_library(
    parts: Parts, start: Start, portrait: bytes
) -> None:
    studio = await _open(parts, portrait)
    light = start("light")
    await studio.erase_person()
    await parts.queue.redis.flushall()

    async def erased() -> bool:
        async with parts.database.tenant(studio.platform.tenant_id) as session:
            return (await tombstone_of(session, studio.subject_id)).state == ErasureState.ERASED

    await eventually(erased, seconds=30)
    assert await studio.objects() == 0
    assert light.leave() == 0
