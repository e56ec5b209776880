"""Tenants, their keys to the API, and their credits."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id


class Mode(StrEnum):
    """live costs credits; test is the sandbox: free, visibly marked, on the same path."""

    LIVE = "live"
    TEST = "test"


class TenantState(StrEnum):
    """A suspended tenant may read and erase, and start nothing."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Tenant(SQLModel, table=True):
    """A platform with its own keys, brand, quota and policies."""

    __table_args__ = (
        CheckConstraint("state IN ('active', 'suspended')", name="tenant_state"),
        CheckConstraint("weight > 0", name="tenant_weight"),
        {"info": table_info(tenancy="self", eraser=Eraser("keep", "A platform, not a person.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    name: str
    region: str = "local"
    state: str = TenantState.ACTIVE
    weight: float = 1.0
    # Read by nobody: `retention_policy` took them over. They stay while processes of the release before still run.
    photo_retention_seconds: int = 7 * 86_400
    headshot_retention_seconds: int = 30 * 86_400
    created_at: datetime = Field(default_factory=now, sa_type=Instant)


class ApiKey(SQLModel, table=True):
    """A key to the API: its secret is stored as a SHA-256 only."""

    __tablename__ = "api_key"
    __table_args__ = (
        CheckConstraint("mode IN ('live', 'test')", name="api_key_mode"),
        Index("api_key_of_tenant", "tenant_id", "id"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "Belongs to a platform, not a person.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    name: str
    mode: str
    secret_hash: bytes
    scopes: list[str] = Field(sa_type=JSONB)
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    expires_at: datetime | None = Field(default=None, sa_type=Instant)
    revoked_at: datetime | None = Field(default=None, sa_type=Instant)
    replaces: UUID | None = None


class Quota(SQLModel, table=True):
    """Credits of a tenant: what it may spend, holds for running jobs, and has spent."""

    __table_args__ = (
        CheckConstraint("reserved >= 0 AND used >= 0", name="quota_not_negative"),
        CheckConstraint("used + reserved <= credits", name="quota_not_exceeded"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "Counts of a platform.", by=None))},
    )
    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    credits: int = 0
    reserved: int = 0
    used: int = 0
