"""Pages: newest first, with a cursor that callers pass back unread.

The cursor is the last id of the page before. Ids are UUIDv7, so their order is the order of creation.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol, TypeVar
from uuid import UUID

from litestar.params import QueryParameter

from api.wire import PLAIN_TEXT
from core.errors import CursorInvalid

_VERSION = b"\x01"
_PLACE = b"\x02"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UUID_BYTES = 16

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many at most.")]
Cursor = Annotated[
    str | None,
    QueryParameter(
        max_length=64,
        required=False,
        schema_extra=PLAIN_TEXT,
        description="`next_cursor` of the page before; leave out to start.",
    ),
]


class _Row(Protocol):
    @property
    def id(self) -> UUID: ...


Row = TypeVar("Row", bound=_Row)


def _raw(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CursorInvalid from None


def encode(last: UUID) -> str:
    """The cursor that continues after this id."""
    return base64.urlsafe_b64encode(_VERSION + last.bytes).rstrip(b"=").decode()


def decode(cursor: str | None) -> UUID | None:
    """The id to continue after; None for the first page. Raises `CursorInvalid`."""
    if cursor is None:
        return None
    raw = _raw(cursor)
    if len(raw) != 1 + _UUID_BYTES or not raw.startswith(_VERSION):
        raise CursorInvalid
    return UUID(bytes=raw[1:])


def encode_place(moment: datetime, last: UUID) -> str:
    """The cursor that continues after this moment and id, for pages that are ordered by a moment."""
    microseconds = (moment - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(_PLACE + microseconds.to_bytes(8, "big") + last.bytes).rstrip(b"=").decode()


def decode_place(cursor: str | None) -> tuple[datetime, UUID] | None:
    """The moment and id to continue after; None for the first page. Raises `CursorInvalid`."""
    if cursor is None:
        return None
    raw = _raw(cursor)
    if len(raw) != 1 + 8 + _UUID_BYTES or not raw.startswith(_PLACE):
        raise CursorInvalid
    microseconds = int.from_bytes(raw[1:9], "big")
    try:
        return _EPOCH + timedelta(microseconds=microseconds), UUID(bytes=raw[9:])
    except OverflowError:
        raise CursorInvalid from None


def cut(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], str | None]:
    """A page out of `limit + 1` rows: the first `limit`, and the cursor to the rest, if there is any."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], encode(rows[limit - 1].id)
