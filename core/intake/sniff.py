"""What a file says it is, read from its bytes without decoding a pixel.

Invariants: pure Python, no picture library, no allocation that grows with what a header claims, and every loop
advances. So a bomb is refused from its header, before any process is started for it.

Sources: ITU-T T.81 annex B (JPEG), W3C PNG third edition, RFC 9649 (WebP), ISO/IEC 14496-12 and 23008-12 (HEIF).
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

from core.errors import PhotoUnreadable, UnsupportedPhotoType

SourceFormat = Literal["jpeg", "png", "webp", "heic"]

_MEDIA_TYPES: Final = frozenset(
    {"image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/webp", "image/heic", "image/heif"}
)
# A client that does not know sends this; it declares nothing.
_UNDECLARED: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})

_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis"})
# Any codec may sit under these two, so one of the HEVC brands must stand among the compatible ones.
_HEIF_BRANDS: Final = frozenset({b"mif1", b"msf1"})

# In entropy-coded data 0xFF is followed by a zero or a restart marker; any other byte starts the next segment.
_NEXT_JPEG_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
EOI: Final = 0xD9
_SOS, _APP0 = 0xDA, 0xE0
# Quantisation and Huffman tables, a baseline frame, a scan, the end: what pixels need and no more.
_BARE_MARKERS: Final = frozenset({0xC0, 0xC4, 0xDB, _APP0, _SOS, EOI})


def sniff(data: bytes, *, declared_type: str | None = None) -> SourceFormat:
    """Name the format that the magic bytes show.

    The declared media type is believed only to refuse: a type that is not one of ours is an error, while one of ours
    that differs from the bytes is overruled by them, since phones often mislabel HEIC and WebP.

    Raises UnsupportedPhotoType.
    """
    declared = (declared_type or "").partition(";")[0].strip().lower()
    if declared not in _UNDECLARED and declared not in _MEDIA_TYPES:
        raise UnsupportedPhotoType
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        major = data[8:12]
        end = min(int.from_bytes(data[:4], "big"), 256)
        compatible = {data[at : at + 4] for at in range(16, end, 4)}
        if major in _HEIC_BRANDS or (major in _HEIF_BRANDS and compatible & _HEIC_BRANDS):
            return "heic"
    raise UnsupportedPhotoType


def measure(data: bytes, source_format: SourceFormat) -> tuple[int, int]:
    """Read (width, height) in pixels from the header: the largest picture that the file announces.

    Raises PhotoUnreadable when the header is damaged, or announces no pixels.
    """
    readers = {"jpeg": _jpeg_sizes, "png": _png_sizes, "webp": _webp_sizes, "heic": _heic_sizes}
    width, height = max(readers[source_format](data), key=lambda size: size[0] * size[1], default=(0, 0))
    if width * height == 0:
        raise PhotoUnreadable
    return width, height


def require_bare_jpeg(data: bytes, *, width: int, height: int) -> None:
    """Check that `data` is one baseline JPEG of that size and nothing else: no metadata, nothing after its end.

    The child that made it has read hostile bytes, so its word is not taken for it. Raises PhotoUnreadable.
    """
    seen = list(jpeg_segments(data))
    frames = [segment for marker, segment in seen if marker in _JPEG_FRAMES]
    jfif_only = all(
        segment.startswith(b"JFIF\0") and len(segment) == len(b"JFIF\0") + 9
        for marker, segment in seen
        if marker == _APP0
    )
    whole = bool(seen) and seen[-1] == (EOI, b"")
    known = {marker for marker, _ in seen} <= _BARE_MARKERS
    if not (whole and known and jfif_only and len(frames) == 1 and _frame_size(frames[0]) == (width, height)):
        raise PhotoUnreadable


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk a JPEG: (marker, payload) for each segment up to the end marker, whose payload is whatever follows it.

    Stops early, without the end marker, where the file is cut or is not a JPEG.
    """
    at = 2 if data.startswith(b"\xff\xd8") else len(data)
    while found := _NEXT_JPEG_MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == EOI:
            yield marker, data[at:]
            return
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):  # noqa: PLR2004 - the length counts its own two bytes
            return
        yield marker, data[at + 2 : at + length]
        at += length


def _frame_size(frame: bytes) -> tuple[int, int]:
    return int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")


def _jpeg_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    for marker, segment in jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            yield _frame_size(segment)
        elif marker == _SOS:
            return


def _png_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    if data[12:16] == b"IHDR":
        yield int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _webp_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    chunk = data[12:16]
    if chunk == b"VP8X":
        yield int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    elif chunk == b"VP8L" and data[20:21] == b"\x2f":
        bits = int.from_bytes(data[21:25], "little")
        yield (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        yield int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


def _heic_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Every `ispe` property: meta → iprp → ipco → ispe. A tile's is smaller than the whole's, so the largest counts."""
    for meta in _children(data, 0, len(data), b"meta"):
        for properties in _children(data, meta[0] + 4, meta[1], b"iprp"):
            for container in _children(data, *properties, b"ipco"):
                for at, _ in _children(data, *container, b"ispe"):
                    yield int.from_bytes(data[at + 4 : at + 8], "big"), int.from_bytes(data[at + 8 : at + 12], "big")


def _children(data: bytes, start: int, end: int, kind: bytes) -> Iterator[tuple[int, int]]:
    return ((body, stop) for name, body, stop in heif_boxes(data, start, end) if name == kind)


def heif_boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Walk the boxes in data[start:end]: (four-letter kind, first byte of the body, first byte after the box).

    Stops where the bytes are no box that fits.
    """
    while start + 8 <= end:
        size, kind, body = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8], start + 8
        if size == 1:
            size, body = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        stop = end if size == 0 else start + size
        if stop < body or stop > end:
            return
        yield kind, body, stop
        start = stop
