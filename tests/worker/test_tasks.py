"""What a token sets off, where it is not shown by a whole worker."""

from datetime import timedelta

import pytest

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.queue import Lane
from core.rights import certify, erase
from core.rights.models import ExportState
from tests.core.portability.exporting import Story
from tests.queueing import Studio
from worker import sweep, tasks
from worker.hands import Hands
from worker.hold import Drain


async def test_an_erasure_whose_job_is_still_held_waits_for_its_certificate_without_an_alarm(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    studio = await Studio.open(parts)
    await studio.submit()
    claimed = await studio.claim()
    await studio.erase_person()
    context = {"hands": Hands(name="a worker", parts=parts, drain=Drain())}
    token = (studio.platform.tenant_id.hex, studio.subject_id.hex)
    with frozen_at(now() + timedelta(seconds=6)):
        await tasks.erase(context, *token)
        async with parts.database.tenant(studio.platform.tenant_id) as session:
            assert await certify.of_subject(session, studio.subject_id) is None
            assert (await erase.tombstone_of(session, studio.subject_id)).last_error is None
        assert [record for record in caplog.records if record.name == "likeness.worker"] == []
        await studio.let_lease_run_out(claimed.job_id)
        await tasks.erase(context, *token)
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        assert await certify.of_subject(session, studio.subject_id) is not None


async def test_an_export_is_built_by_its_task_and_found_again_by_the_sweep(parts: Parts) -> None:
    story = await Story.begin(parts)
    hands = Hands(name="a worker", parts=parts, drain=Drain())
    token = (story.tenant_id.hex, story.export_id.hex)
    async with hands.exports, hands.exports:  # both places are taken: erasures keep theirs, and the token is let go
        await tasks.export({"hands": hands}, *token)
        assert (await story.row()).attempt == 0
    await parts.queue.redis.flushall()
    await sweep.wake_for_exports(hands)
    assert await parts.queue.redis.zcard(Lane.RIGHTS.value) == 1
    await tasks.export({"hands": hands}, *token)
    assert (await story.row()).state == ExportState.READY
    await parts.queue.redis.flushall()
    await sweep.wake_for_exports(hands)
    assert await parts.queue.redis.zcard(Lane.RIGHTS.value) == 0
