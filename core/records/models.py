"""Who else processes for the platforms, version by version, and which platform was told of it when."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info


class SubprocessorList(SQLModel, table=True):
    """One version of the list of sub-processors. Versions are only ever added; the newest that is effective counts.

    entries: name, task, country, safeguard and data classes of each.
    """

    __tablename__ = "subprocessor_list"
    __table_args__ = (
        CheckConstraint("version > 0", name="subprocessor_list_version"),
        {"info": table_info(tenancy="system", eraser=Eraser("keep", "Companies, no people.", by=None))},
    )
    version: int = Field(primary_key=True)
    entries: list[dict[str, Any]] = Field(sa_type=JSONB)
    effective_at: datetime = Field(sa_type=Instant)
    published_at: datetime = Field(default_factory=now, sa_type=Instant)


class SubprocessorNotice(SQLModel, table=True):
    """That a platform was told of a version, and what it said. reason_code: why it objects."""

    __tablename__ = "subprocessor_notice"
    __table_args__ = (
        CheckConstraint("(objected_at IS NULL) = (reason_code IS NULL)", name="subprocessor_notice_objection"),
        Index("subprocessor_notice_by_version", "version", "tenant_id"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "A platform's answer.", by=None))},
    )
    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    version: int = Field(primary_key=True)
    told_at: datetime = Field(default_factory=now, sa_type=Instant)
    acknowledged_at: datetime | None = Field(default=None, sa_type=Instant)
    objected_at: datetime | None = Field(default=None, sa_type=Instant)
    reason_code: str | None = None
    answered_by: str | None = None
