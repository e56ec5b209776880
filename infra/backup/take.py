"""Take a backup: a consistent copy of database, key store and objects, while everything runs.

    1. look          the place is empty, the ledger of tombstones answers, every table can be read
    2. announce      the ledger hears of the backup before it is there, so that no erasure's second moment overlooks it
    3. snapshot      a connection per role, and all see the database of one and the same moment
    4. tables        tenant by tenant, as the application would: no role that sees more is needed for it
    5. objects       those that the snapshot names
    6. manifests     each file with its SHA-256; then the folder gets its name

What is not in it: the root key (key files, or the key service's own), without which nothing in it can be opened, and
the tombstone ledger, which must never be restored.
"""

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import asyncpg

from core.ids import new_id
from core.keyring.deployment_keys import DEPLOYMENT
from core.settings import DatabaseSettings
from core.storage.store import ObjectMissing, Objects
from core.storage.tombstones import Entry, Kind, Tombstones
from infra.backup import schema
from infra.backup.manifest import (
    OBJECT_LIST,
    BackupRefused,
    Manifest,
    TableFile,
    digest,
    draft_of,
    lies_in,
    table_file,
)

NOBODY = UUID(int=0)
Say = Callable[[str], None]


@dataclass
class _Roles:
    """Connections that see one snapshot."""

    app: Any
    system: Any
    keys: Any
    operators: Any | None
    made_at: datetime


async def take(
    settings: DatabaseSettings,
    objects: Objects,
    tombstones: Tombstones,
    *,
    into: Path,
    keys_into: Path | None = None,
    with_objects: bool = True,
    say: Say = lambda _: None,
) -> Manifest:
    """Write a backup into a folder that does not exist yet; the manifest of its database is the answer.

    keys_into: a folder of its own for the key store, elsewhere; `into/keys` if left out. Raises BackupRefused.
    """
    # 1. Look.
    parts = {"database": into, "keys": keys_into or into / "keys"}
    for place in (into, keys_into):
        if place is not None and place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise BackupRefused(f"{place} exists and is not empty. Name a new folder: a backup overwrites nothing.")
    await tombstones.objects.health()
    backup_id = new_id()
    draft = draft_of(into, backup_id)
    keys_draft = draft / "keys" if keys_into is None else draft_of(keys_into, backup_id)
    try:
        async with _snapshot(settings) as roles:
            # 2. Announce, with the snapshot's time.
            facts = {name: str(place.absolute()) for name, place in parts.items()}
            await tombstones.enter(Entry(Kind.BACKUP, NOBODY, backup_id, roles.made_at, facts))
            for folder in (draft / "database", keys_draft):
                folder.mkdir(mode=0o700, parents=True)
            revision = await roles.app.fetchval("SELECT version_num FROM alembic_version")
            tenants = [row["id"] for row in await roles.system.fetch("SELECT id FROM tenant ORDER BY id")]
            # 3., 4. Tables.
            say(f"{len(tenants)} tenants at {roles.made_at:%Y-%m-%d %H:%M:%S} UTC, schema {revision}")
            database = await _tables(roles, "public", tenants, draft / "database", say)
            keys = await _tables(roles, "keystore", [*tenants, DEPLOYMENT, NOBODY], keys_draft, say)
            # 5. Objects.
            listed = await _objects(roles, objects, tenants, draft, say) if with_objects else None
        # 6. Manifests.
        written = Manifest("database", backup_id, roles.made_at, revision, database, listed)
        written.write(draft / "database")
        Manifest("keys", backup_id, roles.made_at, revision, keys).write(keys_draft)
        for folder, name in ((keys_draft, parts["keys"]), (draft, into)):
            if folder.parent != draft:
                _publish(folder, name)
    except BaseException:
        # The ledger hears that it is gone only when nothing of it is left: a part may have got its name already.
        left = [draft, keys_draft]
        left += [parts["keys"]] if lies_in(parts["keys"], part="keys", id=backup_id) else []
        left += [into] if lies_in(into / "database", part="database", id=backup_id) else []
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        if not any(folder.exists() for folder in left):
            await tombstones.enter(Entry(Kind.PRUNED, NOBODY, backup_id, datetime.now(UTC)))
        raise
    return written


@asynccontextmanager
async def _snapshot(settings: DatabaseSettings) -> AsyncIterator[_Roles]:
    urls = (settings.url, settings.system_url, settings.keys_url, settings.operators_url)
    connections = [await asyncpg.connect(url.get_secret_value(), timeout=30) for url in urls if url is not None]
    try:
        app, *others = connections
        system, keys, operators = (*others, None)[:3]
        for connection in connections:
            # However long it takes: the snapshot must not be cut off by the patience that requests have.
            await connection.execute("SET idle_in_transaction_session_timeout = 0")
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        name = await app.fetchval("SELECT pg_export_snapshot()")
        for connection in others:
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{name}'")
        made_at = await app.fetchval("SELECT clock_timestamp()")
        yield _Roles(app, system, keys, operators, made_at.astimezone(UTC))
    finally:
        for connection in connections:
            connection.terminate()


async def _tables(roles: _Roles, space: str, tenants: Sequence[UUID], folder: Path, say: Say) -> dict[str, TableFile]:
    reader = roles.keys if space == "keystore" else roles.app
    divided: list[tuple[schema.Found, _Sink]] = []
    written: dict[str, TableFile] = {}
    for table in await schema.tables(reader, space):
        sink = _Sink(table_file(folder, table.full))
        if table.tenant_column and await schema.may_read(reader, table):
            divided.append((table, sink))
            continue
        roles_left = [one for one in (reader, roles.system, roles.operators) if one is not None]
        whole = [one for one in roles_left if await schema.may_read(one, table)]
        if not whole:
            raise BackupRefused(
                f"No role that is here may read the table {table.full}, so a backup would lack it."
                + (" Set LIKENESS_DATABASE_OPERATORS_URL." if roles.operators is None else "")
            )
        await _copy(whole[0], table, sink)
        written[table.full] = sink.close(table)
    for number, tenant_id in enumerate(tenants, start=1):
        await reader.execute("SELECT set_config('likeness.tenant_id', $1, true)", str(tenant_id))
        for table, sink in divided:
            await _copy(reader, table, sink)
        if number % 100 == 0:
            say(f"{space}: {number} of {len(tenants)} tenants")
    written.update({table.full: sink.close(table) for table, sink in divided})
    say(f"{space}: {len(written)} tables, {sum(table.rows for table in written.values())} rows")
    return written


async def _copy(connection: Any, table: schema.Found, sink: "_Sink") -> None:
    columns = ", ".join(f'"{column}"' for column in table.columns)
    query = f'SELECT {columns} FROM "{table.space}"."{table.name}"'  # noqa: S608 (names that the catalogue gave)
    status = await connection.copy_from_query(query, output=sink.take, format="text")
    sink.rows += int(status.rsplit(" ", 1)[1])


class _Sink:
    """A table's file as it is written."""

    def __init__(self, path: Path) -> None:
        self.rows = 0
        self._path = path
        self._file = gzip.open(path, "wb", compresslevel=3)  # noqa: SIM115 (closed by `close`)

    async def take(self, data: bytes) -> None:
        self._file.write(data)

    def close(self, table: schema.Found) -> TableFile:
        self._file.close()
        _sync(self._path)
        return TableFile(columns=list(table.columns), rows=self.rows, sha256=digest(self._path))


async def _objects(roles: _Roles, objects: Objects, tenants: Sequence[UUID], draft: Path, say: Say) -> dict[str, Any]:
    place = draft / "objects"
    place.mkdir(mode=0o700)
    count = total = gone = 0
    with (draft / OBJECT_LIST).open("w") as listing:
        for tenant_id in tenants:
            await roles.app.execute("SELECT set_config('likeness.tenant_id', $1, true)", str(tenant_id))
            async for row in roles.app.cursor("SELECT object_name FROM asset WHERE state = 'stored'"):
                name = row["object_name"]
                try:
                    content = await objects.get_stream(name)
                except ObjectMissing:
                    gone += 1  # deleted since the snapshot; the tombstone ledger knows, and the replay will too
                    continue
                size, sha256 = await _copy_object(content, place / name)
                listing.write(json.dumps({"name": name, "bytes": size, "sha256": sha256}) + "\n")
                count, total = count + 1, total + size
                if count % 1000 == 0:
                    say(f"objects: {count}, {total / 2**20:.0f} MiB")
    _sync(draft / OBJECT_LIST)
    say(f"objects: {count}, {total / 2**20:.1f} MiB" + (f"; {gone} were deleted meanwhile" if gone else ""))
    return {"count": count, "bytes": total, "sha256": digest(draft / OBJECT_LIST)}


async def _copy_object(content: AsyncIterator[bytes], target: Path) -> tuple[int, str]:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    size, hashed = 0, hashlib.sha256()
    with _private(target) as file:
        async for chunk in content:
            file.write(chunk)
            hashed.update(chunk)
            size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return size, hashed.hexdigest()


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(draft: Path, name: Path) -> None:
    if name.is_dir():
        name.rmdir()  # it was empty: see `take`
    draft.rename(name)
    _sync(name.parent)
