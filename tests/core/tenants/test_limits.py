"""Limits: a version, a history, and what is spent by day."""

from datetime import timedelta

import pytest

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import StateConflict, VersionConflict
from core.tenants import limits, plans, quota
from core.tenants.plans import PLANS, Limits
from tests import scenes


async def test_a_change_is_kept_with_what_was_before_and_who_did_it(parts: Parts) -> None:
    platform = await scenes.a_platform(parts, credits=100)
    tenant_id = platform.tenant_id
    wanted = Limits(credits=300, concurrency=2, weight=3.0)
    async with parts.database.tenant(tenant_id) as session:
        await limits.change(session, tenant_id, wanted, actor="operator:a", version=1)
    async with parts.database.tenant(tenant_id) as session:
        assert limits.of(*await limits.read(session, tenant_id)) == wanted
        (change,) = await limits.history(session, before=None, limit=10)
    assert (change.version, change.actor) == (2, "operator:a")
    assert change.before == {"credits": 100, "concurrency": None, "weight": 1.0}
    assert change.after == wanted.facts()


async def test_who_saw_an_older_version_overwrites_nothing(parts: Parts) -> None:
    platform = await scenes.a_platform(parts, credits=100)
    tenant_id = platform.tenant_id
    async with parts.database.tenant(tenant_id) as session:
        await limits.change(session, tenant_id, Limits(200, None, 1.0), actor="one", version=1)
    with pytest.raises(VersionConflict) as refused:
        async with parts.database.tenant(tenant_id) as session:
            await limits.change(session, tenant_id, Limits(50, None, 1.0), actor="two", version=1)
    assert refused.value.extra == {"version": 2}
    async with parts.database.tenant(tenant_id) as session:
        assert (await quota.usage(session, tenant_id)).credits == 200


async def test_credits_cannot_be_set_below_what_is_spent_and_held(parts: Parts) -> None:
    platform = await scenes.a_platform(parts, credits=10)
    tenant_id = platform.tenant_id
    async with parts.database.tenant(tenant_id) as session:
        await quota.reserve(session, tenant_id, 4)
    with pytest.raises(StateConflict) as refused:
        async with parts.database.tenant(tenant_id) as session:
            await limits.change(session, tenant_id, Limits(3, None, 1.0), actor="one")
    assert refused.value.extra == {"least": 4}


async def test_what_is_charged_is_counted_by_day(parts: Parts) -> None:
    platform = await scenes.a_platform(parts, credits=100)
    tenant_id = platform.tenant_id
    yesterday = now() - timedelta(days=1)
    for moment, amount in ((yesterday, 3), (now(), 2), (now(), 5)):
        with frozen_at(moment):
            async with parts.database.tenant(tenant_id) as session:
                await quota.reserve(session, tenant_id, amount)
                await quota.settle(session, tenant_id, reserved=amount, charged=amount)
    async with parts.database.system() as session:
        found = await limits.usage_by_day(session, [tenant_id], days=7)
    assert found == {tenant_id: {yesterday.date(): 3, now().date(): 7}}


def test_only_a_raise_beyond_the_plan_needs_a_second_person() -> None:
    most = PLANS["trial"]
    assert plans.above("trial", before=Limits(1, 1, 1.0), after=most) == []
    assert plans.above("trial", before=most, after=Limits(most.credits + 1, None, 2.0)) == [
        "credits",
        "concurrency",
        "weight",
    ]
    # Lowering what is above the plan already goes without.
    assert plans.above("trial", before=Limits(10_000, None, 9.0), after=Limits(9_000, None, 8.0)) == []
