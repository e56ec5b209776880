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

KEPT = "state = 'done'"


class HeadshotState(StrEnum):
    """A headshot row exists only once it is made or refused by the still-me gate."""

    DONE = "done"
    REFUSED = "refused"
    ERASED = "erased"


class VisibleMark(SQLModel, table=True):
    """One published version of a platform's own visible mark. Rows are only ever added.

    sealed_logo: the logo's RGBA samples, deflated, under the tenant's secrets key. logo_width, logo_height: in px.
    place, width and opacity are those of `core.headshots.visible_marks.Draft`.
    """

    __tablename__ = "visible_mark"
    __table_args__ = (
        Index("visible_mark_version", "tenant_id", "name", "version", unique=True),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "A platform's logo; nobody is in it.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    name: str
    version: int
    place: str
    width: float
    opacity: float
    logo_width: int
    logo_height: int
    sealed_logo: bytes
    created_at: datetime = Field(default_factory=now, sa_type=Instant)


class BrandStyle(SQLModel, table=True):
    """One published version of a tenant's own style. Rows are only ever added.

    mark_id: the visible mark that its headshots carry, in the version that was the newest at publication.
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
    mark_id: UUID | None = Field(default=None, foreign_key="visible_mark.id")
    created_at: datetime = Field(default_factory=now, sa_type=Instant)


class PreviewState(StrEnum):
    """Where a preview is."""

    PENDING = "pending"
    READY = "ready"


class StylePreview(SQLModel, table=True):
    """A style shown without anybody in it. The same look and mark are drawn once: `look_sha256` says which.

    look: as a job keeps it, None for a built-in style. sealed_picture: the JPEG, under the tenant's secrets key.
    """

    __tablename__ = "style_preview"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'ready')", name="style_preview_state"),
        CheckConstraint("(state = 'ready') = (sealed_picture IS NOT NULL)", name="style_preview_picture"),
        Index("style_preview_look", "tenant_id", "look_sha256", unique=True),
        Index("style_preview_pending", "created_at", postgresql_where=text("state = 'pending'")),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "Nobody is in it; the head is drawn.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    style: str
    style_version: int
    look: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    mark_id: UUID | None = Field(default=None, foreign_key="visible_mark.id")
    look_sha256: bytes
    state: str = PreviewState.PENDING
    sealed_picture: bytes | None = None
    created_at: datetime = Field(default_factory=now, sa_type=Instant)


class Headshot(SQLModel, table=True):
    """One style of a job. `assets` names its sealed pictures: variant → hexadecimal id of the asset."""

    __table_args__ = (
        CheckConstraint("state IN ('done', 'refused', 'erased')", name="headshot_state"),
        Index("headshot_once", "job_id", "style", unique=True),
        Index("headshot_by_time", "tenant_id", "id"),
        # As those of `photo`.
        Index("headshot_kept_until", "tenant_id", "expires_at", "id", postgresql_where=text(KEPT)),
        Index("headshot_kept_for", "tenant_id", text("(expires_at - created_at)"), postgresql_where=text(KEPT)),
        Index(
            "headshot_to_tell", "tenant_id", "expires_at", "id", postgresql_where=text(f"{KEPT} AND warned_at IS NULL")
        ),
        Index("headshot_refused_until", "tenant_id", "expires_at", "id", postgresql_where=text("state = 'refused'")),
        Index(
            "headshot_refused_for",
            "tenant_id",
            text("(expires_at - created_at)"),
            postgresql_where=text("state = 'refused'"),
        ),
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
    warned_at: datetime | None = Field(default=None, sa_type=Instant)
    erased_at: datetime | None = Field(default=None, sa_type=Instant)
