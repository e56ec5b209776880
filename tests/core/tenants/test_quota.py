"""Credits."""

import asyncio

import pytest
from sqlmodel import select

from core.bootstrap import Parts
from core.errors import QuotaExceeded
from core.tenants import quota
from core.webhooks.models import Event
from tests import scenes


async def test_concurrent_reservations_at_a_limit_take_exactly_the_limit(parts: Parts) -> None:
    platform = await scenes.a_platform(parts, credits=20)

    async def one() -> bool:
        try:
            async with parts.database.tenant(platform.tenant_id) as session:
                await quota.reserve(session, platform.tenant_id, 1)
        except QuotaExceeded:
            return False
        return True

    taken = await asyncio.gather(*(one() for _ in range(60)))
    assert sum(taken) == 20
    async with parts.database.tenant(platform.tenant_id) as session:
        left = await quota.usage(session, platform.tenant_id)
    assert (left.reserved, left.used) == (20, 0)


async def test_settling_gives_back_what_was_not_delivered(parts: Parts) -> None:
    platform = await scenes.a_platform(parts, credits=10)
    async with parts.database.tenant(platform.tenant_id) as session:
        await quota.reserve(session, platform.tenant_id, 3)
        await quota.settle(session, platform.tenant_id, reserved=3, charged=2)
        left = await quota.usage(session, platform.tenant_id)
    assert (left.reserved, left.used) == (0, 2)


async def test_a_refusal_says_what_is_left(parts: Parts) -> None:
    platform = await scenes.a_platform(parts, credits=2)
    with pytest.raises(QuotaExceeded) as refused:
        async with parts.database.tenant(platform.tenant_id) as session:
            await quota.reserve(session, platform.tenant_id, 3)
    assert refused.value.extra == {"needed": 3, "available": 2}


async def test_the_tenant_hears_once_when_four_fifths_are_spent(parts: Parts) -> None:
    platform = await scenes.a_platform(parts, credits=10)
    for _ in range(9):
        async with parts.database.tenant(platform.tenant_id) as session:
            await quota.reserve(session, platform.tenant_id, 1)
            await quota.settle(session, platform.tenant_id, reserved=1, charged=1)
    async with parts.database.tenant(platform.tenant_id) as session:
        told = (await session.exec(select(Event).where(Event.type == "quota.threshold"))).all()
    assert [event.data["used"] for event in told] == [8]


async def test_no_job_is_charged_more_than_it_held(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    async with parts.database.tenant(platform.tenant_id) as session:
        with pytest.raises(ValueError, match="at most"):
            await quota.settle(session, platform.tenant_id, reserved=1, charged=2)
