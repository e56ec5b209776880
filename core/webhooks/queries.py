"""Read events."""

from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.webhooks.models import Event


async def events_of(session: AsyncSession, resource_id: UUID, *, after: UUID | None, limit: int) -> list[Event]:
    """What happened to a resource, oldest first, from just after one event on."""
    query = select(Event).where(Event.resource_id == resource_id).order_by(col(Event.id)).limit(limit)
    if after is not None:
        query = query.where(Event.id > after)
    return list((await session.exec(query)).all())
