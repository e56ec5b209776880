"""Keeping a claim alive, and feeling that work must end."""

import asyncio

import pytest

from core.bootstrap import Parts
from core.jobs.lease import LeaseLost, Stopped
from core.settings import WorkerSettings
from tests.queueing import Studio
from worker.hold import Drain, Drained, Hold, Part


def _settings(*, lease: float, beat: float) -> WorkerSettings:
    return WorkerSettings(lease_seconds=lease, heartbeat_seconds=beat)


async def test_the_lease_beats_while_work_is_silent(parts: Parts) -> None:
    studio = await Studio.open(parts)
    job = await studio.submit()
    claimed = await studio.claim(lease_seconds=1.5)
    async with Hold(parts.database, claimed, _settings(lease=1.5, beat=0.3), Drain()) as hold:
        before = (await studio.job(job.id)).lease_until
        await asyncio.sleep(2.5)
        hold.check("still here", 0.5)
    after = (await studio.job(job.id)).lease_until
    assert before is not None
    assert after is not None
    assert after > before


async def test_a_worker_that_cannot_hold_its_lease_stops_by_its_own_clock(parts: Parts) -> None:
    studio = await Studio.open(parts)
    await studio.submit()
    claimed = await studio.claim()
    async with Hold(parts.database, claimed, _settings(lease=0.3, beat=10), Drain()) as hold:
        hold.check("early", 0.1)
        await asyncio.sleep(0.4)
        with pytest.raises(LeaseLost):
            hold.check("late", 0.2)


async def test_a_cancellation_is_felt_within_a_second_without_any_stage(parts: Parts) -> None:
    studio = await Studio.open(parts)
    job = await studio.submit()
    claimed = await studio.claim()
    async with Hold(parts.database, claimed, _settings(lease=45, beat=15), Drain()) as hold:
        await studio.cancel(job.id)
        await asyncio.sleep(1.5)
        with pytest.raises(Stopped):
            hold.check("next", 0.5)


async def test_a_drain_that_is_over_ends_the_work_at_its_next_stage(parts: Parts) -> None:
    studio = await Studio.open(parts)
    await studio.submit()
    drain = Drain()
    async with Hold(parts.database, await studio.claim(), _settings(lease=45, beat=15), drain) as hold:
        drain.begun.set()
        hold.check("may end by itself", 0.1)
        drain.over.set()
        with pytest.raises(Drained):
            await hold.begin(Part("sealing", 0.9, 1.0))
