"""One byte range of a stream (RFC 9110, section 14): what is asked for, and cutting it out while it flows."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from core.errors import LikenessError

_ONE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})")


class RangeNotSatisfiable(LikenessError):
    status = 416
    code = "range_not_satisfiable"
    title = "The asset has no such bytes."
    remedy = "Ask for a range within its length, which is in `length`."


@dataclass(frozen=True)
class ByteRange:
    """Bytes `first` to `last`, both included, of `length`."""

    first: int
    last: int
    length: int

    @property
    def size(self) -> int:
        """How many bytes."""
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        """The Content-Range field."""
        return f"bytes {self.first}-{self.last}/{self.length}"


def read_range(header: str | None, length: int) -> ByteRange | None:
    """The one range asked for; None for all of it. Raises `RangeNotSatisfiable`.

    A form that we do not serve (several ranges, other units) is ignored, as the RFC allows.
    """
    found = _ONE_RANGE.fullmatch((header or "").strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        first, last = max(0, length - int(found[2])), length - 1
    else:
        first, last = int(found[1]), min(int(found[2] or length), length - 1)
        if found[2] and int(found[2]) < first:
            return None
    if first > last:
        raise RangeNotSatisfiable(length=length)
    return ByteRange(first, last, length)


async def cut(chunks: AsyncIterator[bytes], part: ByteRange) -> AsyncIterator[bytes]:
    """The bytes of the range. Reads no further than it must."""
    at = 0
    async for chunk in chunks:
        begin, end = max(part.first - at, 0), min(part.last + 1 - at, len(chunk))
        if begin < end:
            yield chunk[begin:end]
        at += len(chunk)
        if at > part.last:
            return
