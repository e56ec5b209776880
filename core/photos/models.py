"""What a person uploaded."""

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

KEPT = "state IN ('checking', 'ready')"


class PhotoState(StrEnum):
    """checking until the worker has looked for the face; then ready or refused; erased in the end."""

    CHECKING = "checking"
    READY = "ready"
    REFUSED = "refused"
    ERASED = "erased"


class Photo(SQLModel, table=True):
    """A photo: its pixels are in a sealed asset, its verdict is here.

    looked_at_until: the lease of the worker that has it in memory. warned_at: `asset.expiring` was sent.
    """

    __table_args__ = (
        CheckConstraint("state IN ('checking', 'ready', 'refused', 'erased')", name="photo_state"),
        Index("photo_of_subject", "tenant_id", "subject_id", "id"),
        # The sweep goes by tenant: what has reached its day, what is kept longer than the term, whom nobody told.
        Index("photo_kept_until", "tenant_id", "expires_at", "id", postgresql_where=text(KEPT)),
        Index("photo_kept_for", "tenant_id", text("(expires_at - created_at)"), postgresql_where=text(KEPT)),
        Index("photo_to_tell", "tenant_id", "expires_at", "id", postgresql_where=text(f"{KEPT} AND warned_at IS NULL")),
        Index("photo_refused_until", "tenant_id", "expires_at", "id", postgresql_where=text("state = 'refused'")),
        Index(
            "photo_refused_for",
            "tenant_id",
            text("(expires_at - created_at)"),
            postgresql_where=text("state = 'refused'"),
        ),
        Index("photo_unchecked", "created_at", postgresql_where=text("state = 'checking'")),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser("redact", "The id answers 410.", columns=("report", "removed_metadata")),
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    asset_id: UUID = Field(foreign_key="asset.id")
    state: str = PhotoState.CHECKING
    source_format: str
    width: int
    height: int
    removed_metadata: list[str] | None = Field(default=None, sa_type=JSONB)
    report: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    checks: int = 0  # how often a worker has begun to look; a photo that kills workers is refused
    looked_at_until: datetime | None = Field(default=None, sa_type=Instant)
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant)
    warned_at: datetime | None = Field(default=None, sa_type=Instant)
    checked_at: datetime | None = Field(default=None, sa_type=Instant)
    erased_at: datetime | None = Field(default=None, sa_type=Instant)
