"""A ZIP that is written while it is read: nothing of it stays in memory, and nothing touches a disk.

The library's own writer, over a sink that cannot seek. Every entry is deflated, pictures too, because not every
unpacker takes a stored entry whose length stands behind it.
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_BEYOND_ZIP32: Final = 1 << 31
_BLOCK_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that was written: its name, its length and the SHA-256 of its clear bytes."""

    name: str
    media_type: str
    bytes: int
    sha256: str


class Archive:
    """Files in, a ZIP out, block by block. Use it to the end: `entry` for each file, then `close`."""

    def __init__(self, at: datetime) -> None:
        self.written: list[Entry] = []
        self._at = at
        self._sink = _Sink()
        self._zip = ZipFile(self._sink, "w")

    async def entry(
        self, name: str, media_type: str, chunks: AsyncIterator[bytes], *, size: int = 0
    ) -> AsyncIterator[bytes]:
        """Write a file; yields what the ZIP has grown by. size: of the file where it is known, in bytes.

        Raises whatever `chunks` raises; then the archive is good for nothing.
        """
        found = ZipInfo(name, date_time=self._at.timetuple()[:6])
        found.compress_type = ZIP_DEFLATED
        digest, count = hashlib.sha256(), 0
        with self._zip.open(found, "w", force_zip64=size >= _BEYOND_ZIP32) as into:
            async for chunk in chunks:
                for start in range(0, len(chunk), _BLOCK_BYTES):
                    block = chunk[start : start + _BLOCK_BYTES]
                    digest.update(block)
                    count += len(block)
                    into.write(block)
                    if grown := self._sink.take():
                        yield grown
        self.written.append(Entry(name, media_type, count, digest.hexdigest()))
        yield self._sink.take()

    def close(self) -> bytes:
        """The directory at the end."""
        self._zip.close()
        return self._sink.take()


class _Sink:
    """A place to write to that cannot be gone back in."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def write(self, data: bytes) -> int:
        self._pending += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing is held here."""

    def take(self) -> bytes:
        taken = bytes(self._pending)
        self._pending.clear()
        return taken
