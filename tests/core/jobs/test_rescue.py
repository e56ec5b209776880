"""Jobs whose worker died."""

import asyncio

from sqlmodel import select

from core.audit.models import AuditEntry
from core.bootstrap import Parts
from core.headshots import complete
from core.jobs.models import JobState
from core.jobs.rescue import LONGEST_PAUSE_SECONDS, MOST_DEATHS, due, pause_seconds, rescue_dead
from core.queue import Lane
from tests.queueing import Studio


async def test_a_dead_workers_job_is_taken_back_and_done_by_another(parts: Parts, studio: Studio) -> None:
    job = await studio.submit()
    await studio.claim(worker="dead")
    assert (await rescue_dead(parts.database, region="local")).again == 0  # its lease still holds
    await studio.let_lease_run_out(job.id)
    assert (await rescue_dead(parts.database, region="local")).again == 1
    waiting = await studio.job(job.id)
    assert (waiting.state, waiting.deaths, waiting.worker) == (JobState.PENDING, 1, None)
    await studio.end_pause(job.id)
    done = await studio.complete(await studio.claim())
    assert (done.state, done.charged) == (JobState.DONE, 1)
    credit = await studio.quota()
    assert (credit.reserved, credit.used) == (0, 1)


async def test_two_sweeps_at_once_count_one_death(parts: Parts, studio: Studio) -> None:
    job = await studio.submit()
    await studio.claim()
    await studio.let_lease_run_out(job.id)
    await asyncio.gather(*(rescue_dead(parts.database, region="local") for _ in range(5)))
    assert (await studio.job(job.id)).deaths == 1


async def test_after_five_deaths_a_job_is_given_up_and_costs_nothing(parts: Parts, studio: Studio) -> None:
    job = await studio.submit("studio-grey", "charcoal")
    for _ in range(MOST_DEATHS):
        await studio.end_pause(job.id)
        await studio.claim()
        await studio.let_lease_run_out(job.id)
        found = await rescue_dead(parts.database, region="local")
    assert (found.again, found.buried) == (0, 1)
    buried = await studio.job(job.id)
    assert (buried.state, buried.reason_code, buried.deaths) == (JobState.FAILED, "worker_died", MOST_DEATHS)
    assert buried.reason is not None
    credit = await studio.quota()
    assert (credit.reserved, credit.used) == (0, 0)
    assert [event.type for event in await studio.events(job.id)] == ["headshot.failed"]
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        kinds = (await session.exec(select(AuditEntry.kind))).all()
    assert kinds.count("headshot.failed") == 1
    assert await studio.claim_or_none() is None


async def test_a_try_that_failed_counts_like_a_death_and_rests_longer_each_time(parts: Parts, studio: Studio) -> None:
    job = await studio.submit()
    for death in range(1, MOST_DEATHS):
        await studio.end_pause(job.id)
        failed = await complete.fail(parts.database, await studio.claim())
        assert (failed.state, failed.deaths) == (JobState.PENDING, death)
        assert await studio.claim_or_none() is None
    await studio.end_pause(job.id)
    ended = await complete.fail(parts.database, await studio.claim())
    assert (ended.state, ended.reason_code) == (JobState.FAILED, "internal_error")
    assert [pause_seconds(death) for death in (1, 2, 3, 20)] == [1, 2, 4, LONGEST_PAUSE_SECONDS]


async def test_a_cancelled_job_whose_worker_died_ends_cancelled(parts: Parts, studio: Studio) -> None:
    job = await studio.submit()
    await studio.claim()
    await studio.cancel(job.id)
    await studio.let_lease_run_out(job.id)
    await rescue_dead(parts.database, region="local")
    ended = await studio.job(job.id)
    assert ended.state == JobState.CANCELLED
    assert (await studio.quota()).reserved == 0


async def test_what_is_due_is_counted_from_the_database_alone(parts: Parts, studio: Studio) -> None:
    for _ in range(3):
        await studio.submit()
    resting = await studio.submit()
    await studio.change(resting.id, "not_before = now() + interval '1 hour'")
    await studio.claim()
    await parts.queue.redis.flushall()
    async with parts.database.system() as session:
        assert await due(session, region="local") == 2


async def test_a_rescue_wakes_a_worker(parts: Parts, studio: Studio) -> None:
    job = await studio.submit()
    await studio.claim()
    await studio.let_lease_run_out(job.id)
    await parts.queue.redis.flushall()
    await rescue_dead(parts.database, region="local")
    assert await parts.queue.redis.zcard(Lane.STUDIO.value) == 1
