"""Tombstones: who was erased, how far the erasing has come, who was told, and the certificate of it."""

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


class ErasureState(StrEnum):
    """shredded: the key is gone, nothing can be read again. erased: the ciphertext and the rows are gone as well."""

    SHREDDED = "shredded"
    ERASED = "erased"


class Step(StrEnum):
    """The steps of an erasure, in order. `core.rights.erase` numbers and does them."""

    TOMBSTONE = "tombstone"
    KEY = "key"
    RECEIVERS = "receivers"
    JOBS = "jobs"
    OBJECTS = "objects"
    ROWS = "rows"
    RESCAN = "rescan"
    CERTIFICATE = "certificate"


class Tombstone(SQLModel, table=True):
    """Says that a subject was erased. Written in the transaction that destroys the key; replayed after any restore.

    steps: each step that was done → when, last. removed: what was removed, by class and by table, as counts.
    scans: what the rescan looked at, how, and what it found. last_error: the type of what stopped the last try.
    """

    __table_args__ = (
        CheckConstraint("state IN ('shredded', 'erased')", name="tombstone_state"),
        Index("tombstone_unfinished", "next_at", postgresql_where=text("certified_at IS NULL")),
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
    steps: dict[str, str] = Field(default_factory=dict, sa_type=JSONB)
    removed: dict[str, dict[str, int]] = Field(default_factory=dict, sa_type=JSONB)
    scans: list[dict[str, Any]] | None = Field(default=None, sa_type=JSONB)
    last_error: str | None = None
    certified_at: datetime | None = Field(default=None, sa_type=Instant)

    def done(self, step: Step) -> None:
        """Note that a step is done, now. A step that was done before keeps its newest time."""
        self.steps = {**self.steps, step.value: now().isoformat()}

    def count(self, group: str, found: dict[str, int]) -> None:
        """Add to the counts of what was removed."""
        known = self.removed.get(group, {})
        added = {name: known.get(name, 0) + number for name, number in found.items() if number}
        if added:
            self.removed = {**self.removed, group: {**known, **added}}


class ErasureReceiver(SQLModel, table=True):
    """An endpoint that was told of an erasure, and its word that it has erased on its side as well."""

    __tablename__ = "erasure_receiver"
    __table_args__ = (
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "Which platform endpoint was told, and when."))},
    )
    subject_id: UUID = Field(primary_key=True)
    endpoint_id: UUID = Field(primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    told_at: datetime = Field(default_factory=now, sa_type=Instant)
    confirmed_at: datetime | None = Field(default=None, sa_type=Instant)
    confirmed_by: str | None = None


class ErasureCertificate(SQLModel, table=True):
    """The proof of one erasure. First a draft, whose digest goes into the log; then signed, with the log's proof.

    body: what is certified. entry_id: the leaf that binds it. document: the signed file, byte for byte. rendering: the
    same as a PDF.
    """

    __tablename__ = "erasure_certificate"
    __table_args__ = (
        Index("erasure_certificate_once", "tenant_id", "subject_id", unique=True),
        {
            "info": table_info(
                tenancy="tenant", eraser=Eraser("keep", "The proof itself: random ids, counts and times.")
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID
    body: dict[str, Any] = Field(sa_type=JSONB)
    entry_id: UUID
    document: bytes | None = None
    rendering: bytes | None = None
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    issued_at: datetime | None = Field(default=None, sa_type=Instant)
