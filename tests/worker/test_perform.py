"""One claimed job: what ends it, and what is said about it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from core.bootstrap import Parts
from core.clock import now
from core.jobs.models import JobState
from core.tenants.models import Mode
from tests import scenes
from tests.queueing import Studio
from worker.engine.engine import Engine
from worker.hands import Hands
from worker.hands import Studio as Room
from worker.hold import Drain
from worker.perform import perform


@pytest.fixture
async def hands(parts: Parts) -> AsyncIterator[Hands]:
    threads = ThreadPoolExecutor(2)
    yield Hands(name="a worker", parts=parts, drain=Drain(), studio=Room(engine=Engine(), threads=threads))
    threads.shutdown()


async def _open(parts: Parts, photo: bytes, *, mode: Mode = Mode.LIVE) -> Studio:
    platform = await scenes.a_platform(parts, mode=mode)
    subject_id = await scenes.a_person(parts, platform)
    granted = await scenes.consents(parts, platform, subject_id)
    photo_id = await scenes.a_photo(parts, platform, subject_id, data=photo)
    return Studio(parts=parts, platform=platform, subject_id=subject_id, photo_id=photo_id, consents=granted)


async def test_a_sandbox_job_is_made_on_the_same_path_marked_and_free(
    hands: Hands, parts: Parts, portrait: bytes
) -> None:
    studio = await _open(parts, portrait, mode=Mode.TEST)
    job = await studio.submit("studio-grey")
    await perform(hands, await studio.claim())
    done = await studio.job(job.id)
    assert (done.state, done.charged) == (JobState.DONE, 0)
    (headshot,) = await studio.headshots()
    assert "marked" in {entry["action"] for entry in headshot.ledger or []}
    assert done.timings is not None
    assert {"open", "prepare", "studio-grey"} <= done.timings.keys()


async def test_a_part_that_is_away_lets_the_job_rest_without_blame(
    hands: Hands, parts: Parts, portrait: bytes, tmp_path: Path
) -> None:
    studio = await _open(parts, portrait)
    job = await studio.submit()
    claimed = await studio.claim()
    folder, aside = tmp_path / "objects", tmp_path / "aside"
    folder.rename(aside)
    folder.touch()
    await perform(hands, claimed)
    resting = await studio.job(job.id)
    assert (resting.state, resting.deaths) == (JobState.PENDING, 0)
    assert resting.not_before > now() + timedelta(seconds=5)
    folder.unlink()
    aside.rename(folder)
    await studio.end_pause(job.id)
    await perform(hands, await studio.claim())
    assert (await studio.job(job.id)).state == JobState.DONE


async def test_an_unforeseen_error_is_counted_and_its_text_is_logged_nowhere(
    hands: Hands, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    studio = await _open(parts, b"\xff\xd8 canary-pixels")
    job = await studio.submit()
    with caplog.at_level(logging.INFO):
        await perform(hands, await studio.claim())
    again = await studio.job(job.id)
    assert (again.state, again.deaths) == (JobState.PENDING, 1)
    assert not any("canary" in str(vars(record)) for record in caplog.records)


async def test_a_photo_without_a_face_refuses_the_job_and_costs_nothing(
    hands: Hands, parts: Parts, nobody: bytes
) -> None:
    studio = await _open(parts, nobody)
    job = await studio.submit()
    await perform(hands, await studio.claim())
    ended = await studio.job(job.id)
    assert (ended.state, ended.reason_code) == (JobState.REFUSED, "no_face")
    assert ended.reason
    assert (await studio.quota()).used == 0


async def test_a_task_that_is_cancelled_hands_its_job_back(hands: Hands, parts: Parts, portrait: bytes) -> None:
    studio = await _open(parts, portrait)
    job = await studio.submit()
    performing = asyncio.create_task(perform(hands, await studio.claim()))
    await asyncio.sleep(0.3)
    performing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await performing
    waiting = await studio.job(job.id)
    assert (waiting.state, waiting.deaths) == (JobState.PENDING, 0)
