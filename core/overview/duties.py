"""What must not be forgotten, over all tenants: deadlines, erasures, receivers. In a system session."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import literal_column
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.rights import erase
from core.rights.models import RightsRequest, Tombstone
from core.webhooks.models import WebhookDelivery, WebhookEndpoint

AHEAD = 10
FAILURES_WITHIN = timedelta(days=7)

_OPEN = literal_column("rights_request.state") == literal_column("'received'")
_WAITING = literal_column("webhook_delivery.state") == literal_column("'pending'")
_FAILED = literal_column("webhook_delivery.state") == literal_column("'failed'")


@dataclass(frozen=True, slots=True)
class Webhooks:
    """How the receivers are. late_at: the moment at which the most overdue delivery should have gone."""

    endpoints: int
    disabled: int
    failing: int
    waiting: int
    late_at: datetime | None
    failed: dict[str, int]


@dataclass(frozen=True, slots=True)
class Deadline:
    """A rights request that waits for its answer, by the next moment that is too late."""

    request_id: UUID
    tenant_id: UUID
    kind: str
    law: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Duties:
    """Open requests and erasures."""

    open_requests: int
    overdue_requests: int
    next_deadlines: list[Deadline]
    open_erasures: int
    stuck_erasures: int


async def webhooks(session: AsyncSession) -> Webhooks:
    """The health of the receivers."""
    count = select(
        func.count(),
        func.count().filter(col(WebhookEndpoint.state) == "disabled"),
        func.count().filter(col(WebhookEndpoint.state) == "enabled", col(WebhookEndpoint.failing_since).is_not(None)),
    ).select_from(WebhookEndpoint)
    endpoints, disabled, failing = (await session.exec(count)).one()
    queue = select(func.count(), func.min(WebhookDelivery.next_at)).where(_WAITING).select_from(WebhookDelivery)
    waiting, earliest = (await session.exec(queue)).one()
    causes = (
        select(WebhookDelivery.last_error, func.count())
        .where(_FAILED, col(WebhookDelivery.created_at) > now() - FAILURES_WITHIN)
        .group_by(col(WebhookDelivery.last_error))
    )
    failed = {cause or "unknown": number for cause, number in (await session.exec(causes)).all()}
    late_at = earliest if earliest is not None and earliest < now() else None
    return Webhooks(endpoints, disabled, failing, waiting, late_at, failed)


async def duties(session: AsyncSession) -> Duties:
    """What people are owed, and what is in the way."""
    moment = now()
    counted = select(func.count(), func.count().filter(col(RightsRequest.due_at) <= moment)).where(_OPEN)
    open_requests, overdue = (await session.exec(counted.select_from(RightsRequest))).one()
    columns = tuple(getattr(RightsRequest, name) for name in ("id", "tenant_id", "kind", "law", "due_at"))
    ahead = select(*columns).where(_OPEN).order_by(col(RightsRequest.due_at), col(RightsRequest.id)).limit(AHEAD)
    deadlines = [Deadline(*row) for row in (await session.exec(ahead)).all()]
    stuck = func.count().filter(col(Tombstone.attempts) >= erase.STUCK_AFTER)
    erasures = select(func.count(), stuck).where(col(Tombstone.certified_at).is_(None)).select_from(Tombstone)
    unfinished, stuck_ones = (await session.exec(erasures)).one()
    return Duties(open_requests, overdue, deadlines, unfinished, stuck_ones)
