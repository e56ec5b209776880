"""The people in the photos: known by a random id; everything personal about them is sealed under their own key."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, FetchedValue, Index, String
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id


class Subject(SQLModel, table=True):
    """A person. `erasure_epoch` rises when they are erased; whoever works for them checks it before every effect.

    mode: of the key that made them; the database takes it from the session. No key of the other mode sees them, or what
    is theirs: each table with a `subject_id` has a policy `own_mode`.
    """

    __table_args__ = (
        Index("subject_by_reference", "tenant_id", "mode", "reference_index", unique=True),
        CheckConstraint("mode IN ('live', 'test')", name="subject_mode"),
        Index("subject_by_time", "tenant_id", "id"),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser(
                    "redact",
                    "The row stays to answer 410; all that is personal goes.",
                    by="id",
                    columns=("reference_index", "sealed_reference", "sealed_name", "sealed_email", "jurisdiction"),
                ),
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    mode: str = Field(sa_column=Column(String, FetchedValue(), nullable=False), default=None)
    reference_index: bytes | None = None
    sealed_reference: bytes | None = None
    sealed_name: bytes | None = None
    sealed_email: bytes | None = None
    jurisdiction: str | None = None
    erasure_epoch: int = 0
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    erased_at: datetime | None = Field(default=None, sa_type=Instant)


class SubjectRevision(SQLModel, table=True):
    """What a field of a person said before it was corrected, sealed under the person's key (GDPR Art. 5(2), 16)."""

    __tablename__ = "subject_revision"
    __table_args__ = (
        Index("subject_revision_of_subject", "tenant_id", "subject_id", "id"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("delete", "What was known of the person goes with them."))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    field: str
    sealed_before: bytes | None = None
    actor: str
    replaced_at: datetime = Field(default_factory=now, sa_type=Instant)


class AccessEntry(SQLModel, table=True):
    """One opening of something sealed for a person: what, by whom, why. The person may ask to see it."""

    __tablename__ = "access_entry"
    __table_args__ = (
        Index("access_entry_of_subject", "tenant_id", "subject_id", "id"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("delete", "Nothing is left that it could tell of."))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    what: str
    resource_id: UUID
    actor: str
    why: str
    opened_at: datetime = Field(default_factory=now, sa_type=Instant)
