"""The rounds that mend what the queue has lost."""

from datetime import timedelta

import pytest

from core.audit import log
from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.queue import Lane
from tests import scenes
from tests.queueing import Studio
from worker import sweep
from worker.hands import Hands
from worker.hold import Drain


@pytest.fixture
def hands(parts: Parts) -> Hands:
    return Hands(name="a worker", parts=parts, drain=Drain())


async def _tokens(parts: Parts, lane: Lane) -> int:
    return int(await parts.queue.redis.zcard(lane.value))


async def test_every_due_job_gets_a_token_and_sweeping_again_adds_none(hands: Hands, parts: Parts) -> None:
    studio = await Studio.open(parts)
    for _ in range(3):
        await studio.submit()
    await parts.queue.redis.flushall()
    for _ in range(4):
        await sweep.wake_for_jobs(hands)
    assert await _tokens(parts, Lane.STUDIO) == 3


async def test_an_upload_that_waits_gets_one_token_per_lease_time(hands: Hands, parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    await scenes.consents(parts, platform, subject_id)
    await scenes.a_photo(parts, platform, subject_id, state=None)
    await parts.queue.redis.flushall()
    await sweep.wake_for_photos(hands)
    assert await _tokens(parts, Lane.CHECKS) == 0  # too early: its own token may still be on the way
    with frozen_at(now() + timedelta(seconds=30)):
        for _ in range(4):
            await sweep.wake_for_photos(hands)
    assert 1 <= await _tokens(parts, Lane.CHECKS) <= 2


async def test_an_unfinished_erasure_gets_a_token(hands: Hands, parts: Parts) -> None:
    studio = await Studio.open(parts)
    await studio.erase_person()
    await parts.queue.redis.flushall()
    for _ in range(3):
        await sweep.wake_for_erasures(hands)
    assert await _tokens(parts, Lane.RIGHTS) == 1


async def test_waiting_leaves_of_every_tenant_are_taken_into_its_log(hands: Hands, parts: Parts) -> None:
    platforms = [await scenes.a_platform(parts) for _ in range(2)]
    await sweep.sequence_logs(hands)
    for platform in platforms:
        async with parts.database.tenant(platform.tenant_id) as session:
            assert (await log.checkpoint(session)).size > 0
    async with parts.database.system() as session:
        assert await log.waiting(session, limit=10) == []


async def test_a_round_that_fails_is_logged_by_type_and_does_not_stop_the_others(
    hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    went: list[str] = []

    async def broken(_: Hands) -> None:
        raise ValueError("canary")

    async def sound(hands: Hands) -> None:
        went.append("round")
        if len(went) == 2:
            hands.drain.begun.set()

    await sweep.go_round(hands, (broken, sound), every_seconds=0.01)
    assert went == ["round", "round"]
    assert {getattr(record, "error_type", None) for record in caplog.records} == {"ValueError"}
