"""Tenants, their keys to the API, and their credits."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
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
    """A platform with its own keys, brand, quota and policies. plan: a name of `core.tenants.plans`.

    version: counts the changes of its name and region, so that two operators do not overwrite each other unseen.
    """

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
    plan: str = "standard"
    version: int = 1
    changed_by: str = "operator"
    changed_at: datetime = Field(default_factory=now, sa_type=Instant)
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
    """What a tenant may use: credits, of which some are held for running jobs and some spent, and places at work.

    concurrency: its jobs that may run at once; None is no cap. version: counts the changes of its limits, so that two
    operators do not overwrite each other unseen.
    """

    __table_args__ = (
        CheckConstraint("reserved >= 0 AND used >= 0", name="quota_not_negative"),
        CheckConstraint("used + reserved <= credits", name="quota_not_exceeded"),
        CheckConstraint("concurrency > 0", name="quota_concurrency"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "Counts of a platform.", by=None))},
    )
    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    credits: int = 0
    reserved: int = 0
    used: int = 0
    concurrency: int | None = None
    version: int = 1


class QuotaChange(SQLModel, table=True):
    """One change of a tenant's limits: who, when, from what, to what. Rows are only ever added."""

    __tablename__ = "quota_change"
    __table_args__ = (
        Index("quota_change_by_time", "tenant_id", "id"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "Limits of a platform.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    version: int
    actor: str
    before: dict[str, Any] = Field(sa_type=JSONB)
    after: dict[str, Any] = Field(sa_type=JSONB)
    changed_at: datetime = Field(default_factory=now, sa_type=Instant)


class UsageDay(SQLModel, table=True):
    """Credits that a tenant spent on one day, UTC: kept as they are charged, so that nobody counts a million jobs."""

    __tablename__ = "usage_day"
    __table_args__ = ({"info": table_info(tenancy="tenant", eraser=Eraser("keep", "A count of a platform.", by=None))},)
    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    day: date = Field(primary_key=True)
    used: int = 0
