"""A tenant's cap on jobs that run at once: never exceeded, and nobody else's share is touched by it."""

import asyncio
from collections import defaultdict
from dataclasses import replace
from uuid import UUID

from sqlmodel import col, select

from core.bootstrap import Parts
from core.headshots import submit
from core.jobs import limits as job_limits
from core.jobs.claim import Claim, claim
from core.jobs.models import FairShare, Job, JobState
from core.tenants import limits
from tests import scenes
from tests.queueing import Studio


async def _set_cap(parts: Parts, tenant_id: UUID, cap: int | None) -> None:
    async with parts.database.tenant(tenant_id) as session:
        now_standing = limits.of(*await limits.read(session, tenant_id))
    await job_limits.change(parts.database, tenant_id, replace(now_standing, concurrency=cap), actor="test")


async def _take(parts: Parts) -> Claim | None:
    return await claim(parts.database, worker="w", region="local", lease_seconds=60)


async def _fill(parts: Parts, jobs: int) -> tuple[scenes.Platform, list[UUID]]:
    platform = await scenes.a_platform(parts, credits=1000)
    _, photo_id = await scenes.a_ready_person(parts, platform)
    made = []
    for _ in range(jobs):
        async with parts.database.tenant(platform.tenant_id) as session:
            job = await submit.submit(session, caller=platform.caller, photo_id=photo_id, styles=["studio-grey"])
            made.append(job.id)
    return platform, made


async def test_workers_that_claim_at_once_never_pass_a_tenants_cap(parts: Parts, studio: Studio) -> None:
    for _ in range(10):
        await studio.submit()
    await _set_cap(parts, studio.platform.tenant_id, 3)
    taken = [found for found in await asyncio.gather(*(_take(parts) for _ in range(10))) if found is not None]
    while (found := await _take(parts)) is not None:
        taken.append(found)
    assert len(taken) == 3
    assert all(found.capped for found in taken)


async def test_a_free_place_goes_to_the_tenants_next_job(parts: Parts, studio: Studio) -> None:
    first, second = await studio.submit(), await studio.submit()
    await _set_cap(parts, studio.platform.tenant_id, 1)
    held = await _take(parts)
    assert held is not None
    assert held.job_id == first.id
    assert await _take(parts) is None
    await studio.complete(held)
    following = await _take(parts)
    assert following is not None
    assert following.job_id == second.id


async def test_a_line_held_back_by_its_cap_delays_nobody_else(parts: Parts) -> None:
    capped, _ = await _fill(parts, 8)
    await _set_cap(parts, capped.tenant_id, 1)
    others = [(await _fill(parts, 6))[0].tenant_id for _ in range(2)]
    served: defaultdict[UUID, int] = defaultdict(int)
    while (taken := await _take(parts)) is not None:
        served[taken.tenant_id] += 1
        # The bound of start-time fair queueing, between the two that wait without a cap.
        if all(served[tenant] < 6 for tenant in others):
            assert abs(served[others[0]] - served[others[1]]) <= 2
    assert served == {capped.tenant_id: 1, others[0]: 6, others[1]: 6}


async def test_a_line_whose_cap_is_lifted_begins_anew_and_starves_nobody(parts: Parts) -> None:
    capped, first = await _fill(parts, 12)
    await _set_cap(parts, capped.tenant_id, 1)
    other, _ = await _fill(parts, 20)
    for _ in range(11):  # the capped one once, the other ten times: it is far behind by now
        assert await _take(parts) is not None
    await _set_cap(parts, capped.tenant_id, None)
    order = [taken.tenant_id for _ in range(8) if (taken := await _take(parts)) is not None]
    assert 3 <= order.count(other.tenant_id) <= 5
    async with parts.database.tenant(capped.tenant_id) as session:
        query = select(Job.id).order_by(col(Job.fair_start))
        assert list((await session.exec(query)).all()) == first
        end = (await session.exec(select(FairShare.last_finish))).one()
        last = (await session.exec(select(Job.fair_finish).order_by(col(Job.fair_finish).desc()).limit(1))).one()
    assert end == last


async def test_a_capped_line_of_any_length_costs_a_claim_no_walk_along_it(parts: Parts, studio: Studio) -> None:
    for _ in range(5):
        await studio.submit()
    await _set_cap(parts, studio.platform.tenant_id, 1)
    light, _ = await _fill(parts, 1)
    tenants = [found.tenant_id for _ in range(3) if (found := await _take(parts)) is not None]
    assert sorted(tenants) == sorted([studio.platform.tenant_id, light.tenant_id])
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        waiting = (await session.exec(select(Job.id).where(Job.state == JobState.PENDING))).all()
    assert len(waiting) == 4
