"""What the console reads of the service as it is now."""

from datetime import datetime

from msgspec import Struct


class Line(Struct, frozen=True, kw_only=True):
    """A region's queue."""

    region: str
    waiting: int = 0
    oldest_seconds: float | None = None
    workers: int = 0
    places: int = 0


class Hour(Struct, frozen=True, kw_only=True):
    """Jobs finished within an hour."""

    begins_at: datetime
    done: int


class AtWork(Struct, frozen=True, kw_only=True):
    """A tenant with jobs at work."""

    tenant: str
    name: str
    running: int
    concurrency: int | None = None
    weight: float = 1.0


class Refusals(Struct, frozen=True, kw_only=True):
    """Jobs that were refused or failed, by reason."""

    state: str
    reason_code: str
    count: int


class Receivers(Struct, frozen=True, kw_only=True):
    """The health of webhooks."""

    endpoints: int = 0
    disabled: int = 0
    failing: int = 0
    waiting: int = 0
    late_seconds: float | None = None
    failed: dict[str, int] = {}


class Deadline(Struct, frozen=True, kw_only=True):
    """A rights request that waits."""

    id: str
    tenant: str
    kind: str
    law: str
    due_at: datetime


class Duties(Struct, frozen=True, kw_only=True):
    """What people are owed."""

    open_requests: int = 0
    overdue_requests: int = 0
    next_deadlines: list[Deadline] = []
    open_erasures: int = 0
    stuck_erasures: int = 0


class Alert(Struct, frozen=True, kw_only=True):
    """Something that somebody should look at."""

    code: str
    severity: str
    count: int
    text: str


class Now(Struct, frozen=True, kw_only=True):
    """How the service is."""

    at: datetime
    queue: list[Line] = []
    throughput: list[Hour] = []
    at_work: list[AtWork] = []
    refusals: list[Refusals] = []
    dead_letters: int = 0
    approvals: int = 0
    webhooks: Receivers = Receivers()
    duties: Duties = Duties()
    keys: str = "ok"
    alerts: list[Alert] = []
