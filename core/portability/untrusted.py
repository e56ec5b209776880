"""Read the ZIP of a stranger, in memory, and believe nothing that was not signed.

Invariants of this file:
- Nothing is unpacked to a disk, and no name of the file becomes a path.
- The directory is measured before it is parsed, so that a million names cost nothing.
- Before the signature holds, no more is unpacked than a manifest's fixed measure. After it, each file is unpacked only
  as far as the signed length says.
- The whole is checked against the manifest before anything of it is given out.
"""

import hashlib
import io
import json
import re
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from core.errors import ExportAltered, ExportTooLarge, ExportUnreadable, ExportVersionUnknown
from core.portability.contents import FORMAT
from core.portability.manifest import NAME, canonical

MOST_FILES: Final = 2000
MOST_DIRECTORY_BYTES: Final = 1 << 20
MOST_MANIFEST_BYTES: Final = 1 << 20
MOST_BYTES: Final = 1 << 29
MOST_PHOTOS: Final = 20
MOST_PHOTO_BYTES: Final = 25 << 20
MOST_HISTORY_BYTES: Final = 2 << 20

# What is kept of the data, as history. Pictures that another platform made stay there: they can be made again here.
HISTORY: Final[tuple[str, ...]] = ("person", "consents", "notices", "restrictions", "rights-requests")

_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_ZIP64: Final = b"PK\x06\x07"
_ZIP64_BYTES: Final = 20
_LONGEST_COMMENT: Final = 1 << 16
_ENCRYPTED: Final = 0x1
_BLOCK_BYTES: Final = 1 << 18
_NAME: Final = re.compile(r"[a-z0-9_-]+(?:/[a-z0-9_-]+){0,3}\.[a-z0-9]{1,5}")
_UNKEEPABLE: Final = re.compile(r"[\x00\ud800-\udfff]")
_PHOTO: Final = re.compile(r"photos/[a-z0-9_-]+\.[a-z0-9]{1,5}")

Trust = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Package:
    """An export that holds. manifest: as it was signed. photos: name → bytes. history: name → its rows."""

    manifest: dict[str, Any]
    manifest_sha256: str
    key_id: str
    photos: dict[str, bytes]
    history: dict[str, list[dict[str, Any]]]


def read(data: bytes, *, trust: Trust) -> Package:
    """Check all of it and give out what is taken over. trust: names the key that signed a manifest, or raises.

    Raises ExportUnreadable, ExportTooLarge, ExportVersionUnknown, ExportAltered, and what `trust` raises.
    """
    _measure_directory(data)
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            return _read(archive, trust)
    except (BadZipFile, NotImplementedError, EOFError, OSError, zlib.error, struct.error, UnicodeError) as error:
        raise ExportUnreadable from error


def _measure_directory(data: bytes) -> None:
    at = data.rfind(_END, -(_END_BYTES + _LONGEST_COMMENT))
    if at < 0 or len(data) - at < _END_BYTES:
        raise ExportUnreadable
    if data[max(0, at - _ZIP64_BYTES) : at].startswith(_ZIP64):
        raise ExportUnreadable("It is written as a ZIP64, which a file of this size is never.")
    count, size = struct.unpack_from("<HI", data, at + 10)
    if count > MOST_FILES or size > MOST_DIRECTORY_BYTES:
        raise ExportTooLarge(max_files=MOST_FILES)


def _read(archive: ZipFile, trust: Trust) -> Package:
    # 1. The names: plain ones, each once.
    infos = _named(archive)
    # 2. The manifest: of a version that we know, in its one spelling, signed by somebody whom we trust.
    document = _unpack(archive, infos[NAME], most=MOST_MANIFEST_BYTES)
    manifest = _object(document)
    if manifest.get("format") != FORMAT:
        raise ExportVersionUnknown(known=[FORMAT])
    if _spelled(manifest) != document:
        raise ExportAltered
    key_id = trust(manifest)
    # 3. Every file that was signed, and no other, with the bytes that were signed.
    listed = _listed(manifest)
    if set(listed) | {NAME} != set(infos):
        raise ExportAltered
    histories = {f"data/{name}.json": name for name in HISTORY}
    kept = {
        name: _checked(archive, infos[name], size, digest, keep=bool(_PHOTO.fullmatch(name)) or name in histories)
        for name, (size, digest) in listed.items()
    }
    # 4. What is taken over.
    photos = {name: found for name, found in kept.items() if _PHOTO.fullmatch(name)}
    if len(photos) > MOST_PHOTOS:
        raise ExportTooLarge(max_photos=MOST_PHOTOS)
    if sum(len(found) for name, found in kept.items() if name in histories) > MOST_HISTORY_BYTES:
        raise ExportTooLarge(max_bytes=MOST_HISTORY_BYTES)
    history = {histories[name]: _rows(found) for name, found in kept.items() if name in histories}
    return Package(manifest, hashlib.sha256(document).hexdigest(), key_id, photos, history)


def _spelled(manifest: Mapping[str, Any]) -> bytes:
    """The one spelling that it may have. What has none, a number beyond all others say, is no manifest."""
    try:
        return canonical(manifest) + b"\n"
    except (ValueError, RecursionError):
        raise ExportUnreadable from None


def _named(archive: ZipFile) -> dict[str, ZipInfo]:
    infos = {info.filename: info for info in archive.infolist()}
    if len(infos) != len(archive.infolist()):
        raise ExportUnreadable("A name occurs twice in it.")
    for name, info in infos.items():
        if not _NAME.fullmatch(name) or info.orig_filename != name:
            raise ExportUnreadable("It has a name that no export has.")
        if info.flag_bits & _ENCRYPTED or info.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
            raise ExportUnreadable("It is encrypted, or packed in a way that exports are not.")
    if NAME not in infos:
        raise ExportUnreadable("It has no manifest.")
    return infos


def _listed(manifest: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    try:
        entries = [(str(one["name"]), int(one["bytes"]), str(one["sha256"])) for one in manifest["entries"]]
    except (KeyError, TypeError, ValueError):
        raise ExportAltered from None
    if len({name for name, _, _ in entries}) != len(entries) or any(size < 0 for _, size, _ in entries):
        raise ExportAltered
    if sum(size for _, size, _ in entries) > MOST_BYTES:
        raise ExportTooLarge(max_bytes=MOST_BYTES)
    return {name: (size, digest) for name, size, digest in entries}


def _checked(archive: ZipFile, info: ZipInfo, size: int, digest: str, *, keep: bool) -> bytes:
    """Unpack as far as the signed length says. Returns the bytes if they are wanted. Raises ExportAltered."""
    if keep and size > MOST_PHOTO_BYTES:
        raise ExportTooLarge(max_bytes=MOST_PHOTO_BYTES)
    found, count, kept = hashlib.sha256(), 0, bytearray()
    with archive.open(info) as file:
        while count <= size and (block := file.read(min(_BLOCK_BYTES, size - count + 1))):
            found.update(block)
            count += len(block)
            if keep:
                kept += block
    if count != size or found.hexdigest() != digest:
        raise ExportAltered
    return bytes(kept)


def _unpack(archive: ZipFile, info: ZipInfo, *, most: int) -> bytes:
    with archive.open(info) as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise ExportTooLarge(max_bytes=most)
    return found


def _rows(document: bytes) -> list[dict[str, Any]]:
    rows = _object(document).get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ExportUnreadable
    return rows


def _object(document: bytes) -> dict[str, Any]:
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        raise ExportUnreadable from None
    if not isinstance(found, dict) or not _is_text(found):
        raise ExportUnreadable
    return found


def _is_text(found: object) -> bool:
    """Whether every text in it can be kept: no NUL, and no half of a surrogate pair, which `json` reads."""
    waiting = [found]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and _UNKEEPABLE.search(one):
            return False
    return True
