"""What a backup is on disk, and whether it is still what was written.

    DEST/database/   one file a table, manifest.json
    DEST/objects/    the sealed objects under their own names, and objects.jsonl that lists them
    DEST/keys/       the key store, one file a table, manifest.json: to be kept shorter than the rest, and elsewhere

A table's file is what `COPY … TO STDOUT` says in text, compressed by gzip. A manifest names every file with its
SHA-256; it is written last, and the folder gets its name only after it, so there is no half of a backup.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from infra.local.errors import LocalError

FORMAT = "likeness.backup.v1"
MANIFEST = "manifest.json"
OBJECT_LIST = "objects.jsonl"


class BackupRefused(LocalError):
    """A backup cannot be taken, or is not one that may be restored. The message says what to do."""


@dataclass(frozen=True)
class TableFile:
    """One table. columns: those that the file holds, in order."""

    columns: list[str]
    rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """One part of a backup. Both parts of one backup share its id and are of one moment.

    revision: of the schema. objects: how many, their bytes, and the SHA-256 of their list; None when they were left to
    other means.
    """

    part: str
    id: UUID
    made_at: datetime
    revision: str
    tables: dict[str, TableFile] = field(default_factory=dict)
    objects: dict[str, Any] | None = None

    def write(self, folder: Path) -> None:
        """Write it, synced."""
        said = {**asdict(self), "format": FORMAT, "id": self.id.hex, "made_at": self.made_at.isoformat()}
        with (folder / MANIFEST).open("w") as file:
            json.dump(said, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())


def read(folder: Path, *, part: str) -> Manifest:
    """The manifest in a folder. Raises BackupRefused."""
    try:
        said = json.loads((folder / MANIFEST).read_text())
        if said["format"] != FORMAT or said["part"] != part:
            raise BackupRefused(f"{folder} holds no {part} part of a Likeness backup.")
        return Manifest(
            part=part,
            id=UUID(hex=said["id"]),
            made_at=datetime.fromisoformat(said["made_at"]),
            revision=said["revision"],
            tables={name: TableFile(**table) for name, table in said["tables"].items()},
            objects=said["objects"],
        )
    except OSError:
        raise BackupRefused(f"{folder / MANIFEST} cannot be read. Is this the folder of a backup?") from None
    except (KeyError, TypeError, ValueError):
        raise BackupRefused(f"{folder / MANIFEST} is damaged.") from None


def lies_in(folder: Path, *, part: str, id: UUID) -> bool:  # noqa: A002 (the field's own name)
    """Whether this very backup's part lies in a folder. The place may have been used again for another since."""
    try:
        return read(folder, part=part).id == id
    except BackupRefused:
        return False


def draft_of(place: Path, backup_id: UUID) -> Path:
    """Where what will be called `place` is while it is written, or since its writing was cut off."""
    return place.with_name(f".{place.name}.{backup_id.hex}.partial")


def table_file(folder: Path, name: str) -> Path:
    """Where a table lies in a part."""
    return folder / f"{name}.copy.gz"


def check(folder: Path, manifest: Manifest) -> None:
    """Raise BackupRefused unless every table's file is the one that was written."""
    for name, table in manifest.tables.items():
        path = table_file(folder, name)
        if not path.is_file() or digest(path) != table.sha256:
            raise BackupRefused(f"{path} is missing, or is not what was written. Take another backup.")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
