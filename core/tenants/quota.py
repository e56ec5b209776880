"""Credits: reserved when a job is admitted, settled when it ends, never overdrawn.

The row is the lock: one conditional UPDATE decides, so that a thousand concurrent submissions at a limit of N accept
exactly N. A CHECK constraint stands behind it.
"""

from dataclasses import replace
from uuid import UUID

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import NotFound, QuotaExceeded
from core.tenants import limits
from core.tenants.models import Quota
from core.webhooks import service as webhooks

# A tenant hears of it when this share of its credits is spent.
THRESHOLDS = (0.8, 1.0)


async def reserve(session: AsyncSession, tenant_id: UUID, amount: int) -> None:
    """Hold `amount` credits for a job. Raises `QuotaExceeded`; holding nothing always succeeds."""
    if amount == 0:
        return
    taken = await session.exec(
        update(Quota)
        .where(col(Quota.tenant_id) == tenant_id, Quota.used + Quota.reserved + amount <= col(Quota.credits))
        .values(reserved=Quota.reserved + amount)
        .returning(col(Quota.credits))
    )
    if taken.first() is None:
        left = await usage(session, tenant_id)
        available = left.credits - left.used - left.reserved
        raise QuotaExceeded(
            f"This needs {amount} credits and {available} are left.", needed=amount, available=available
        )


async def settle(session: AsyncSession, tenant_id: UUID, *, reserved: int, charged: int) -> None:
    """Give back what was held and charge what was delivered, which is never more."""
    if not 0 <= charged <= reserved:
        raise ValueError("a job is charged at most what was reserved for it")
    if reserved == 0:
        return
    settled = await session.exec(
        update(Quota)
        .where(col(Quota.tenant_id) == tenant_id)
        .values(reserved=Quota.reserved - reserved, used=Quota.used + charged)
        .returning(col(Quota.used), col(Quota.credits))
    )
    used, limit = settled.one()
    if charged:
        await limits.count_usage(session, tenant_id, charged)
    for share in THRESHOLDS:
        if used - charged < share * limit <= used:
            await webhooks.emit(
                session,
                tenant_id=tenant_id,
                type="quota.threshold",
                resource_id=tenant_id,
                data={"share": share, "credits": limit, "used": used},
            )


async def usage(session: AsyncSession, tenant_id: UUID) -> Quota:
    """What the tenant has, holds and has spent."""
    found = (await session.exec(select(Quota).where(Quota.tenant_id == tenant_id))).first()
    if found is None:
        raise NotFound
    return found


async def set_credits(session: AsyncSession, tenant_id: UUID, amount: int, *, actor: str = "operator") -> Quota:
    """Set the limit of credits alone. It never falls below what is spent and held."""
    tenant, quota = await limits.read(session, tenant_id)
    wanted = replace(limits.of(tenant, quota), credits=max(amount, quota.used + quota.reserved))
    return await limits.change(session, tenant_id, wanted, actor=actor)
