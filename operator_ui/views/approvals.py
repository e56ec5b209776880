"""What the console reads of acts that take two people."""

from datetime import datetime

from msgspec import Struct


class Proposal(Struct, frozen=True, kw_only=True):
    """An act that waits for a second person."""

    id: str
    kind: str
    summary: str = ""
    state: str
    proposed_at: datetime
    expires_at: datetime


class Person(Struct, frozen=True, kw_only=True):
    """An operator, or a machine without an id."""

    id: str | None = None
    name: str


class Approval(Struct, frozen=True, kw_only=True):
    """A proposal, and what became of it."""

    id: str
    kind: str
    summary: str = ""
    effect: list[str] = []
    state: str
    tenant: str | None = None
    email: str | None = None
    reason: str = ""
    proposed_by: Person
    proposed_at: datetime
    expires_at: datetime
    decided_by: Person | None = None
    decided_at: datetime | None = None
    decision_reason: str | None = None
    failure: str | None = None
    may_decide: bool = False


class ApprovalPage(Struct, frozen=True, kw_only=True):
    """Proposals."""

    data: list[Approval]
    next_cursor: str | None = None
