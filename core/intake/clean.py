"""The door of intake: hostile bytes in, a clean picture out, or an error that says why not.

What can be judged from the header is judged here, cheaply: empty, too long, not a photo, a bomb. Only then is a child
started (`converse.py`), walled in (`confine.py`) and given the photo (`child.py`). What it hands back is checked again
before anyone sees it. This process never loads a picture library.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from core.errors import (
    IntakeBusy,
    PayloadTooLarge,
    PhotoEmpty,
    PhotoTooLarge,
    PhotoTooSmall,
    PhotoUnreadable,
    UnsupportedPhotoType,
)
from core.intake.converse import CHILD, converse
from core.intake.detect import CATEGORIES
from core.intake.sniff import SourceFormat, measure, require_bare_jpeg, sniff

_MEBIBYTE: Final = 1024 * 1024
SMALLEST_LOGO: Final = 24
"""The shorter side, in pixels, below which a logo is too small to be laid over anything."""
LARGEST_LOGO_BYTES: Final = 4 * _MEBIBYTE
LARGEST_LOGO_PIXELS: Final = 16_000_000
LOGO_EDGE: Final = 512
"""The longer side to which a logo is shrunk, in pixels."""


@dataclass(frozen=True, kw_only=True)
class IntakeLimits:
    """What a photo may cost.

    max_bytes: of the file. max_pixels: of the picture that the header announces; WebP has its own, since its decoder
    keeps five copies of the whole picture in memory. min_edge, max_edge_out: shortest side accepted and longest side
    given back, in pixels. wall_seconds, cpu_seconds, memory_bytes: of the child, per photo.
    """

    max_bytes: int = 25 * _MEBIBYTE
    max_pixels: int = 60_000_000
    max_pixels_webp: int = 20_000_000
    min_edge: int = 200
    max_edge_out: int = 4096
    wall_seconds: float = 8.0
    cpu_seconds: int = 5
    memory_bytes: int = 512 * _MEBIBYTE


@dataclass(frozen=True, kw_only=True)
class CleanPhoto:
    """A photo made anew from its pixels: upright, sRGB, JPEG 4:4:4, nothing else in the file.

    removed: sorted names of what the source carried (`core.intake.detect.CATEGORIES`), never the values.
    """

    data: bytes
    media_type: Literal["image/jpeg"] = "image/jpeg"
    width: int
    height: int
    source_format: SourceFormat
    removed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CleanLogo:
    """A logo as raw samples: RGBA, four bytes a pixel, row by row, colour not multiplied with cover."""

    samples: bytes
    width: int
    height: int


class Intake:
    """Cleans photos, a few at a time, so that uploads cannot starve the process that takes them in.

    concurrency: children at once. waiting: photos that may queue for one; the next is told to come back.
    """

    def __init__(
        self,
        limits: IntakeLimits,
        *,
        concurrency: int = 2,
        waiting: int = 16,
        program: Sequence[str] = CHILD,
    ) -> None:
        self.limits = limits
        self._program = program
        self._free = asyncio.Semaphore(concurrency)
        self._room = concurrency + waiting

    async def clean(self, data: bytes, *, declared_type: str | None = None) -> CleanPhoto:
        """Clean one photo.

        Raises PhotoEmpty, PayloadTooLarge, UnsupportedPhotoType, PhotoUnreadable, PhotoTooLarge, PhotoTooSmall,
        PhotoTooSlow; IntakeBusy and Unavailable when the fault is ours.
        """
        source_format = admit(data, declared_type=declared_type, limits=self.limits)
        async with self._turn():
            return await _clean(data, source_format, limits=self.limits, program=self._program)

    async def clean_logo(self, data: bytes, *, declared_type: str | None = None) -> CleanLogo:
        """Read a logo, PNG, WebP or JPEG, in the same sandbox. Raises as `clean`."""
        limits = replace(
            self.limits,
            max_bytes=LARGEST_LOGO_BYTES,
            max_pixels=LARGEST_LOGO_PIXELS,
            min_edge=SMALLEST_LOGO,
            max_edge_out=LOGO_EDGE,
        )
        source_format = admit(data, declared_type=declared_type, limits=limits)
        if source_format == "heic":
            raise UnsupportedPhotoType
        async with self._turn():
            return await _clean_logo(data, source_format, limits=limits, program=self._program)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One child's turn. Raises IntakeBusy when too many wait for theirs."""
        if self._room == 0:
            raise IntakeBusy
        self._room -= 1
        try:
            async with self._free:
                yield
        finally:
            self._room += 1


async def clean(data: bytes, *, declared_type: str | None, limits: IntakeLimits) -> CleanPhoto:
    """Clean one photo outside any queue: for a command or a test. A server shares one `Intake`, which bounds them."""
    return await Intake(limits).clean(data, declared_type=declared_type)


def admit(data: bytes, *, declared_type: str | None, limits: IntakeLimits) -> SourceFormat:
    """Judge a file by its length, magic bytes and header alone; name its format.

    Raises PhotoEmpty, PayloadTooLarge, UnsupportedPhotoType, PhotoUnreadable, PhotoTooLarge, PhotoTooSmall.
    """
    if not data:
        raise PhotoEmpty
    if len(data) > limits.max_bytes:
        raise PayloadTooLarge(max_bytes=limits.max_bytes)
    source_format = sniff(data, declared_type=declared_type)
    width, height = measure(data, source_format)
    max_pixels = _max_pixels(source_format, limits)
    if width * height > max_pixels:
        raise PhotoTooLarge(max_pixels=max_pixels)
    if min(width, height) < limits.min_edge:
        raise PhotoTooSmall(min_edge=limits.min_edge)
    return source_format


def _max_pixels(source_format: SourceFormat, limits: IntakeLimits) -> int:
    return min(limits.max_pixels, limits.max_pixels_webp) if source_format == "webp" else limits.max_pixels


async def _clean(
    data: bytes, source_format: SourceFormat, *, limits: IntakeLimits, program: Sequence[str]
) -> CleanPhoto:
    max_pixels = _max_pixels(source_format, limits)
    answer, picture = await converse(
        data,
        _request(source_format, limits),
        wall_seconds=limits.wall_seconds,
        # A clean picture is never larger than its own raw pixels, but for its tables.
        max_answer_bytes=3 * limits.max_edge_out**2 + _MEBIBYTE,
        program=program,
    )
    _require_not_refused(answer, max_pixels=max_pixels)
    return _checked(answer, picture, source_format, limits)


async def _clean_logo(
    data: bytes, source_format: SourceFormat, *, limits: IntakeLimits, program: Sequence[str]
) -> CleanLogo:
    answer, samples = await converse(
        data,
        _request(source_format, limits) | {"logo": True},
        wall_seconds=limits.wall_seconds,
        max_answer_bytes=4 * limits.max_edge_out**2,
        program=program,
    )
    _require_not_refused(answer, max_pixels=limits.max_pixels)
    width, height = answer.get("width"), answer.get("height")
    if not (isinstance(width, int) and isinstance(height, int)):
        raise PhotoUnreadable
    if not 0 < min(width, height) <= max(width, height) <= limits.max_edge_out or len(samples) != 4 * width * height:
        raise PhotoUnreadable
    if min(width, height) < SMALLEST_LOGO:
        # What is left once the transparent margin is off.
        raise PhotoTooSmall(min_edge=SMALLEST_LOGO)
    return CleanLogo(samples=samples, width=width, height=height)


def _request(source_format: SourceFormat, limits: IntakeLimits) -> dict[str, Any]:
    return {
        "format": source_format,
        "max_pixels": _max_pixels(source_format, limits),
        "max_edge": limits.max_edge_out,
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": limits.cpu_seconds,
    }


def _require_not_refused(answer: dict[str, Any], *, max_pixels: int) -> None:
    match answer.get("refused"):
        case None:
            return
        case "pixels":
            raise PhotoTooLarge(max_pixels=max_pixels)
        case "memory":
            raise PhotoTooLarge("Reading this photo takes more memory than allowed.", max_pixels=max_pixels)
        case _:
            raise PhotoUnreadable


def _checked(answer: dict[str, Any], picture: bytes, source_format: SourceFormat, limits: IntakeLimits) -> CleanPhoto:
    """Believe nothing that a process said after it had read hostile bytes. Raises PhotoUnreadable, PhotoTooSmall."""
    width, height, removed = answer.get("width"), answer.get("height"), answer.get("removed")
    if not (isinstance(width, int) and isinstance(height, int) and isinstance(removed, list)):
        raise PhotoUnreadable
    if not all(isinstance(name, str) and name in CATEGORIES for name in removed):
        raise PhotoUnreadable
    if not 0 < min(width, height) <= max(width, height) <= limits.max_edge_out:
        raise PhotoUnreadable
    require_bare_jpeg(picture, width=width, height=height)
    if min(width, height) < limits.min_edge:
        # A strip that had to be shrunk, or a file that crops itself to less than its header announced.
        raise PhotoTooSmall(min_edge=limits.min_edge)
    return CleanPhoto(
        data=picture, width=width, height=height, source_format=source_format, removed=tuple(sorted(set(removed)))
    )
