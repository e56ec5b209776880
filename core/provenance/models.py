"""What the database knows of authenticity: each tenant's signers, and every mark given out.

A mark is the number that a headshot carries in its pixels and its manifest. Whoever asks about one learns
whether it is ours and whether it was erased; tenant and subject are columns that no answer is made from.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id


class Signer(SQLModel, table=True):
    """A tenant's certificate for signing manifests, and its sealed key. The newest that is not retired signs."""

    __tablename__ = "provenance_signer"
    __table_args__ = (
        Index("provenance_signer_version", "tenant_id", "version", unique=True),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "Belongs to a platform, not a person.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    version: int
    certificate: str
    sealed_key: bytes
    not_after: datetime = Field(sa_type=Instant)
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    retired_at: datetime | None = Field(default=None, sa_type=Instant)


class Mark(SQLModel, table=True):
    """A mark that was given out. Without its headshot it says one thing only: made here, and erased."""

    __tablename__ = "provenance_mark"
    __table_args__ = (
        CheckConstraint("octet_length(mark) = 8", name="provenance_mark_64_bits"),
        Index("provenance_mark_of_subject", "tenant_id", "subject_id"),
        Index("provenance_mark_of_headshot", "tenant_id", "headshot_id"),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser(
                    "redact",
                    "The number stays, so that a copy still answers 'erased'; nothing links it any more.",
                    columns=("subject_id", "headshot_id"),
                ),
            )
        },
    )
    mark: bytes = Field(primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID | None = Field(default=None, foreign_key="subject.id")
    headshot_id: UUID | None = None
    created_at: datetime = Field(default_factory=now, sa_type=Instant)


class Fingerprint(SQLModel, table=True):
    """A delivered file, as a keyed digest of its bytes: says that exactly this file left here."""

    __tablename__ = "provenance_fingerprint"
    __table_args__ = (
        Index("provenance_fingerprint_of_subject", "tenant_id", "subject_id"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("delete", "It is the digest of a picture of the person."))},
    )
    fingerprint: bytes = Field(primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    mark: bytes
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
