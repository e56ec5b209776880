"""Pages: newest first, with a cursor that callers pass back unread.

The cursor is the last id of the page before. Ids are UUIDv7, so their order is the order of creation.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Protocol, TypeVar
from uuid import UUID

from litestar.params import QueryParameter

from api.wire import PLAIN_TEXT
from core.errors import CursorInvalid

_VERSION = b"\x01"
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


def encode(last: UUID) -> str:
    """The cursor that continues after this id."""
    return base64.urlsafe_b64encode(_VERSION + last.bytes).rstrip(b"=").decode()


def decode(cursor: str | None) -> UUID | None:
    """The id to continue after; None for the first page. Raises `CursorInvalid`."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CursorInvalid from None
    if len(raw) != 1 + _UUID_BYTES or not raw.startswith(_VERSION):
        raise CursorInvalid
    return UUID(bytes=raw[1:])


def cut(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], str | None]:
    """A page out of `limit + 1` rows: the first `limit`, and the cursor to the rest, if there is any."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], encode(rows[limit - 1].id)
