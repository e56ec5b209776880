"""Change a term, and see beforehand what the change would delete.

Invariants of this file:
- `simulate` and the sweep read the same shelves, so what was said is what happens.
- A term is made shorter only by whoever saw a fresh simulation of this very change, or by approval of two operators.
- A job outlives its headshots, so that the row that a headshot names is there as long as the headshot is.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from uuid import UUID

from sqlalchemy import bindparam, func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.db import Instant
from core.errors import SimulationRequired, TermOutOfRange, Unacceptable, VersionConflict
from core.retention.shelves import Shelf, of_class
from core.tenants import service as tenants
from core.terms.models import RetentionPolicy, RetentionSimulation
from core.terms.policy import RULES, DataClass, Term, policy
from core.webhooks import service as webhooks

HORIZON_DAYS = 90
FRESH = timedelta(hours=1)
LONGEST_WARNING = timedelta(days=30)


@dataclass(frozen=True)
class Day:
    """How many rows are gone by then, counted from now: as things are, and with the change."""

    day: int
    at: datetime
    as_is: int
    changed: int


@dataclass(frozen=True)
class Simulation:
    """What a term would delete of what there is now. Nothing was deleted.

    kept: rows of the class that there are. held: of these, on how many a legal hold stands now. curve: 91 days, the
    first of which is now. What is uploaded or made later is not in it.
    """

    id: UUID
    data_class: DataClass
    policy: Term
    seconds: int
    at: datetime
    kept: int
    held: int
    curve: tuple[Day, ...]

    @property
    def deletes_now(self) -> int:
        """Rows that the next sweep deletes, once the change is made."""
        return self.curve[0].changed

    @property
    def deletes_in_90_days(self) -> int:
        """Rows that are gone in 90 days."""
        return self.curve[-1].changed


async def simulate(
    session: AsyncSession, *, tenant_id: UUID, data_class: DataClass, seconds: int, actor: str
) -> Simulation:
    """What keeping a class for so many seconds would delete, now and by each of the next 90 days.

    Raises `TermOutOfRange`. That it was asked is kept for a while, so that a change can name it.
    """
    _require_in_range(data_class, seconds)
    moment, known = now(), await policy(session, tenant_id, data_class)
    as_is, changed, kept, held = [0] * (HORIZON_DAYS + 1), [0] * (HORIZON_DAYS + 1), 0, 0
    for shelf in of_class(data_class):
        statement = text(_count(shelf)).bindparams(bindparam("now", type_=Instant))
        binds = {"now": moment, "tenant": tenant_id, "known": known.seconds, "asked": seconds}
        for row in (await (await session.connection()).execute(statement, binds)).all():
            kept += row.rows
            held += row.held
            if row.as_is <= HORIZON_DAYS:
                as_is[row.as_is] += row.rows
            if row.changed <= HORIZON_DAYS:
                changed[row.changed] += row.rows
    pairs = zip(accumulate(as_is), accumulate(changed), strict=True)
    curve = tuple(
        Day(day=day, at=moment + timedelta(days=day), as_is=before, changed=after)
        for day, (before, after) in enumerate(pairs)
    )
    asked = RetentionSimulation(
        tenant_id=tenant_id,
        data_class=data_class.value,
        seconds=seconds,
        policy_version=known.version,
        deletes_now=curve[0].changed,
        deletes_in_90_days=curve[-1].changed,
        created_by=actor,
        created_at=moment,
    )
    session.add(asked)
    await session.flush()
    return Simulation(
        id=asked.id,
        data_class=data_class,
        policy=known,
        seconds=seconds,
        at=moment,
        kept=kept,
        held=held,
        curve=curve,
    )


async def change_policy(  # noqa: PLR0913 (the fields of a policy, and what a change rests on)
    session: AsyncSession,
    *,
    tenant_id: UUID,
    data_class: DataClass,
    seconds: int,
    version: int,
    actor: str,
    warn_seconds: int | None = None,
    simulation_id: UUID | None = None,
    approval: str | None = None,
) -> RetentionPolicy:
    """Set a tenant's term for a class, in the caller's transaction. The sweep brings what there is in line with it.

    version: of the policy that the caller read; 0 while the default counts. warn_seconds: left out, it stays.
    simulation_id: what a shortening rests on; approval: the id of the operators' approval that stands in its place.

    Raises `TermOutOfRange`, `VersionConflict` and `SimulationRequired`; then nothing was changed.
    """
    _require_in_range(data_class, seconds)
    # One change of a tenant's terms at a time, because the terms of two classes depend on each other.
    await session.exec(select(func.pg_advisory_xact_lock(func.hashtext(f"retention/{tenant_id}"))))
    known = await policy(session, tenant_id, data_class)
    if known.version != version:
        raise VersionConflict(version=known.version)
    await _require_jobs_outlive_headshots(session, tenant_id, data_class, seconds)
    rests_on = None
    if simulation_id is not None:
        rests_on = await _fresh(session, simulation_id, known, seconds=seconds)
    elif seconds < known.seconds and approval is None:
        raise SimulationRequired
    row = RetentionPolicy(
        tenant_id=tenant_id,
        data_class=data_class.value,
        version=known.version + 1,
        seconds=seconds,
        warn_seconds=_warning(data_class, known, warn_seconds),
        changed_by=actor,
        simulation_id=simulation_id,
        deletes_now=None if rests_on is None else rests_on.deletes_now,
        approval=approval,
    )
    session.add(row)
    await session.flush()
    await _tell(session, row, known)
    return row


async def history(session: AsyncSession, tenant_id: UUID, data_class: DataClass) -> list[RetentionPolicy]:
    """Every version that a tenant ever set for a class, newest first."""
    query = (
        select(RetentionPolicy)
        .where(RetentionPolicy.tenant_id == tenant_id, RetentionPolicy.data_class == data_class.value)
        .order_by(col(RetentionPolicy.version).desc())
    )
    return list((await session.exec(query)).all())


async def schedule(session: AsyncSession, tenant_id: UUID) -> list[tuple[DataClass, int, datetime | None]]:
    """The terms of a tenant, and since when each counts; None: it is the default. Raises `NotFound`."""
    await tenants.get_tenant(session, tenant_id)
    found = []
    for data_class in DataClass:
        newest = (await history(session, tenant_id, data_class))[:1]
        since = newest[0].changed_at if newest else None
        found.append((data_class, (await policy(session, tenant_id, data_class)).seconds, since))
    return found


def _count(shelf: Shelf) -> str:
    """Rows by the day on which they go: as things are, and with the change. A hold puts the day off to its own end.

    Days are whole from now, rounded up: 0 is now, and whatever lies beyond the horizon is one beyond it.
    """
    holds = (
        f"""
        LEFT JOIN (
            SELECT h.subject_id, max(h.expires_at) AS until FROM legal_hold h
            WHERE h.tenant_id = :tenant AND h.released_at IS NULL AND h.expires_at > :now
                AND h.data_classes ? '{shelf.data_class.value}'
            GROUP BY h.subject_id
        ) hold ON hold.subject_id = x.subject_id
        """
        if shelf.holdable
        else "CROSS JOIN (SELECT CAST(NULL AS timestamptz) AS until) hold"
    )

    def day(seconds: str) -> str:
        ends = f"greatest({shelf.ends(seconds)}, hold.until)"
        days = f"ceil(extract(epoch FROM {ends} - :now) / 86400)"
        return f"CAST(least(greatest({days}, 0), {HORIZON_DAYS + 1}) AS int)"

    return f"""
        SELECT {day(":known")} AS as_is, {day(":asked")} AS changed, count(*) AS rows, count(hold.until) AS held
        FROM {shelf.table} x {holds}
        WHERE x.tenant_id = :tenant AND {shelf.kept} AND {"true" if shelf.foreseen else shelf.besides}
        GROUP BY 1, 2
    """


def _require_in_range(data_class: DataClass, seconds: int) -> None:
    rule = RULES[data_class]
    shortest, longest = int(rule.shortest.total_seconds()), int(rule.longest.total_seconds())
    if not shortest <= seconds <= longest:
        raise TermOutOfRange(minimum=shortest, maximum=longest)


async def _require_jobs_outlive_headshots(
    session: AsyncSession, tenant_id: UUID, data_class: DataClass, seconds: int
) -> None:
    made = (DataClass.HEADSHOT, DataClass.REJECTED_OUTPUT)
    if data_class in made:
        jobs = (await policy(session, tenant_id, DataClass.JOB_METADATA)).seconds
        if seconds > jobs:
            raise TermOutOfRange(
                "A job outlives its headshots: raise the term of job_metadata first.",
                minimum=int(RULES[data_class].shortest.total_seconds()),
                maximum=jobs,
            )
    elif data_class is DataClass.JOB_METADATA:
        longest = max([(await policy(session, tenant_id, name)).seconds for name in made])
        if seconds < longest:
            raise TermOutOfRange(
                "A job outlives its headshots: shorten the terms of headshot and rejected_output first.",
                minimum=longest,
                maximum=int(RULES[data_class].longest.total_seconds()),
            )


async def _fresh(session: AsyncSession, simulation_id: UUID, known: Term, *, seconds: int) -> RetentionSimulation:
    """The simulation of this very change, of the last hour, or `SimulationRequired`."""
    found = await session.get(RetentionSimulation, simulation_id)
    if (
        found is None
        or (found.data_class, found.seconds, found.policy_version) != (known.data_class.value, seconds, known.version)
        or found.created_at < now() - FRESH
    ):
        raise SimulationRequired
    return found


def _warning(data_class: DataClass, known: Term, asked: int | None) -> int | None:
    if asked is None:
        return known.warn_seconds
    if RULES[data_class].warn is None:
        raise Unacceptable("Nobody is told ahead of the end of this class, so `warn_seconds` has no meaning for it.")
    longest = int(LONGEST_WARNING.total_seconds())
    if not 0 <= asked <= longest:
        raise TermOutOfRange("`warn_seconds` is out of range.", minimum=0, maximum=longest)
    return asked


async def _tell(session: AsyncSession, row: RetentionPolicy, before: Term) -> None:
    await audit.append(
        session,
        tenant_id=row.tenant_id,
        kind="retention_policy.changed",
        actor=row.changed_by,
        facts={
            "class": row.data_class,
            "version": row.version,
            "seconds": row.seconds,
            "before": before.seconds,
            "simulation": None if row.simulation_id is None else row.simulation_id.hex,
            "deletes_now": row.deletes_now,
            "approval": row.approval,
        },
    )
    await webhooks.emit(
        session,
        tenant_id=row.tenant_id,
        type="retention_policy.changed",
        resource_id=row.tenant_id,
        data={
            "data_class": row.data_class,
            "version": row.version,
            "seconds": row.seconds,
            "seconds_before": before.seconds,
        },
    )
