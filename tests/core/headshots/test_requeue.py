"""Dead letters put back in line."""

import pytest

from core.errors import Gone, QuotaExceeded, StateConflict
from core.headshots.requeue import requeue
from core.jobs.models import JobState
from core.jobs.rescue import MOST_DEATHS, rescue_dead
from core.tenants import quota
from tests.queueing import Studio


async def _dead(studio: Studio) -> Studio:
    job = await studio.submit()
    for _ in range(MOST_DEATHS):
        await studio.claim()
        await studio.let_lease_run_out(job.id)
        await rescue_dead(studio.parts.database, region="local")
        if (await studio.job(job.id)).state == JobState.PENDING:
            await studio.end_pause(job.id)
    assert (await studio.job(job.id)).state == JobState.FAILED
    return studio


async def _requeue(studio: Studio) -> None:
    async with studio.parts.database.tenant(studio.platform.tenant_id) as session:
        from sqlmodel import select

        from core.jobs.models import Job

        job_id = (await session.exec(select(Job.id))).one()
        await requeue(session, job_id, actor="operator:test")


async def test_a_dead_letter_is_put_back_is_made_and_is_charged_once(studio: Studio) -> None:
    await _dead(studio)
    assert (await studio.quota()).reserved == 0
    await _requeue(studio)
    assert (await studio.quota()).reserved == 1
    taken = await studio.claim()
    assert taken.fence == MOST_DEATHS + 1  # the fence goes on: a worker of before writes nothing
    done = await studio.complete(taken)
    assert (done.state, done.deaths, done.reason_code) == (JobState.DONE, 0, None)
    left = await studio.quota()
    assert (left.reserved, left.used) == (0, 1)
    types = [event.type for event in await studio.events(done.id)]
    assert types == ["headshot.failed", "headshot.requeued", "headshot.completed"]


async def test_only_a_job_that_failed_can_be_put_back(studio: Studio) -> None:
    await studio.submit()
    with pytest.raises(StateConflict):
        await _requeue(studio)


async def test_nothing_is_put_back_for_somebody_who_is_gone_or_said_no(studio: Studio) -> None:
    await _dead(studio)
    await studio.withdraw()
    with pytest.raises(StateConflict, match="consent"):
        await _requeue(studio)
    await studio.erase_person()
    with pytest.raises(Gone):
        await _requeue(studio)


async def test_a_dead_letter_needs_credits_again(studio: Studio) -> None:
    await _dead(studio)
    async with studio.parts.database.tenant(studio.platform.tenant_id) as session:
        await quota.set_credits(session, studio.platform.tenant_id, 0)
    with pytest.raises(QuotaExceeded):
        await _requeue(studio)
    assert (await studio.quota()).reserved == 0
