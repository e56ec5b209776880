"""Events and where they go. An event row is written in the transaction of what it tells: the outbox."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Computed, Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id


class DeliveryState(StrEnum):
    """pending until the receiver says 2xx, or the tries are used up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Event(SQLModel, table=True):
    """Something that happened: ids, states and times, nothing personal."""

    __table_args__ = (
        Index("event_of_resource", "tenant_id", "resource_id", "id"),
        Index("event_by_age", "tenant_id", "created_at", "id"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "Thin by rule: ids, states and times.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    type: str
    resource_id: UUID
    data: dict[str, Any] = Field(sa_type=JSONB)
    created_at: datetime = Field(default_factory=now, sa_type=Instant)


# The database takes it out of the address by itself, so that the two never differ.
_HOST = r"substring(url from '^[a-z]+://(?:[^/?#@]*@)?([^/:?#]+)')"


class WebhookEndpoint(SQLModel, table=True):
    """Where a tenant wants its events. host: all of the address that operators see; the rest may hold a token."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (
        CheckConstraint("state IN ('enabled', 'disabled')", name="webhook_endpoint_state"),
        Index("webhook_endpoint_of_tenant", "tenant_id", "id"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "A platform's address.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    url: str
    host: str | None = Field(default=None, sa_column=Column(String, Computed(_HOST, persisted=True)))
    description: str | None = None
    events: list[str] = Field(sa_type=JSONB)  # empty: all but headshot.progress
    sealed_secret: bytes
    sealed_previous_secret: bytes | None = None
    previous_until: datetime | None = Field(default=None, sa_type=Instant)
    state: str = "enabled"
    disabled_reason: str | None = None
    failing_since: datetime | None = Field(default=None, sa_type=Instant)
    created_at: datetime = Field(default_factory=now, sa_type=Instant)


class WebhookDelivery(SQLModel, table=True):
    """One event on its way to one endpoint. `lease_until` keeps two couriers from carrying it at once."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="webhook_delivery_state"),
        Index("webhook_delivery_by_time", "tenant_id", "id"),
        Index("webhook_delivery_of_event", "event_id"),
        Index("webhook_delivery_due", "next_at", postgresql_where=text("state = 'pending'")),
        Index("webhook_delivery_by_state", "state", "id", postgresql_where=text("state <> 'delivered'")),
        Index(
            "webhook_delivery_of_endpoint",
            "endpoint_id",
            "state",
            "id",
            postgresql_where=text("state <> 'delivered'"),
        ),
        Index("webhook_delivery_failed", "created_at", "last_error", postgresql_where=text("state = 'failed'")),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "A status code and times.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    endpoint_id: UUID = Field(foreign_key="webhook_endpoint.id")
    event_id: UUID = Field(foreign_key="event.id")
    state: str = DeliveryState.PENDING
    attempts: int = 0
    next_at: datetime = Field(default_factory=now, sa_type=Instant)
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    last_status: int | None = None
    last_error: str | None = None
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    delivered_at: datetime | None = Field(default=None, sa_type=Instant)
