"""Requests already answered, remembered for a day by hashes alone."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info


class IdempotencyRecord(SQLModel, table=True):
    """What a request with this key made. Neither the key, nor the body, nor the answer is stored."""

    __tablename__ = "idempotency_record"
    __table_args__ = (
        Index("idempotency_record_age", "created_at"),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "Hashes; gone after 24 hours.", by=None))},
    )
    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    key_hash: bytes = Field(primary_key=True)
    request_hash: bytes
    resource_id: UUID | None = None
    status: int | None = None
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
