"""What a change of a term is said to delete is what it deletes."""

import os
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import SimulationRequired, TermOutOfRange, Unacceptable, VersionConflict
from core.retention.service import Simulation, change_policy, history, simulate
from core.retention.sweep import sweep
from core.terms import holds
from core.terms.policy import RULES, DataClass, policy
from tests.retained import Place
from tests.scenes import Platform, a_platform

DAY = 86_400
EXAMPLES = int(os.environ.get("LIKENESS_TEST_EXAMPLES", "4"))
SHELVES = {
    DataClass.PHOTO: ("photo",),
    DataClass.HEADSHOT: ("headshot",),
    DataClass.REJECTED_OUTPUT: ("refused_photo", "refused_headshot"),
    DataClass.EXPORT: ("export",),
    DataClass.CONSENT_EVIDENCE: ("consent_evidence",),
    DataClass.JOB_METADATA: ("job",),
    DataClass.DELIVERY_LOG: ("event",),
    DataClass.AUDIT: ("audit_entry",),
}

# In twelfths of a class's default term: how old a row is, and what a request asked for when it was made.
ROWS = st.lists(
    st.tuples(st.integers(0, 24), st.integers(1, 12), st.booleans(), st.booleans()), min_size=1, max_size=12
)


async def _simulate(parts: Parts, platform: Platform, data_class: DataClass, seconds: int) -> Simulation:
    async with parts.database.tenant(platform.tenant_id) as session:
        return await simulate(
            session, tenant_id=platform.tenant_id, data_class=data_class, seconds=seconds, actor="test"
        )


async def _change(
    parts: Parts, platform: Platform, data_class: DataClass, seconds: int, *, version: int = 0, seen: UUID | None = None
) -> None:
    async with parts.database.tenant(platform.tenant_id) as session:
        await change_policy(
            session,
            tenant_id=platform.tenant_id,
            data_class=data_class,
            seconds=seconds,
            version=version,
            actor="test",
            simulation_id=seen,
        )


def _erased(done: Counter[str], data_class: DataClass) -> int:
    return sum(done[f"erase:{shelf}"] for shelf in SHELVES[data_class])


@pytest.mark.parametrize("data_class", DataClass)
@given(
    rows=ROWS,
    term=st.integers(0, 12),
    held=st.booleans(),
    days_later=st.integers(min_value=1, max_value=90),
)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # each try is a database's work; shrinking is not worth it
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_a_change_deletes_exactly_what_its_simulation_said_now_and_later(
    parts: Parts,
    data_class: DataClass,
    rows: list[tuple[int, int, bool, bool]],
    term: int,
    held: bool,  # noqa: FBT001 (drawn)
    days_later: int,
) -> None:
    platform = await a_platform(parts)
    place, rule, start = await Place.open(parts, platform), RULES[data_class], now()
    async with parts.database.tenant(platform.tenant_id) as session:
        for age, own, odd, second in rows:
            made = place.rows(
                data_class,
                begun=start - rule.default * age / 12,
                own_term=rule.default * own / 12,
                whose=int(second),
                odd=odd,
            )
            for row in made:
                session.add(row)
                await session.flush()
        if held:
            await holds.place(
                session,
                parts.keyring,
                subject_id=place.people[1],
                reason="A claim.",
                actor="test",
                expires_at=start + timedelta(days=30),
            )
    shortest = max(
        rule.shortest, RULES[DataClass.HEADSHOT].default if data_class is DataClass.JOB_METADATA else rule.shortest
    )
    seconds = int((shortest + (rule.default - shortest) * term / 12).total_seconds())
    with frozen_at(start + timedelta(minutes=1)):
        said = await _simulate(parts, platform, data_class, seconds)
        assert said.curve[0].as_is <= said.deletes_now
        await _change(parts, platform, data_class, seconds, seen=said.id)
        assert _erased(await sweep(parts.database, parts.store), data_class) == said.deletes_now
        again = await _simulate(parts, platform, data_class, seconds)
        assert again.deletes_now == 0
    with frozen_at(said.at + timedelta(days=days_later)):
        later = _erased(await sweep(parts.database, parts.store), data_class)
        if data_class is DataClass.DELIVERY_LOG and timedelta(days=days_later).total_seconds() >= seconds:
            later -= 1  # the event that told of the change is younger than the simulation, and gone by now as well
        assert said.deletes_now + later == said.curve[days_later].changed
    with frozen_at(start + timedelta(days=20 * 365)):  # leave nothing to the next example, which sweeps here as well
        await sweep(parts.database, parts.store)


async def test_nothing_is_deleted_by_asking_and_a_longer_term_moves_no_day_back(parts: Parts) -> None:
    platform = await a_platform(parts)
    place, start = await Place.open(parts, platform), now()
    async with parts.database.tenant(platform.tenant_id) as session:
        for days in (1, 5):
            for row in place.rows(
                DataClass.PHOTO, begun=start - timedelta(days=days), own_term=timedelta(days=7), whose=0
            ):
                session.add(row)
                await session.flush()
    with frozen_at(start):
        said = await _simulate(parts, platform, DataClass.PHOTO, 3 * DAY)
        assert (said.kept, said.held, said.deletes_now, said.deletes_in_90_days) == (2, 0, 1, 2)
        assert [said.curve[day].changed for day in (0, 1, 2, 3)] == [1, 1, 2, 2]
        assert [said.curve[day].as_is for day in (0, 2, 5, 6)] == [0, 1, 1, 2]
        assert not await sweep(parts.database, parts.store)
        longer = await _simulate(parts, platform, DataClass.PHOTO, 14 * DAY)
        assert [day.changed for day in longer.curve] == [day.as_is for day in longer.curve]
        await _change(parts, platform, DataClass.PHOTO, 14 * DAY)  # needs no simulation: it deletes nothing sooner
    with frozen_at(start + timedelta(days=7)):
        assert (await sweep(parts.database, parts.store))["erase:photo"] == 2


async def test_a_shorter_term_rests_on_a_fresh_simulation_of_this_very_change(parts: Parts) -> None:
    platform, other = await a_platform(parts), await a_platform(parts)
    said = await _simulate(parts, platform, DataClass.PHOTO, 3 * DAY)
    with pytest.raises(SimulationRequired):
        await _change(parts, platform, DataClass.PHOTO, 3 * DAY)
    with pytest.raises(SimulationRequired):  # another term
        await _change(parts, platform, DataClass.PHOTO, 2 * DAY, seen=said.id)
    with pytest.raises(SimulationRequired):  # another class
        await _change(parts, platform, DataClass.EXPORT, 3 * DAY, seen=said.id)
    with pytest.raises(SimulationRequired):  # another tenant
        await _change(parts, other, DataClass.PHOTO, 3 * DAY, seen=said.id)
    with frozen_at(now() + timedelta(hours=1, minutes=1)), pytest.raises(SimulationRequired):  # too old
        await _change(parts, platform, DataClass.PHOTO, 3 * DAY, seen=said.id)
    await _change(parts, platform, DataClass.PHOTO, 3 * DAY, seen=said.id)
    with pytest.raises(VersionConflict):  # somebody read version 0, which is not the newest any more
        await _change(parts, platform, DataClass.PHOTO, 3 * DAY, seen=said.id)
    async with parts.database.tenant(platform.tenant_id) as session:
        (version,) = await history(session, platform.tenant_id, DataClass.PHOTO)
        assert (version.version, version.seconds, version.simulation_id) == (1, 3 * DAY, said.id)
        assert version.deletes_now == said.deletes_now


async def test_an_approval_of_operators_stands_in_for_the_simulation_and_is_kept(parts: Parts) -> None:
    platform = await a_platform(parts)
    async with parts.database.tenant(platform.tenant_id) as session:
        changed = await change_policy(
            session,
            tenant_id=platform.tenant_id,
            data_class=DataClass.HEADSHOT,
            seconds=5 * DAY,
            version=0,
            actor="operator:1",
            approval="apr_1",
        )
        assert changed.approval == "apr_1"
        kinds = (await (await session.connection()).execute(text("SELECT kind FROM audit_entry"))).scalars().all()
    assert "retention_policy.changed" in kinds


@pytest.mark.parametrize(
    ("data_class", "seconds"),
    [
        (DataClass.PHOTO, 3599),
        (DataClass.PHOTO, 366 * DAY),
        (DataClass.DELIVERY_LOG, DAY),
        (DataClass.HEADSHOT, 91 * DAY),  # longer than jobs are kept
        (DataClass.JOB_METADATA, 29 * DAY),  # shorter than headshots are kept
    ],
)
async def test_a_term_outside_its_bounds_is_refused(parts: Parts, data_class: DataClass, seconds: int) -> None:
    platform = await a_platform(parts)
    with pytest.raises(TermOutOfRange) as refused:
        async with parts.database.tenant(platform.tenant_id) as session:
            await change_policy(
                session,
                tenant_id=platform.tenant_id,
                data_class=data_class,
                seconds=seconds,
                version=0,
                actor="test",
                approval="apr_1",
            )
    assert refused.value.extra["minimum"] <= refused.value.extra["maximum"]


async def test_the_warning_can_be_set_where_there_is_one(parts: Parts) -> None:
    platform = await a_platform(parts)
    async with parts.database.tenant(platform.tenant_id) as session:
        changed = await change_policy(
            session,
            tenant_id=platform.tenant_id,
            data_class=DataClass.PHOTO,
            seconds=7 * DAY,
            version=0,
            actor="test",
            warn_seconds=2 * DAY,
        )
        assert (changed.version, changed.warn_seconds) == (1, 2 * DAY)
        assert (await policy(session, platform.tenant_id, DataClass.PHOTO)).warn_seconds == 2 * DAY
        with pytest.raises(Unacceptable):
            await change_policy(
                session,
                tenant_id=platform.tenant_id,
                data_class=DataClass.AUDIT,
                seconds=3 * 365 * DAY,
                version=0,
                actor="test",
                warn_seconds=DAY,
            )
