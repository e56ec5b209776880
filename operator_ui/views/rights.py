"""What the console reads of rights requests."""

from datetime import datetime

from msgspec import Struct


class RightsRequest(Struct, frozen=True, kw_only=True):
    """What a person asked for, under which law, by when."""

    id: str
    tenant: str
    subject: str
    erasure: str | None = None
    kind: str
    state: str
    source: str = ""
    identity: str = ""
    law: str
    law_source: str = ""
    received_at: datetime
    acknowledge_by: datetime | None = None
    acknowledged_at: datetime | None = None
    due_at: datetime
    extendable_to: datetime | None = None
    extended_at: datetime | None = None
    extension_code: str | None = None
    exception: str | None = None
    closed_at: datetime | None = None
    elapsed: float | None = None
    clock: str = ""


class RightsPage(Struct, frozen=True, kw_only=True):
    """Requests."""

    data: list[RightsRequest]
    next_cursor: str | None = None
