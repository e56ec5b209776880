"""Endpoints and deliveries of all tenants, as the role that dispatches sees them: ids, states, codes and times.

Every function wants a system session.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import literal_column
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import NotFound
from core.webhooks.models import DeliveryState, Event, WebhookDelivery, WebhookEndpoint


@dataclass(frozen=True, slots=True)
class SeenEndpoint:
    """An endpoint by its host, without the rest of its address and its secret."""

    id: UUID
    tenant_id: UUID
    host: str | None
    state: str
    disabled_reason: str | None
    failing_since: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SeenDelivery:
    """A delivery, with the type of its event."""

    id: UUID
    tenant_id: UUID
    endpoint_id: UUID
    event_id: UUID
    state: str
    attempts: int
    next_at: datetime
    last_status: int | None
    last_error: str | None
    created_at: datetime
    delivered_at: datetime | None
    type: str


_ENDPOINT = tuple(getattr(WebhookEndpoint, name) for name in SeenEndpoint.__dataclass_fields__)
_DELIVERY: tuple[Any, ...] = (
    *(getattr(WebhookDelivery, name) for name in SeenDelivery.__dataclass_fields__ if name != "type"),
    Event.type,
)


async def endpoints(
    session: AsyncSession, *, state: str | None, tenant_id: UUID | None, before: UUID | None, limit: int
) -> list[SeenEndpoint]:
    """Endpoints of all tenants or of one, newest first. There are at most fifty a tenant."""
    query = select(*_ENDPOINT).order_by(col(WebhookEndpoint.id).desc()).limit(limit)
    if state is not None:
        query = query.where(WebhookEndpoint.state == state)
    if tenant_id is not None:
        query = query.where(WebhookEndpoint.tenant_id == tenant_id)
    if before is not None:
        query = query.where(WebhookEndpoint.id < before)
    return [SeenEndpoint(*row) for row in (await session.exec(query)).all()]


async def tenant_of_endpoint(session: AsyncSession, endpoint_id: UUID) -> UUID:
    """Whose endpoint this is, or `NotFound`."""
    found = (await session.exec(select(WebhookEndpoint.tenant_id).where(WebhookEndpoint.id == endpoint_id))).first()
    if found is None:
        raise NotFound
    return found


async def tenant_of_delivery(session: AsyncSession, delivery_id: UUID) -> UUID:
    """Whose delivery this is, or `NotFound`."""
    found = (await session.exec(select(WebhookDelivery.tenant_id).where(WebhookDelivery.id == delivery_id))).first()
    if found is None:
        raise NotFound
    return found


async def counts(session: AsyncSession, endpoint_ids: Sequence[UUID]) -> dict[tuple[UUID, str], int]:
    """How many deliveries wait, and how many were given up, by endpoint."""
    query = (
        select(WebhookDelivery.endpoint_id, WebhookDelivery.state, func.count())
        .where(
            literal_column("webhook_delivery.state") != literal_column("'delivered'"),
            col(WebhookDelivery.endpoint_id).in_(endpoint_ids),
        )
        .group_by(col(WebhookDelivery.endpoint_id), col(WebhookDelivery.state))
    )
    return {(endpoint_id, state): count for endpoint_id, state, count in (await session.exec(query)).all()}


async def deliveries(
    session: AsyncSession,
    *,
    state: DeliveryState | None,
    tenant_id: UUID | None,
    endpoint_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> list[SeenDelivery]:
    """Deliveries, newest first; in one state, of one tenant, to one endpoint. The last raises `NotFound`."""
    query = (
        select(*_DELIVERY)
        .join(Event, col(Event.id) == WebhookDelivery.event_id)
        .order_by(col(WebhookDelivery.id).desc())
        .limit(limit)
    )
    if state is not None:
        query = query.where(literal_column("webhook_delivery.state") == literal_column(f"'{state.value}'"))
    if endpoint_id is not None:
        owner = await tenant_of_endpoint(session, endpoint_id)
        if tenant_id not in {None, owner}:
            return []
        tenant_id = owner
        query = query.where(WebhookDelivery.endpoint_id == endpoint_id)
    if tenant_id is not None:
        query = query.where(WebhookDelivery.tenant_id == tenant_id)
    if before is not None:
        query = query.where(WebhookDelivery.id < before)
    return [SeenDelivery(*row) for row in (await session.exec(query)).all()]
