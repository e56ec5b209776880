"""What the database knows of a sealed object."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id

EXPORT_KEPT = "state = 'stored' AND kind = 'export'"


class AssetKind(StrEnum):
    """What the sealed bytes are."""

    PHOTO = "photo"
    HEADSHOT = "headshot"
    EXPORT = "export"


class AssetState(StrEnum):
    """There is no state before `stored`: the row is written only once the object is down."""

    STORED = "stored"
    ERASED = "erased"


class Asset(SQLModel, table=True):
    """One sealed object. `wrapped_key` is its random key under the subject's; without it the object is noise."""

    __table_args__ = (
        CheckConstraint("kind IN ('photo', 'headshot', 'export')", name="asset_kind"),
        CheckConstraint("state IN ('stored', 'erased')", name="asset_state"),
        CheckConstraint("state = 'erased' OR wrapped_key IS NOT NULL", name="asset_has_key"),
        Index("asset_by_object", "object_name", unique=True),
        Index("asset_of_subject", "tenant_id", "subject_id", postgresql_where=text("state = 'stored'")),
        # As those of `photo`; photos and headshots go by their own rows.
        Index("export_kept_until", "tenant_id", "expires_at", "id", postgresql_where=text(EXPORT_KEPT)),
        Index("export_kept_for", "tenant_id", text("(expires_at - created_at)"), postgresql_where=text(EXPORT_KEPT)),
        Index(
            "export_to_tell",
            "tenant_id",
            "expires_at",
            "id",
            postgresql_where=text(f"{EXPORT_KEPT} AND warned_at IS NULL"),
        ),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser("redact", "The id answers 410; the object goes first.", columns=("wrapped_key",)),
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    kind: str
    version: int = 1
    object_name: str
    wrapped_key: bytes | None = None
    media_type: str
    variant: str | None = None
    width: int
    height: int
    plain_bytes: int
    state: str = AssetState.STORED
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    expires_at: datetime | None = Field(default=None, sa_type=Instant)
    warned_at: datetime | None = Field(default=None, sa_type=Instant)
    erased_at: datetime | None = Field(default=None, sa_type=Instant)
