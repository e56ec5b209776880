"""What the console reads of terms and legal holds."""

from datetime import date, datetime

from msgspec import Struct


class Term(Struct, frozen=True, kw_only=True):
    """How long one class is kept, and why."""

    data_class: str
    seconds: int
    warn_seconds: int | None = None
    version: int
    minimum_seconds: int
    maximum_seconds: int
    default_seconds: int
    default_reason: str = ""
    starts: str = ""
    goes: str = ""
    stays: str = ""


class Expiry(Struct, frozen=True, kw_only=True):
    """How many of a class go on a day."""

    data_class: str
    day: date
    count: int


class Retention(Struct, frozen=True, kw_only=True):
    """A tenant's terms."""

    tenant: str
    terms: list[Term]
    upcoming: list[Expiry] = []


class CurveDay(Struct, frozen=True, kw_only=True):
    """How much is gone by a day."""

    day: int
    at: datetime
    as_is: int
    changed: int


class Simulation(Struct, frozen=True, kw_only=True):
    """What a term would delete."""

    id: str
    data_class: str
    seconds: int
    kept: int = 0
    held: int = 0
    deletes_now: int = 0
    deletes_in_90_days: int = 0
    curve: list[CurveDay] = []


class Hold(Struct, frozen=True, kw_only=True):
    """A legal hold."""

    id: str
    subject_id: str
    data_classes: list[str] = []
    state: str
    expires_at: datetime
    created_at: datetime
    created_by: str = ""
    released_at: datetime | None = None


class HoldPage(Struct, frozen=True, kw_only=True):
    """Holds."""

    data: list[Hold]
    next_cursor: str | None = None
