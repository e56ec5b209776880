"""The log of what happened: provable, with no personal data."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id


class AuditEntry(SQLModel, table=True):
    """One leaf. `commitment` binds the ids that it is about without showing them to whoever has not the salt."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("audit_entry_by_time", "tenant_id", "id"),
        Index("audit_entry_of_subject", "tenant_id", "subject_id", "id"),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser(
                    "redact", "The leaf stays; what links it to a person goes.", columns=("salt", "subject_id")
                ),
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID | None = None
    kind: str
    actor: str
    salt: bytes | None = None
    commitment: bytes
    leaf_hash: bytes
    recorded_at: datetime = Field(default_factory=now, sa_type=Instant)
