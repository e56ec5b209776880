"""How long each class of data is kept, what a change was said to delete, and what may not be deleted at all."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id

_CLASSES = (
    "data_class IN ('photo', 'headshot', 'rejected_output', 'export', 'consent_evidence', 'job_metadata', "
    "'delivery_log', 'audit')"
)


class RetentionPolicy(SQLModel, table=True):
    """One version of a tenant's term for one class. The newest counts; rows are only ever added: this is the history.

    warn_seconds: how long before its day an asset is told of, where the class has such a warning. simulation_id and
    deletes_now: what a shortening was simulated to delete at once, before it was made. approval: the approval of two
    operators that stood in place of a fresh simulation.
    """

    __tablename__ = "retention_policy"
    __table_args__ = (
        CheckConstraint(_CLASSES, name="retention_policy_class"),
        CheckConstraint("seconds > 0 AND version > 0", name="retention_policy_positive"),
        {
            "info": table_info(
                tenancy="tenant", eraser=Eraser("keep", "A platform's terms, about no person.", by=None)
            ),
        },
    )
    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    data_class: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    seconds: int
    warn_seconds: int | None = None
    changed_by: str
    changed_at: datetime = Field(default_factory=now, sa_type=Instant)
    simulation_id: UUID | None = None
    deletes_now: int | None = None
    approval: str | None = None


class RetentionSimulation(SQLModel, table=True):
    """That somebody asked what a term would delete, and was told. A shortening names the one that it rests on."""

    __tablename__ = "retention_simulation"
    __table_args__ = (
        CheckConstraint(_CLASSES, name="retention_simulation_class"),
        Index("retention_simulation_age", "tenant_id", "created_at"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "Counts of a platform.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    data_class: str
    seconds: int
    policy_version: int
    deletes_now: int
    deletes_in_90_days: int
    created_by: str
    created_at: datetime = Field(default_factory=now, sa_type=Instant)


class LegalHold(SQLModel, table=True):
    """What is kept of a person because somebody needs it for a legal claim: the named classes, until a day.

    It stands until it is released or `expires_at` has passed. The reason may speak of the person, and is sealed under
    their key.
    """

    __tablename__ = "legal_hold"
    __table_args__ = (
        CheckConstraint("expires_at > created_at", name="legal_hold_ends"),
        CheckConstraint("(released_at IS NULL) = (released_by IS NULL)", name="legal_hold_released"),
        Index("legal_hold_of_subject", "tenant_id", "subject_id", "id"),
        Index("legal_hold_by_time", "tenant_id", "id"),
        Index(
            "legal_hold_standing",
            "tenant_id",
            "subject_id",
            "expires_at",
            postgresql_where=text("released_at IS NULL"),
        ),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser("redact", "That it stood, and until when, is provable.", columns=("sealed_reason",)),
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    data_classes: list[str] = Field(sa_type=JSONB)
    sealed_reason: bytes | None = None
    expires_at: datetime = Field(sa_type=Instant)
    created_by: str
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    released_at: datetime | None = Field(default=None, sa_type=Instant)
    released_by: str | None = None
