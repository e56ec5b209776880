"""Read an upload into memory, counted while it streams: raw, or as the one file of a multipart form.

Litestar's own form parser writes larger files to a temporary folder. An unsealed photo must never touch a disk, so the
parts are read here, into memory whose size the cap bounds.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from litestar import Request
from multipart import (  # type: ignore[import-untyped]  # ships no types
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
)

from core.errors import MalformedRequest, PayloadTooLarge, UploadTooSlow

# What a form adds around its file: boundaries and headers, and room for a client's small extra fields.
_FORM_OVERHEAD = 64 * 1024
_MOST_PARTS = 8
_LONGEST_BOUNDARY = 200
# Whoever sends a byte now and then would otherwise keep what came before in memory for as long as they like.
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Upload:
    """The bytes of a file and the media type that the sender gave it."""

    data: bytes
    declared_type: str | None


async def read_upload(
    request: Request[Any, Any, Any], *, max_bytes: int, patience_seconds: float | None = None
) -> Upload:
    """Read the request's file.

    Raises `PayloadTooLarge` from the declared size or once too much has come, `UploadTooSlow` when not all of it has
    come within a minute (or what else is said), and `MalformedRequest` for a form that has no file or cannot be read.
    """
    try:
        async with asyncio.timeout(patience_seconds or _PATIENCE_SECONDS):
            return await _read(request, max_bytes=max_bytes)
    except TimeoutError:
        raise UploadTooSlow from None


async def _read(request: Request[Any, Any, Any], *, max_bytes: int) -> Upload:
    media_type, options = request.content_type
    if media_type == "multipart/form-data":
        chunks = _capped(request, max_bytes=max_bytes, room=max_bytes + _FORM_OVERHEAD)
        return await _from_form(chunks, str(options.get("boundary", "")), max_bytes=max_bytes)
    chunks = _capped(request, max_bytes=max_bytes, room=max_bytes)
    return Upload(data=b"".join([chunk async for chunk in chunks]), declared_type=media_type or None)


async def _capped(request: Request[Any, Any, Any], *, max_bytes: int, room: int) -> AsyncIterator[bytes]:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > room:
        raise PayloadTooLarge(max_bytes=max_bytes)
    counted = 0
    async for chunk in request.stream():
        counted += len(chunk)
        if counted > room:
            raise PayloadTooLarge(max_bytes=max_bytes)
        yield chunk


async def _from_form(chunks: AsyncIterator[bytes], boundary: str, *, max_bytes: int) -> Upload:
    if not 1 <= len(boundary) <= _LONGEST_BOUNDARY:
        raise MalformedRequest("The Content-Type of a form names its boundary.")
    found: MultipartSegment | None = None
    here: MultipartSegment | None = None
    data = bytearray()
    try:
        with PushMultipartParser(boundary, max_segment_count=_MOST_PARTS) as parser:
            async for chunk in chunks:
                for event in parser.parse(chunk) if chunk and not parser.closed else ():
                    if isinstance(event, MultipartSegment):
                        here = event
                        if found is None and event.filename is not None:
                            found = event
                    elif event and here is found:
                        data += event
                        if len(data) > max_bytes:
                            raise PayloadTooLarge(max_bytes=max_bytes)
    except (MultipartError, UnicodeError):
        raise MalformedRequest("The form could not be read.") from None
    if found is None:
        raise MalformedRequest("The form has no file.")
    return Upload(data=bytes(data), declared_type=found.content_type)
