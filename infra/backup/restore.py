"""Restore a backup, and let nobody in before what was erased since is erased again.

    1. check       every file against its manifest, the schema's revision, the tombstone ledger, and that the root key
                   that is here opens the keys of the backup. Until now nothing was touched
    2. mark        the instance that is here is not ready from now on
    3. load        one transaction: the old schema goes, that of the backup comes, database and keys are filled in
    4. objects     those that are missing in the object store are put back, and none is written over
    5. replay      the tombstone ledger (`core.rights.replay`), by the ordinary way; then the instance is ready

Each step is noted in the table `restoration`. Whatever dies when, the instance stays shut, and the same command goes
on where it stopped.
"""

import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from core.bootstrap import Parts, open_parts
from core.clock import now
from core.db import async_url
from core.errors import KeyProviderUnavailable
from core.ids import new_id
from core.keyring.context import Context
from core.keyring.provider import KeyProvider, Wrapped, open_provider
from core.keyring.sealing import SealBroken
from core.rights.models import RestorationPhase
from core.rights.replay import replay
from core.settings import Settings
from core.storage.store import Objects, open_store
from core.storage.tombstones import Kind, Tombstones
from infra.backup import manifest as files
from infra.backup import schema
from infra.backup.manifest import OBJECT_LIST, BackupRefused, Manifest
from infra.migrations import revisions, upgrade_to

Say = Callable[[str], None]
Watch = Callable[[RestorationPhase], None]
_BLOCK = 1 << 20


def unwatched(_phase: RestorationPhase) -> None:
    """Nobody looks on."""


async def restore(
    settings: Settings,
    *,
    source: Path,
    keys_source: Path | None = None,
    ledger_lost: bool = False,
    say: Say = lambda _: None,
    watch: Watch = unwatched,
) -> dict[str, int]:
    """Restore a backup over whatever is there; what was erased again, by kind, is the answer. Raises BackupRefused.

    keys_source: the key store's part, if it lies elsewhere. It may be of a later backup: then whoever was erased in
    between is unreadable from the start. ledger_lost: the tombstone ledger is gone, and whoever was erased since comes
    back, which the audit logs then say; without that word, a ledger that does not know the backup is refused. watch:
    called before each phase.
    """
    owner_url = settings.database.owner_url
    if owner_url is None:
        raise BackupRefused("Set LIKENESS_DATABASE_OWNER_URL to the database as likeness_owner: a restore needs it.")
    # 1. Check.
    database, keys, keys_folder = _checked(source, keys_source)
    provider = open_provider(settings.keys, environment=settings.environment)
    await _check_root(provider, keys_folder, keys)
    ledger = Tombstones(open_store(settings.tombstones))
    await ledger.objects.health()
    if not ledger_lost:
        await _check_ledger(ledger, database, keys)
    say(f"backup {database.id.hex} of {database.made_at:%Y-%m-%d %H:%M:%S} UTC: every file is as written")
    engine = create_async_engine(async_url(owner_url.get_secret_value()), poolclass=NullPool)
    try:
        phase = await _phase(engine, database)
        if phase is None or phase is RestorationPhase.LOADING:
            # 2. Mark.
            if phase is None:
                await _mark(engine, database)
            watch(RestorationPhase.LOADING)
            # 3. Load.
            await _load(engine, (source / "database", database), (keys_folder, keys), say)
            phase = RestorationPhase.OBJECTS
        if ledger_lost:
            await _note_loss(engine)
        if phase is RestorationPhase.OBJECTS:
            # 4. Objects.
            watch(RestorationPhase.OBJECTS)
            await _put_back(open_store(settings.storage), source, database, say)
            await _set_phase(engine, RestorationPhase.REPLAYING)
    finally:
        await engine.dispose()
    # 5. Replay.
    watch(RestorationPhase.REPLAYING)
    return await resume(settings, say=say)


async def resume(settings: Settings, *, say: Say = lambda _: None) -> dict[str, int]:
    """Replay the tombstones of a restore that got that far. Nothing is needed of the backup for it."""
    async with open_parts(settings, replaying=True) as parts:
        await _require_no_objects_missing(parts)
        return await replay(parts.database, parts.store, parts.tombstones, say=say)


async def _require_no_objects_missing(parts: Parts) -> None:
    async with parts.database.system() as session:
        query = text("SELECT phase FROM restoration WHERE finished_at IS NULL")
        phase = (await (await session.connection()).execute(query)).scalar_one_or_none()
    if phase not in {None, RestorationPhase.REPLAYING}:
        raise BackupRefused("The restore has not come to its replay yet: name the backup again, as at first.")


def _checked(source: Path, keys_source: Path | None) -> tuple[Manifest, Manifest, Path]:
    keys_folder = keys_source or source / "keys"
    database = files.read(source / "database", part="database")
    keys = files.read(keys_folder, part="keys")
    files.check(source / "database", database)
    files.check(keys_folder, keys)
    if keys.made_at < database.made_at:
        raise BackupRefused(
            "The part with the keys is older than the database, so people who came in between would lose theirs."
            " Use the keys of the same backup, or of a later one."
        )
    if keys.revision != database.revision:
        raise BackupRefused(
            f"The keys are of schema {keys.revision} and the database is of {database.revision}."
            " Use a part with keys of the same schema."
        )
    if database.revision not in revisions():
        raise BackupRefused(
            f"This version of Likeness does not know the schema {database.revision}. Install the version that took"
            " the backup, or a later one."
        )
    if database.objects is not None:
        listing = source / OBJECT_LIST
        if not listing.is_file() or files.digest(listing) != database.objects["sha256"]:
            raise BackupRefused(f"{listing} is missing, or is not what was written.")
    return database, keys, keys_folder


async def _check_ledger(ledger: Tombstones, *parts: Manifest) -> None:
    """The ledger heard of each backup before it was there. One that did not is another's, an old copy, or new."""
    heard_of = {entry.id async for entry in ledger.entries(Kind.BACKUP)}
    if not heard_of.issuperset(part.id for part in parts):
        raise BackupRefused(
            "The tombstone ledger that is here does not know this backup, so it is not the living one, and whoever was"
            " erased since would come back. Bring the right one back (see LIKENESS_TOMBSTONES_URL). If it is lost for"
            " good, `--ledger-lost` restores without it."
        )


async def _check_root(provider: KeyProvider, folder: Path, keys: Manifest) -> None:
    """Open one tenant key of the backup with the root key that is here, lest a wrong one be noticed too late."""
    columns = keys.tables["keystore.tenant_key"].columns
    with gzip.open(files.table_file(folder, "keystore.tenant_key"), "rt") as lines:
        for line in lines:
            row = dict(zip(columns, line.rstrip("\n").split("\t"), strict=True))
            if row["purpose"] == "kek" and row["state"] == "active":
                break
        else:
            return
    wrapped = Wrapped(int(row["root_version"]), bytes.fromhex(row["wrapped"].removeprefix("\\\\x")))
    context = Context(UUID(row["tenant_id"]), "key:kek", version=int(row["version"])).encode()
    try:
        await provider.unwrap(wrapped, context=context)
    except (KeyProviderUnavailable, SealBroken):
        raise BackupRefused(
            "The root key that is here does not open the keys of this backup. Bring back the one that it was taken"
            " with: key files are never part of a backup (see LIKENESS_KEYS_URL)."
        ) from None


async def _phase(engine: Any, database: Manifest) -> RestorationPhase | None:
    """How far an earlier try has come. Raises BackupRefused if that was of another backup and has replaced the data."""
    async with engine.connect() as connection:
        if (await connection.execute(text("SELECT to_regclass('public.restoration')"))).scalar_one() is None:
            return None
        query = text("SELECT backup_id, phase FROM restoration WHERE finished_at IS NULL")
        found = (await connection.execute(query)).first()
    if found is None:
        return None
    if found.backup_id != database.id:
        if found.phase == RestorationPhase.LOADING:
            return None
        raise BackupRefused(
            f"The restore of backup {found.backup_id.hex} is not done yet. Repeat it with that backup first."
        )
    return RestorationPhase(found.phase)


async def _mark(engine: Any, database: Manifest) -> None:
    async with engine.begin() as connection:
        if (await connection.execute(text("SELECT to_regclass('public.restoration')"))).scalar_one() is None:
            return  # an empty database is not ready anyhow
        await connection.execute(text("DELETE FROM restoration WHERE finished_at IS NULL"))
        await _insert(connection, database, RestorationPhase.LOADING)


async def _insert(connection: AsyncConnection, database: Manifest, phase: RestorationPhase) -> None:
    await connection.execute(
        text("""
            INSERT INTO restoration (id, backup_id, backup_at, phase, begun_at, replayed)
            VALUES (:id, :backup, :at, :phase, :now, '{}')
        """),
        {"id": new_id(), "backup": database.id, "at": database.made_at, "phase": phase.value, "now": now()},
    )


async def _set_phase(engine: Any, phase: RestorationPhase) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE restoration SET phase = :phase WHERE finished_at IS NULL"), {"phase": phase.value}
        )


async def _note_loss(engine: Any) -> None:
    """For good, and before anybody is let in: every tenant's log says it (`core.rights.replay`)."""
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE restoration SET ledger_lost = true WHERE finished_at IS NULL"))


async def _load(engine: Any, database: tuple[Path, Manifest], keys: tuple[Path, Manifest], say: Say) -> None:
    async with engine.begin() as connection:
        # Whoever still serves requests holds locks; waiting for them for ever would look like hanging.
        await connection.execute(text("SET LOCAL lock_timeout = '10s'"))
        for statement in (
            "DROP SCHEMA IF EXISTS keystore CASCADE",
            "DROP SCHEMA public CASCADE",
            "CREATE SCHEMA public",
        ):
            await connection.execute(text(statement))
        await connection.run_sync(upgrade_to, database[1].revision)
        raw = (await connection.get_raw_connection()).driver_connection
        found = await schema.in_order(raw, await schema.tables(raw, "public", "keystore"))
        async with _open_to_owner(connection, found):
            for table in found:
                folder, part = keys if table.space == "keystore" else database
                if (stored := part.tables.get(table.full)) is not None:
                    await _fill(raw, table, files.table_file(folder, table.full), stored.columns)
                    say(f"{table.full}: {stored.rows} rows")
        await _insert(connection, database[1], RestorationPhase.OBJECTS)
        await connection.run_sync(upgrade_to, "heads")
        # Whoever is still up forgets every key that it holds open.
        await connection.execute(text("SELECT pg_notify('likeness_shred', 'restored')"))


@asynccontextmanager
async def _open_to_owner(connection: AsyncConnection, found: list[schema.Found]) -> AsyncIterator[None]:
    """Within the transaction the owner may fill the tables as they were: no policies, no triggers of ours."""
    for before, after in (("NO FORCE", "DISABLE"), ("FORCE", "ENABLE")):
        for table in found:
            name = f'"{table.space}"."{table.name}"'
            if table.forced:
                await connection.execute(text(f"ALTER TABLE {name} {before} ROW LEVEL SECURITY"))
            await connection.execute(text(f"ALTER TABLE {name} {after} TRIGGER USER"))
        if before == "NO FORCE":
            yield


async def _fill(raw: Any, table: schema.Found, path: Path, columns: list[str]) -> None:
    async def blocks() -> AsyncIterator[bytes]:
        with gzip.open(path, "rb") as file:
            while block := file.read(_BLOCK):
                yield block

    await raw.copy_to_table(table.name, schema_name=table.space, source=blocks(), columns=columns, format="text")


async def _put_back(objects: Objects, source: Path, database: Manifest, say: Say) -> None:
    if database.objects is None:
        say("objects: this backup has none; the object store stays as it is")
        return
    put = 0
    with (source / OBJECT_LIST).open() as listing:
        for line in listing:
            listed = json.loads(line)
            if await objects.present(listed["name"]):
                continue
            path = source / "objects" / listed["name"]
            if not path.is_file() or files.digest(path) != listed["sha256"]:
                raise BackupRefused(
                    f"{path} is missing, or is not what was written. Nobody is let in before it is back."
                )
            await objects.put_stream(listed["name"], _chunks(path))
            put += 1
            if put % 1000 == 0:
                say(f"objects: {put} put back")
    say(f"objects: {put} of {database.objects['count']} were missing and are back")


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
