"""Tombstones: who was erased, and how far the erasing has come."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info


class ErasureState(StrEnum):
    """shredded: the key is gone, nothing can be read again. erased: the ciphertext and the rows are gone as well."""

    SHREDDED = "shredded"
    ERASED = "erased"


class Tombstone(SQLModel, table=True):
    """Says that a subject was erased. Written in the transaction that destroys the key; replayed after any restore."""

    __table_args__ = (
        CheckConstraint("state IN ('shredded', 'erased')", name="tombstone_state"),
        Index("tombstone_unfinished", "next_at", postgresql_where=text("state = 'shredded'")),
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "The proof itself: a random id and times."))},
    )
    subject_id: UUID = Field(primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    erasure_epoch: int
    state: str = ErasureState.SHREDDED
    attempts: int = 0
    next_at: datetime = Field(default_factory=now, sa_type=Instant)
    shredded_at: datetime = Field(default_factory=now, sa_type=Instant)
    erased_at: datetime | None = Field(default=None, sa_type=Instant)
    objects_deleted: int = 0
