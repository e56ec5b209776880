"""What the console reads of the API's answers: the fields that it shows. All else in an answer is passed over."""

from datetime import datetime

from msgspec import Struct


class Operator(Struct, kw_only=True):
    """Who is signed in."""

    id: str | None = None
    name: str
    role: str
    email: str | None = None


class Session(Struct, kw_only=True):
    """A session, as the API has it."""

    operator: Operator
    expires_at: datetime | None = None


class Proposal(Struct, kw_only=True):
    """An act that waits for a second person."""

    id: str
    kind: str
    summary: str = ""
    state: str = "pending"
    proposed_at: datetime | None = None
    expires_at: datetime | None = None
