"""What the console reads of webhooks."""

from datetime import datetime

from msgspec import Struct


class Endpoint(Struct, frozen=True, kw_only=True):
    """A webhook endpoint."""

    id: str
    tenant: str
    host: str
    state: str
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    waiting: int = 0
    failed: int = 0
    created_at: datetime | None = None


class EndpointPage(Struct, frozen=True, kw_only=True):
    """Endpoints."""

    data: list[Endpoint]
    next_cursor: str | None = None


class Delivery(Struct, frozen=True, kw_only=True):
    """One delivery."""

    id: str
    tenant: str
    endpoint: str
    event: str = ""
    type: str
    state: str
    attempts: int
    next_at: datetime | None = None
    cause: str | None = None
    last_status: int | None = None
    created_at: datetime
    delivered_at: datetime | None = None


class DeliveryPage(Struct, frozen=True, kw_only=True):
    """Deliveries."""

    data: list[Delivery]
    next_cursor: str | None = None
