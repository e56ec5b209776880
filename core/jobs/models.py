"""Jobs: their states, their place in the queue, and who holds them."""

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


class JobState(StrEnum):
    """Where a job is. The last four are final; but a failed one is a dead letter, which an operator may put back."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"


# The database holds the same table, and refuses every other step.
TRANSITIONS: frozenset[tuple[JobState, JobState]] = frozenset(
    {
        (JobState.PENDING, JobState.RUNNING),
        (JobState.PENDING, JobState.CANCELLED),
        (JobState.PENDING, JobState.FAILED),
        (JobState.PENDING, JobState.REFUSED),
        (JobState.RUNNING, JobState.PENDING),  # handed back, or rescued from a dead worker
        (JobState.RUNNING, JobState.DONE),
        (JobState.RUNNING, JobState.FAILED),
        (JobState.RUNNING, JobState.CANCELLED),
        (JobState.RUNNING, JobState.REFUSED),
        (JobState.FAILED, JobState.PENDING),  # an operator puts a dead letter back in line
    }
)

FINAL = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.REFUSED})

ENDED = "state IN ('done', 'failed', 'cancelled', 'refused')"


class Job(SQLModel, table=True):
    """One request for headshots.

    attempt is the fence: every write of a worker names the attempt that it was given. fair_start and fair_finish are
    the start-time fair queueing tags (Goyal, Vin and Cheng, 1996); work is the exact cost on the GPU, in
    steps × rows × tokens; cost is what the tenant pays, in credits. looks holds the tenant's own styles among `styles`,
    as they were when it was asked for; retouch is the level asked for, where it is not the styles' own, attire what
    happens to clothes, where they are not kept, and mark_id the visible mark.
    """

    __table_args__ = (
        CheckConstraint("state IN ('pending', 'running', 'done', 'failed', 'cancelled', 'refused')", name="job_state"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="job_lease"),
        Index("job_by_time", "tenant_id", "id"),
        Index("job_of_subject", "tenant_id", "subject_id", "id"),
        Index("job_pending", "region", "fair_start", "id", postgresql_where=text("state = 'pending'")),
        Index("job_lease_end", "lease_until", postgresql_where=text("state = 'running'")),
        # The end of a tenant's line, without what was cancelled before it was served.
        Index(
            "job_line_end",
            "tenant_id",
            "region",
            "fair_finish",
            postgresql_where=text("state <> 'cancelled' OR started_at IS NOT NULL"),
        ),
        # What did not go well, and what is still to be done, by state: for all tenants, and for each.
        Index("job_by_state", "state", "id", postgresql_where=text("state <> 'done'")),
        Index("job_of_tenant_by_state", "tenant_id", "state", "id", postgresql_where=text("state <> 'done'")),
        # Each tenant's own line, for when the head of the whole line must wait for its tenant's cap.
        Index(
            "job_pending_of_tenant",
            "region",
            "tenant_id",
            "fair_start",
            "id",
            postgresql_where=text("state = 'pending'"),
        ),
        # How much waits and since when, and what was refused of late: read from the index alone.
        Index("job_waiting_since", "region", "created_at", postgresql_where=text("state = 'pending'")),
        Index(
            "job_ended_badly",
            "finished_at",
            "reason_code",
            "state",
            postgresql_where=text("state IN ('refused', 'failed')"),
        ),
        Index("job_ended", "tenant_id", "finished_at", "id", postgresql_where=text(ENDED)),
        # How long jobs have taken of late.
        Index("job_lately_done", "region", "finished_at", postgresql_where=text("state = 'done'")),
        {
            "info": table_info(
                tenancy="tenant",
                eraser=Eraser("keep", "States, costs and times; the answer to the id is 410."),
            )
        },
    )
    id: UUID = Field(default_factory=new_id, primary_key=True)
    tenant_id: UUID = Field(foreign_key="tenant.id")
    subject_id: UUID = Field(foreign_key="subject.id")
    photo_id: UUID = Field(foreign_key="photo.id")
    mode: str
    region: str
    state: str = JobState.PENDING
    styles: list[str] = Field(sa_type=JSONB)
    looks: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    retouch: str | None = None
    mark_id: UUID | None = None
    attire: str | None = None
    seed: int = Field(sa_column_kwargs={"comment": "31 bits"})
    cost: int
    charged: int = 0
    work: int
    weight: float
    fair_start: float
    fair_finish: float
    erasure_epoch: int
    retain_seconds: int
    attempt: int = 0
    deaths: int = 0
    not_before: datetime = Field(default_factory=now, sa_type=Instant)
    worker: str | None = None
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    cancel_requested_at: datetime | None = Field(default=None, sa_type=Instant)
    stage: str | None = None
    progress: float = 0.0
    reason_code: str | None = None
    reason: str | None = None
    timings: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    created_at: datetime = Field(default_factory=now, sa_type=Instant)
    started_at: datetime | None = Field(default=None, sa_type=Instant)
    finished_at: datetime | None = Field(default=None, sa_type=Instant)


class FairClock(SQLModel, table=True):
    """The virtual time of a region's queue: the start tag of the job last taken into service."""

    __tablename__ = "fair_clock"
    __table_args__ = (
        {"info": table_info(tenancy="system", eraser=Eraser("keep", "A number for a whole region.", by=None))},
    )
    region: str = Field(primary_key=True)
    virtual_time: float = 0.0


class FairShare(SQLModel, table=True):
    """The finish tag of a tenant's last admitted job in a region."""

    __tablename__ = "fair_share"
    __table_args__ = (
        {"info": table_info(tenancy="tenant", eraser=Eraser("keep", "A number of a platform.", by=None))},
    )
    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    region: str = Field(primary_key=True)
    last_finish: float = 0.0
