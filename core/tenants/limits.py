"""A tenant's limits: read them, change them with a version, and keep what was changed."""

from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.clock import now
from core.errors import NotFound, StateConflict, VersionConflict
from core.tenants.models import Quota, QuotaChange, Tenant, UsageDay
from core.tenants.plans import Limits

USAGE_DAYS = 7


def of(tenant: Tenant, quota: Quota) -> Limits:
    """The limits that stand."""
    return Limits(credits=quota.credits, concurrency=quota.concurrency, weight=tenant.weight)


async def read(session: AsyncSession, tenant_id: UUID) -> tuple[Tenant, Quota]:
    """A tenant and its quota, or `NotFound`."""
    query = select(Tenant, Quota).join(Quota, col(Quota.tenant_id) == Tenant.id).where(Tenant.id == tenant_id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound
    return found[0], found[1]


async def change(
    session: AsyncSession, tenant_id: UUID, after: Limits, *, actor: str, version: int | None = None
) -> Quota:
    """Set all three limits, in a session of that tenant, and keep who changed what. An unchanged wish changes nothing.

    version: the one that the caller saw. Raises `NotFound`, `VersionConflict` when somebody else has changed the
    limits since, and `StateConflict` for fewer credits than are spent and held.
    """
    # 1. The row, held: changes take turns, and no job settles in between.
    held = select(Quota).where(Quota.tenant_id == tenant_id).with_for_update()
    quota = (await session.exec(held.execution_options(populate_existing=True))).first()
    if quota is None:
        raise NotFound
    tenant = (await session.exec(select(Tenant).where(Tenant.id == tenant_id))).one()
    if version is not None and quota.version != version:
        raise VersionConflict(version=quota.version)
    before = of(tenant, quota)
    if before == after:
        return quota
    if after.credits < quota.used + quota.reserved:
        least = quota.used + quota.reserved
        raise StateConflict(f"{least} credits are spent or held; fewer cannot be set.", least=least)
    # 2. The limits. The weight stands on the tenant's own row, and counts for what is asked for from now on.
    quota.credits, quota.concurrency = after.credits, after.concurrency
    quota.version += 1
    session.add(quota)
    if after.weight != before.weight:
        await session.exec(update(Tenant).where(col(Tenant.id) == tenant_id).values(weight=after.weight))
    # 3. What was changed, for whoever asks later.
    session.add(
        QuotaChange(tenant_id=tenant_id, version=quota.version, actor=actor, before=before.facts(), after=after.facts())
    )
    await session.flush()
    await audit.append(
        session,
        tenant_id=tenant_id,
        kind="quota.changed",
        actor=actor,
        facts={
            "version": quota.version,
            "credits": after.credits,
            "concurrency": after.concurrency,
            "weight": str(after.weight),
        },
    )
    return quota


async def history(session: AsyncSession, *, before: UUID | None, limit: int) -> list[QuotaChange]:
    """Changes of the session's tenant, newest first."""
    query = select(QuotaChange).order_by(col(QuotaChange.id).desc()).limit(limit)
    if before is not None:
        query = query.where(QuotaChange.id < before)
    return list((await session.exec(query)).all())


async def count_usage(session: AsyncSession, tenant_id: UUID, charged: int) -> None:
    """Add to what was spent today."""
    today = insert(UsageDay).values(tenant_id=tenant_id, day=now().date(), used=charged)
    await session.exec(
        today.on_conflict_do_update(
            index_elements=["tenant_id", "day"], set_={"used": UsageDay.used + today.excluded.used}
        )
    )


async def usage_by_day(session: AsyncSession, tenant_ids: list[UUID], *, days: int) -> dict[UUID, dict[date, int]]:
    """What tenants spent on each of the last days, today among them; a day on which nothing was spent is left out."""
    query = select(UsageDay.tenant_id, col(UsageDay.day), UsageDay.used).where(
        col(UsageDay.tenant_id).in_(tenant_ids), col(UsageDay.day) > now().date() - timedelta(days=days)
    )
    found: dict[UUID, dict[date, int]] = {}
    for tenant_id, day, used in (await session.exec(query)).all():
        found.setdefault(tenant_id, {})[day] = used
    return found
