"""What the console reads of quotas."""

from datetime import date, datetime

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """Limits of a tenant, or of a plan."""

    credits: int
    concurrency: int | None = None
    weight: float = 1.0


class Day(Struct, frozen=True, kw_only=True):
    """Credits spent on a day."""

    day: date
    used: int


class Quota(Struct, frozen=True, kw_only=True):
    """A tenant's limits and use."""

    tenant: str
    name: str
    state: str
    region: str
    plan: str
    ceilings: Limits
    version: int
    credits: int
    reserved: int
    used: int
    available: int
    concurrency: int | None = None
    weight: float = 1.0
    running: int = 0
    used_per_day: float = 0.0
    exhausted_at: datetime | None = None


class QuotaDetail(Quota, frozen=True, kw_only=True):
    """The same, day by day."""

    days: list[Day] = []


class QuotaPage(Struct, frozen=True, kw_only=True):
    """Quotas."""

    data: list[Quota]
    next_cursor: str | None = None


class QuotaChange(Struct, frozen=True, kw_only=True):
    """One change of limits."""

    version: int
    actor: str
    before: Limits
    after: Limits
    changed_at: datetime


class QuotaHistory(Struct, frozen=True, kw_only=True):
    """Changes, newest first."""

    data: list[QuotaChange]
    next_cursor: str | None = None


class Share(Struct, frozen=True, kw_only=True):
    """A tenant's part of its region."""

    tenant: str
    name: str
    busy: bool
    before: float
    after: float
    before_of_busy: float = 0.0
    after_of_busy: float = 0.0


class QuotaPreview(Struct, frozen=True, kw_only=True):
    """What a change would mean."""

    before: Limits
    after: Limits
    above_plan: list[str] = []
    shares: list[Share] = []
    notes: list[str] = []
