"""What the commands `likeness backup`, `restore`, `backups` and `tenant …` do, without words on the screen."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from core.bootstrap import open_parts
from core.errors import LegalHoldStands, NotFound, StateConflict
from core.ids import Prefix, parse, public
from core.rights import archive, horizon, leave
from core.rights.models import DepartureState
from core.storage.store import open_store
from core.storage.tombstones import Tombstones
from infra.backup import registry
from infra.backup.instance import instance
from infra.backup.manifest import BackupRefused
from infra.backup.restore import restore as run_restore
from infra.backup.restore import resume
from infra.backup.take import take
from infra.local.errors import LocalError
from infra.local.home import Home

Say = Callable[[str], None]


async def backup(
    home: Home, *, into: Path | None, keys_into: Path | None, with_objects: bool, say: Say
) -> dict[str, Any]:
    """Take a backup of the instance, running or not."""
    async with instance(home, alone=False) as settings:
        if into is None:
            if settings.backup.folder is None:
                raise BackupRefused(
                    "Name a folder, as in `likeness backup /mnt/backups/monday`, or set LIKENESS_BACKUP_FOLDER."
                )
            into = settings.backup.folder / f"{datetime.now().astimezone():%Y-%m-%dT%H%M%S}"
        into.parent.mkdir(parents=True, exist_ok=True)
        written = await take(
            settings.database,
            open_store(settings.storage),
            Tombstones(open_store(settings.tombstones)),
            into=into,
            keys_into=keys_into,
            with_objects=with_objects,
            say=say,
        )
    return {
        "backup": written.id.hex,
        "made_at": written.made_at.isoformat(),
        "database": str(into),
        "keys": str(keys_into or into / "keys"),
        "rows": sum(table.rows for table in written.tables.values()),
        "objects": written.objects and written.objects["count"],
    }


async def restore(
    home: Home, *, source: Path | None, keys_source: Path | None, ledger_lost: bool, say: Say
) -> dict[str, Any]:
    """Restore, or go on with the replay of a restore that was cut off (source None)."""
    async with instance(home, alone=True) as settings:
        if source is None:
            done = await resume(settings, say=say)
        else:
            done = await run_restore(settings, source=source, keys_source=keys_source, ledger_lost=ledger_lost, say=say)
    return {"erased_again": done}


async def backups(home: Home, *, prune: bool, forget: str | None) -> dict[str, Any]:
    """List the backups; prune those past their day, or note that one is gone."""
    async with instance(home, alone=False) as settings:
        tombstones = Tombstones(open_store(settings.tombstones))
        if forget is not None:
            try:
                backup_id = UUID(hex=forget)
            except ValueError:
                raise BackupRefused("That is no id of a backup. `likeness backups` lists them.") from None
            await registry.forget(tombstones, backup_id)
        pruned = await registry.prune(tombstones, settings.backup) if prune else None
        found = await registry.known(tombstones)
    return {
        "backups": [
            {
                "backup": one.id.hex,
                "made_at": one.made_at.isoformat(timespec="seconds"),
                "database": str(one.database) if one.database_there else None,
                "keys": "gone" if one.keys_gone else str(one.keys) if one.keys_there else "unseen",
            }
            for one in found
        ],
        "pruned": pruned and {part: [one.hex for one in ids] for part, ids in pruned.items()},
    }


async def erase_tenant(home: Home, *, tenant: str, archive_into: Path | None, say: Say) -> dict[str, Any]:
    """Let a tenant leave, to the end. archive_into: a file that does not exist yet; None takes nothing along."""
    tenant_id = _id_of(tenant)
    async with instance(home, alone=False) as settings, open_parts(settings) as parts:
        try:
            departure = await leave.suspend(parts.database, tenant_id=tenant_id, actor="operator")
        except NotFound:
            raise LocalError("There is no such tenant.") from None
        say("suspended")
        if departure.state == DepartureState.LEAVING and archive_into is not None:
            with archive_into.open("xb+") as file:
                digest = await archive.write(parts.database, parts.keyring, tenant_id=tenant_id, into=file)
            await leave.note_archive(parts.database, tenant_id=tenant_id, sha256=digest, actor="operator")
            say(f"archive {archive_into}, SHA-256 {digest}")
        try:
            await leave.shred(
                parts.database,
                parts.keyring,
                tenant_id=tenant_id,
                actor="operator",
                without_archive=archive_into is None,
            )
        except LegalHoldStands as held:
            raise LocalError(
                f"{held.detail} {held.remedy} It stays suspended meanwhile; `likeness tenant stay` calls it off."
            ) from None
        say("every key is destroyed: nothing of this tenant can be read any more")
        while True:
            try:
                departure = await leave.finish(
                    parts.database, parts.store, tenant_id=tenant_id, watch=lambda step: say(f"{step.value} …")
                )
                break
            except StateConflict as wait:
                say(wait.detail)
                await asyncio.sleep(2)
    document = departure.document or b""
    return {
        "tenant": public(Prefix.TENANT, tenant_id),
        "certificate": leave.certificate_name(departure),
        "sha256": hashlib.sha256(document).hexdigest(),
        "document": document.decode(),
    }


async def keep_tenant(home: Home, *, tenant: str) -> str:
    """Call off what `erase_tenant` began, as long as the keys live. Returns the state that the tenant is back in."""
    tenant_id = _id_of(tenant)
    async with instance(home, alone=False) as settings, open_parts(settings) as parts:
        try:
            return (await leave.stay(parts.database, tenant_id=tenant_id, actor="operator")).value
        except NotFound:
            raise LocalError("This tenant is not leaving.") from None
        except StateConflict as late:
            raise LocalError(late.detail) from None


async def second_part(home: Home, *, tenant: str) -> bytes:
    """The second part of the certificate of a tenant that left: that no backup holds its keys any more."""
    tenant_id = _id_of(tenant)
    async with instance(home, alone=False) as settings, open_parts(settings) as parts:
        try:
            async with parts.database.tenant(tenant_id) as session:
                return await horizon.of_tenant(session, tenant_id)
        except NotFound:
            raise LocalError(
                "There is none yet. It comes once the copies of the key store from before are past their time and"
                " known to be gone; `likeness backups` lists them."
            ) from None


def _id_of(tenant: str) -> UUID:
    try:
        return parse(Prefix.TENANT, tenant)
    except NotFound:
        raise LocalError("That is no tenant's id: it begins with ten_.") from None
