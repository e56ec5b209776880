"""Reading jobs, and where one stands in line."""

from uuid import uuid4

import pytest

from core.bootstrap import Parts
from core.errors import Gone, NotFound
from core.jobs import queries
from core.jobs.queries import FIRST_GUESS_SECONDS_PER_STYLE
from tests import scenes
from tests.queueing import Studio


async def test_a_job_knows_how_many_are_taken_before_it(parts: Parts, studio: Studio) -> None:
    jobs = [await studio.submit() for _ in range(4)]
    await studio.claim()
    async with parts.database.system() as session:
        outlooks = [
            await queries.outlook(session, region="local", fair_start=job.fair_start, work=job.work, job_id=job.id)
            for job in jobs[1:]
        ]
    assert [outlook.position for outlook in outlooks] == [0, 1, 2]
    assert [outlook.seconds for outlook in outlooks] == [
        pytest.approx(FIRST_GUESS_SECONDS_PER_STYLE * count) for count in (1, 2, 3)
    ]


async def test_the_estimate_follows_how_long_jobs_took_of_late(parts: Parts, studio: Studio) -> None:
    done = await studio.submit()
    await studio.complete(await studio.claim())
    await studio.change(done.id, "started_at = finished_at - interval '30 seconds'")
    job = await studio.submit("studio-grey", "charcoal")
    async with parts.database.system() as session:
        outlook = await queries.outlook(
            session, region="local", fair_start=job.fair_start, work=job.work, job_id=job.id
        )
    assert outlook.seconds == pytest.approx(60, rel=0.01)


async def test_unknown_and_foreign_jobs_are_not_found_and_erased_ones_gone(parts: Parts, studio: Studio) -> None:
    job = await studio.submit()
    other = await scenes.a_platform(parts)
    for tenant_id, job_id in ((studio.platform.tenant_id, uuid4()), (other.tenant_id, job.id)):
        async with parts.database.tenant(tenant_id) as session:
            with pytest.raises(NotFound):
                await queries.get(session, job_id)
    await studio.erase_person()
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        with pytest.raises(Gone):
            await queries.get(session, job.id)


async def test_pages_run_from_the_newest_to_the_oldest(parts: Parts, studio: Studio) -> None:
    jobs = [(await studio.submit()).id for _ in range(5)]
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        first = await queries.page(session, limit=3)
        second = await queries.page(session, subject_id=studio.subject_id, before=first[-1].id, limit=3)
    assert [job.id for job in [*first, *second]] == jobs[::-1]
