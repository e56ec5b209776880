"""Let processing of a person stand still: their data is kept and not used (GDPR Art. 18(2), 21(1))."""

from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.consent.models import Restriction
from core.errors import ProcessingRestricted
from core.storage.tombstones import Kind, remember, remember_end


async def impose(session: AsyncSession, *, tenant_id: UUID, subject_id: UUID, request_id: UUID, kind: str) -> None:
    """From this commit on nothing is uploaded, made or kept. The caller holds the person's row exclusively."""
    session.add(Restriction(tenant_id=tenant_id, subject_id=subject_id, request_id=request_id, kind=kind))
    await session.flush()
    # A restore must not let go on what the person made stand still.
    said = {"subject": subject_id.hex, "asked": kind}
    await remember(session, Kind.RESTRICTION, tenant_id=tenant_id, id=request_id, **said)


async def lift(session: AsyncSession, *, request_id: UUID) -> bool:
    """End what a request imposed. False when nothing of it was in force."""
    query = select(Restriction).where(Restriction.request_id == request_id, col(Restriction.lifted_at).is_(None))
    found = (await session.exec(query.with_for_update())).first()
    if found is None:
        return False
    found.lifted_at = now()
    session.add(found)
    await session.flush()
    remember_end(session, tenant_id=found.tenant_id, id=request_id)
    return True


async def in_force(session: AsyncSession, subject_id: UUID) -> list[Restriction]:
    """What makes processing of this person stand still."""
    query = select(Restriction).where(Restriction.subject_id == subject_id, col(Restriction.lifted_at).is_(None))
    return list((await session.exec(query)).all())


async def require_none(session: AsyncSession, subject_id: UUID) -> None:
    """Raise `ProcessingRestricted` while a restriction or an objection is in force."""
    found = await in_force(session, subject_id)
    if found:
        raise ProcessingRestricted(restrictions=sorted({one.kind for one in found}))
