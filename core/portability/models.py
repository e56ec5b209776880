"""What came in an export of another platform."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id


class PersonImport(SQLModel, table=True):
    """An export that was taken in for a person. Its photos are photos of theirs now; the rest of it is kept as history.

    manifest_sha256: of the signed manifest, so that no export comes in twice. issuer, key_id: who signed it.
    sealed_source: the person's consents and requests as they stood there, sealed under their key here. photos: the ids
    of what was made of its pictures, as hexadecimal text.
    """

    __tablename__ = "person_import"
    __table_args__ = (
        Index("person_import_once", "tenant_id", "subject_id", "manifest_sha256", unique=True),
        {"info": table_info(tenancy="tenant", eraser=Eraser("delete", "What came with the person goes with them."))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    manifest_sha256: str
    issuer: str
    key_id: str
    sealed_source: bytes
    photos: list[str] = Field(sa_type=JSONB)
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
