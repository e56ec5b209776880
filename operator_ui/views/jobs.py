"""What the console reads of jobs."""

from datetime import datetime

from msgspec import Struct


class Job(Struct, frozen=True, kw_only=True):
    """A job in a list."""

    id: str
    tenant: str
    region: str
    mode: str
    state: str
    stage: str | None = None
    progress: float = 0.0
    attempts: int = 0
    deaths: int = 0
    worker: str | None = None
    reason_code: str | None = None
    cancel_requested_at: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Stage(Struct, frozen=True, kw_only=True):
    """How long a stage took."""

    stage: str
    seconds: float


class JobDetail(Job, frozen=True, kw_only=True):
    """One job."""

    styles: int = 0
    cost: int = 0
    charged: int = 0
    weight: float = 1.0
    not_before: datetime | None = None
    waited_seconds: float | None = None
    timings: list[Stage] = []
    requeueable: bool = False


class JobPage(Struct, frozen=True, kw_only=True):
    """Jobs, newest first."""

    data: list[Job]
    next_cursor: str | None = None
