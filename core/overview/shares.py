"""What a weight means: how a region's places are shared among those who wait, now and after a change."""

from dataclasses import dataclass
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.overview import work
from core.tenants.models import Quota, Tenant


@dataclass(frozen=True, slots=True)
class Share:
    """A tenant's part of its region's places, 0..1. busy: among those who wait or run at this moment alone.

    A cap is counted as what it is: no more places than it allows, which the shares leave out of account; `concurrency`
    stands beside them.
    """

    tenant_id: UUID
    name: str
    weight: float
    concurrency: int | None
    busy: bool
    of_all: float
    of_busy: float


async def shares(session: AsyncSession, region: str, *, weights: dict[UUID, float] | None = None) -> list[Share]:
    """The shares in a region, the largest first. weights: what some tenants' weights would be. In a system session."""
    query = (
        select(Tenant.id, Tenant.name, Tenant.weight, Quota.concurrency)
        .join(Quota, col(Quota.tenant_id) == Tenant.id)
        .where(Tenant.region == region, Tenant.state == "active")
    )
    rows = (await session.exec(query)).all()
    busy = {*(await work.running_by_tenant(session)), *(await work.waiting_tenants(session, region))}
    would = weights or {}
    # Who is asked about counts as busy: the question is what they will get when they send work.
    busy |= would.keys()
    weighed = [(tenant_id, name, would.get(tenant_id, weight), cap) for tenant_id, name, weight, cap in rows]
    whole = sum(weight for _, _, weight, _ in weighed) or 1.0
    whole_busy = sum(weight for tenant_id, _, weight, _ in weighed if tenant_id in busy) or 1.0
    found = [
        Share(
            tenant_id=tenant_id,
            name=name,
            weight=weight,
            concurrency=cap,
            busy=tenant_id in busy,
            of_all=round(weight / whole, 4),
            of_busy=round(weight / whole_busy, 4) if tenant_id in busy else 0.0,
        )
        for tenant_id, name, weight, cap in weighed
    ]
    return sorted(found, key=lambda share: (-share.of_all, share.tenant_id))
