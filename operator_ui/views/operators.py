"""What the console reads of operators."""

from datetime import datetime

from msgspec import Struct


class Operator(Struct, frozen=True, kw_only=True):
    """Who is signed in."""

    id: str | None = None
    name: str
    role: str
    email: str | None = None


class OperatorRow(Struct, frozen=True, kw_only=True):
    """Somebody who may sign in, or might once."""

    id: str
    name: str
    email: str | None = None
    role: str
    signs_in_with: list[str] = []
    sessions: int = 0
    version: int = 0
    created_at: datetime | None = None
    removed_at: datetime | None = None


class OperatorPage(Struct, frozen=True, kw_only=True):
    """Operators."""

    data: list[OperatorRow]
    next_cursor: str | None = None


class Invitation(Struct, frozen=True, kw_only=True):
    """A link that opens the door once."""

    token: str
    link: str | None = None
    expires_at: datetime | None = None
    approval: str | None = None
