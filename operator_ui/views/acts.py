"""What the console reads of the operators' own log."""

from datetime import datetime
from typing import Any

from msgspec import Struct


class Act(Struct, frozen=True, kw_only=True):
    """One entry. digest: over the entry and the digest before it."""

    number: int
    kind: str
    actor: str
    tenant: str | None = None
    facts: dict[str, Any] = {}
    recorded_at: datetime
    digest: str


class ActPage(Struct, frozen=True, kw_only=True):
    """Entries, newest first, and the signed head of the log."""

    data: list[Act]
    next_before: int | None = None
    head: str | None = None
