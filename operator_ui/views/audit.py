"""What the console reads of audit logs."""

from datetime import datetime

from msgspec import Struct


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One entry of a log."""

    id: str
    number: int | None = None
    kind: str
    actor: str
    recorded_at: datetime
    leaf: str = ""


class AuditPage(Struct, frozen=True, kw_only=True):
    """Entries, newest first."""

    data: list[AuditEntry]
    next_cursor: str | None = None


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A signed state of a log."""

    origin: str
    size: int
    root: str
    note: str
    signed_at: datetime


class CheckpointPage(Struct, frozen=True, kw_only=True):
    """Checkpoints, newest first."""

    data: list[Checkpoint]
    next_below: int | None = None


class Inclusion(Struct, frozen=True, kw_only=True):
    """That an entry is in the log."""

    entry: AuditEntry
    proof: list[str]
    checkpoint: Checkpoint


class Consistency(Struct, frozen=True, kw_only=True):
    """That a log only grew."""

    earlier: Checkpoint
    later: Checkpoint
    proof: list[str]
