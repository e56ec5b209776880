"""What a token sets off, where it is not shown by a whole worker."""

from datetime import timedelta

import pytest

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.rights import certify, erase
from tests.queueing import Studio
from worker import tasks
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
