"""Buying the fairest pending job."""

import asyncio

from core.bootstrap import Parts
from core.headshots.submit import cancel
from core.jobs.claim import claim
from core.jobs.models import JobState
from tests.queueing import Studio


async def test_workers_that_claim_at_once_never_get_the_same_job(studio: Studio) -> None:
    jobs = {(await studio.submit()).id for _ in range(12)}
    taken = await asyncio.gather(*(studio.claim_or_none() for _ in range(16)))
    claimed = [found.job_id for found in taken if found is not None]
    # SKIP LOCKED may let a claim come up empty while others hold their rows; it never gives one out twice.
    assert len(claimed) == len(set(claimed))
    while (rest := await studio.claim_or_none()) is not None:
        claimed.append(rest.job_id)
    assert len(claimed) == 12
    assert set(claimed) == jobs


async def test_a_claim_carries_what_is_to_be_made_and_counts_the_attempt(studio: Studio) -> None:
    job = await studio.submit("charcoal", "studio-white")
    taken = await studio.claim(worker="w1")
    assert (taken.job_id, taken.photo_id, taken.subject_id) == (job.id, studio.photo_id, studio.subject_id)
    assert taken.styles == ("charcoal", "studio-white")
    assert (taken.seed, taken.fence, taken.worker) == (job.seed, 1, "w1")
    running = await studio.job(job.id)
    assert (running.state, running.attempt, running.worker) == (JobState.RUNNING, 1, "w1")
    assert running.lease_until is not None


async def test_a_job_stays_in_its_region(parts: Parts, studio: Studio) -> None:
    await studio.submit()
    assert await claim(parts.database, worker="w", region="elsewhere", lease_seconds=60) is None


async def test_a_job_that_rests_is_not_claimed_before_its_time(studio: Studio) -> None:
    job = await studio.submit()
    await studio.change(job.id, "not_before = now() + interval '1 hour'")
    assert await studio.claim_or_none() is None
    await studio.end_pause(job.id)
    assert await studio.claim_or_none() is not None


async def test_a_cancelled_job_is_not_claimed(parts: Parts, studio: Studio) -> None:
    job = await studio.submit()
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        await cancel(session, job.id, actor="test")
    assert await studio.claim_or_none() is None
