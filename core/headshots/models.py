"""What we made."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id


class HeadshotState(StrEnum):
    """A headshot row exists only once it is made or refused by the still-me gate."""

    DONE = "done"
    REFUSED = "refused"
    ERASED = "erased"


class BrandStyle(SQLModel, table=True):
    """One published version of a tenant's own style. Rows are only ever added.

    azimuth, strength and wrap are those of `core.headshots.styles.Light`.
    """

    __tablename__ = "brand_style"
    __table_args__ = (
        Index("brand_style_version", "tenant_id", "name", "version", unique=True),
        {
            "info": table_info(
                tenancy="tenant", eraser=Eraser("keep", "A platform's colours; nobody is in it.", by=None)
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    name: str
    version: int
    title: str
    description: str
    backdrop: str
    palette: list[str] = Field(sa_type=JSONB)
    azimuth: float
    strength: float
    wrap: float
    retouch: str
    created_at: datetime = Field(default_factory=now, sa_type=Instant)


class Headshot(SQLModel, table=True):
    """One style of a job. `assets` names its sealed pictures: variant → hexadecimal id of the asset."""

    __table_args__ = (
        CheckConstraint("state IN ('done', 'refused', 'erased')", name="headshot_state"),
        Index("headshot_once", "job_id", "style", unique=True),
        Index("headshot_by_time", "tenant_id", "id"),
        Index("headshot_expiry", "expires_at", postgresql_where=text("state <> 'erased'")),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser("redact", "The id answers 410.", columns=("ledger", "likeness")),
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    job_id: UUID = Field(foreign_key="job.id")
    style: str
    style_version: int
    state: str
    reason_code: str | None = None
    reason: str | None = None
    assets: dict[str, str] = Field(sa_type=JSONB)
    ledger: list[dict[str, Any]] | None = Field(default=None, sa_type=JSONB)
    likeness: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    seconds: float
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant)
    erased_at: datetime | None = Field(default=None, sa_type=Instant)
