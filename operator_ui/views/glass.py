"""What the console reads while two people look at single people's records: ids, states and times."""

from datetime import datetime

from msgspec import Struct


class Thing(Struct, frozen=True, kw_only=True):
    """A photo, a headshot or a job."""

    id: str
    state: str
    created_at: datetime
    expires_at: datetime | None = None


class SubjectRecord(Struct, frozen=True, kw_only=True):
    """What there is of one person."""

    id: str
    created_at: datetime
    erased_at: datetime | None = None
    photos: list[Thing] = []
    headshots: list[Thing] = []
    jobs: list[Thing] = []


class SubjectRecordPage(Struct, frozen=True, kw_only=True):
    """People, newest first. until: when this closes."""

    data: list[SubjectRecord]
    next_cursor: str | None = None
    until: datetime
