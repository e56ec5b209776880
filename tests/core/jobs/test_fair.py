"""Whose turn it is."""

import asyncio
import itertools
from collections import defaultdict
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from core.bootstrap import Parts
from core.headshots import submit
from core.jobs import fair
from core.jobs.claim import claim
from core.jobs.models import FairClock, FairShare, Job
from tests import scenes

WORK = st.integers(min_value=1, max_value=1_000_000)
LINES = st.lists(
    st.tuples(st.floats(min_value=0.25, max_value=8), st.lists(WORK, min_size=1, max_size=25)), min_size=2, max_size=6
)


@given(LINES)
def test_while_two_tenants_wait_their_shares_never_differ_by_more_than_one_job_of_each(
    lines: list[tuple[float, list[int]]],
) -> None:
    waiting: list[tuple[float, int, int]] = []
    for tenant, (weight, works) in enumerate(lines):
        last = 0.0
        for work in works:
            found = fair.tags(virtual_time=0.0, last_finish=last, work=work, weight=weight)
            last = found.finish
            waiting.append((found.start, tenant, work))
    left = [len(works) for _, works in lines]
    served = [0.0] * len(lines)
    for _, tenant, work in sorted(waiting):
        # Every tenant that still has a job waiting has waited from the very beginning.
        backlogged = [other for other in range(len(lines)) if left[other]]
        served[tenant] += work / lines[tenant][0]
        left[tenant] -= 1
        for one in backlogged:
            for other in backlogged:
                bound = max(lines[one][1]) / lines[one][0] + max(lines[other][1]) / lines[other][0]
                assert abs(served[one] - served[other]) <= bound * (1 + 1e-9)


@given(WORK, WORK, st.floats(min_value=0, max_value=1e12))
def test_a_tenant_that_comes_late_starts_now_and_is_owed_nothing_for_its_absence(
    first: int, second: int, virtual_time: float
) -> None:
    early = fair.tags(virtual_time=0, last_finish=0, work=first, weight=1)
    late = fair.tags(virtual_time=virtual_time, last_finish=early.finish, work=second, weight=1)
    assert late.start == max(virtual_time, early.finish)


@pytest.mark.parametrize(("work", "weight"), [(0, 1.0), (-1, 1.0), (1, 0.0)])
def test_a_job_without_work_or_weight_is_refused(work: int, weight: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        fair.tags(virtual_time=0, last_finish=0, work=work, weight=weight)


async def _submit(parts: Parts, platform: scenes.Platform, photo_id: UUID, *styles: str) -> Job:
    async with parts.database.tenant(platform.tenant_id) as session:
        return await submit.submit(session, caller=platform.caller, photo_id=photo_id, styles=styles or ["studio-grey"])


async def _serve(parts: Parts) -> tuple[UUID, int] | None:
    taken = await claim(parts.database, worker="w", region="local", lease_seconds=60)
    return None if taken is None else (taken.tenant_id, len(taken.styles))


async def test_a_tenant_with_many_jobs_delays_the_others_by_no_more_than_the_bound(parts: Parts) -> None:
    heavy = await scenes.a_platform(parts, credits=1000)
    _, heavy_photo = await scenes.a_ready_person(parts, heavy)
    for _ in range(40):
        await _submit(parts, heavy, heavy_photo, "studio-grey", "charcoal")
    light = [await scenes.a_platform(parts) for _ in range(3)]
    for platform in light:
        _, photo_id = await scenes.a_ready_person(parts, platform)
        for _ in range(3):
            await _submit(parts, platform, photo_id)
    left = {platform.tenant_id: 3 for platform in light} | {heavy.tenant_id: 40}
    served: defaultdict[UUID, int] = defaultdict(int)
    order: list[UUID] = []
    while (taken := await _serve(parts)) is not None:
        tenant_id, styles = taken
        waiting = [tenant for tenant, count in left.items() if count]
        served[tenant_id] += styles
        left[tenant_id] -= 1
        order.append(tenant_id)
        for one in waiting:
            for other in waiting:
                longest = (2 if one == heavy.tenant_id else 1) + (2 if other == heavy.tenant_id else 1)
                assert abs(served[one] - served[other]) <= longest
    assert len(order) == 49
    # First come, first served would have made the light tenants wait for all 40.
    assert max(order.index(platform.tenant_id) for platform in light) <= 4
    assert 49 - order[::-1].index(light[-1].tenant_id) <= 14


async def test_a_weight_of_two_is_served_twice_as_often(parts: Parts) -> None:
    double = await scenes.a_platform(parts, weight=2.0)
    single = await scenes.a_platform(parts)
    for platform in (double, single):
        _, photo_id = await scenes.a_ready_person(parts, platform)
        for _ in range(12):
            await _submit(parts, platform, photo_id)
    first = [taken[0] for _ in range(12) if (taken := await _serve(parts)) is not None]
    assert first.count(double.tenant_id) == 8


async def test_jobs_admitted_at_once_never_share_a_place_in_line(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    _, photo_id = await scenes.a_ready_person(parts, platform)
    jobs = await asyncio.gather(*(_submit(parts, platform, photo_id) for _ in range(20)))
    ordered = sorted(jobs, key=lambda job: job.fair_start)
    for before, after in itertools.pairwise(ordered):
        assert after.fair_start == before.fair_finish


async def test_the_virtual_time_follows_service_and_never_runs_backwards(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    _, photo_id = await scenes.a_ready_person(parts, platform)
    jobs = [await _submit(parts, platform, photo_id) for _ in range(3)]
    times = []
    for _ in jobs:
        await _serve(parts)
        async with parts.database.system() as session:
            times.append((await session.exec(select(FairClock.virtual_time))).one())
    assert times == [job.fair_start for job in jobs]
    async with parts.database.system() as session:
        await fair.advance(session, "local", 0.0)
        assert (await session.exec(select(FairClock.virtual_time))).one() == times[-1]


async def test_a_cancelled_line_does_not_hold_back_what_its_tenant_asks_next(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    _, photo_id = await scenes.a_ready_person(parts, platform)
    served = await _submit(parts, platform, photo_id)
    jobs = [await _submit(parts, platform, photo_id) for _ in range(10)]
    await _serve(parts)
    for job in jobs:
        async with parts.database.tenant(platform.tenant_id) as session:
            await submit.cancel(session, job.id, actor="test")
    after = await _submit(parts, platform, photo_id)
    assert after.fair_start == served.fair_finish


async def test_cancelling_wins_no_earlier_place(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    _, photo_id = await scenes.a_ready_person(parts, platform)
    first = await _submit(parts, platform, photo_id)
    last = await _submit(parts, platform, photo_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        await submit.cancel(session, first.id, actor="test")
        share = (await session.exec(select(FairShare.last_finish))).one()
    assert share == last.fair_finish
