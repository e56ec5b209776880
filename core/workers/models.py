"""Workers, as they report themselves."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from core.clock import now
from core.db import Eraser, Instant, table_info
from core.ids import new_id


class Worker(SQLModel, table=True):
    """One worker process. Nothing here is anyone's: what runs where, with which model, and whether it is leaving.

    engine: the loaded model, its digest, rows per pass and attention kernels; empty without a model. models: what is
    pinned in its registry. memory: bytes used and there, of the process and of the GPU. drain_asked_at: an operator
    wants it to leave. draining_at: it has heard, and takes no more. left_at: it said goodbye.
    """

    __table_args__ = (
        Index("worker_name", "name", unique=True),
        Index("worker_seen", "seen_at"),
        {"info": table_info(tenancy="system", eraser=Eraser("keep", "A process of ours.", by=None))},
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    name: str
    kind: str
    region: str
    concurrency: int
    jobs_in_hand: int = 0
    engine: dict[str, Any] = Field(default_factory=dict, sa_type=JSONB)
    models: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSONB)
    memory: dict[str, int] = Field(default_factory=dict, sa_type=JSONB)
    started_at: datetime = Field(default_factory=now, sa_type=Instant)
    seen_at: datetime = Field(default_factory=now, sa_type=Instant)
    drain_asked_at: datetime | None = Field(default=None, sa_type=Instant)
    drain_asked_by: str | None = None
    draining_at: datetime | None = Field(default=None, sa_type=Instant)
    left_at: datetime | None = Field(default=None, sa_type=Instant)
