"""What the console reads of erasures."""

from datetime import datetime

from msgspec import Struct


class Erasure(Struct, frozen=True, kw_only=True):
    """An erasure in a list."""

    id: str
    tenant: str
    state: str
    progress: str
    steps_done: int = 0
    steps: int = 0
    shredded_at: datetime
    erased_at: datetime | None = None
    certified_at: datetime | None = None
    objects_deleted: int = 0
    attempts: int = 0
    next_at: datetime | None = None
    last_error: str | None = None


class Step(Struct, frozen=True, kw_only=True):
    """A step and when it was done."""

    step: str
    done_at: datetime | None = None


class Scan(Struct, frozen=True, kw_only=True):
    """What a rescan looked at."""

    store: str
    how: str
    looked_at: int
    found: int


class Receiver(Struct, frozen=True, kw_only=True):
    """Whoever was told of an erasure."""

    endpoint: str
    told_at: datetime
    confirmed_at: datetime | None = None


class ErasureDetail(Erasure, frozen=True, kw_only=True):
    """One erasure."""

    step_times: list[Step] = []
    scans: list[Scan] = []
    receivers: list[Receiver] = []
    certificate: str | None = None


class ErasurePage(Struct, frozen=True, kw_only=True):
    """Erasures."""

    data: list[Erasure]
    next_cursor: str | None = None
