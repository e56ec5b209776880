"""The time, injectable.

Every rule that depends on the time calls `now()`. Tests move it with `frozen_at`; nothing else may.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_frozen: ContextVar[datetime | None] = ContextVar("likeness_frozen_time", default=None)


def now() -> datetime:
    """The current moment as an aware UTC datetime."""
    return _frozen.get() or datetime.now(UTC)


@contextmanager
def frozen_at(moment: datetime) -> Iterator[None]:
    """Hold `now()` at one aware moment within the block and the tasks started in it."""
    if moment.tzinfo is None:
        message = "a moment without a time zone is no moment"
        raise ValueError(message)
    token = _frozen.set(moment.astimezone(UTC))
    try:
        yield
    finally:
        _frozen.reset(token)
