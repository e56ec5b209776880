"""The backups that there are: what the tombstone ledger says of each, and their end.

The ledger is asked, not a folder: a copy that nobody can see now may still be somewhere. Only what was pruned here, or
what the operator says is gone, counts as gone.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from core.clock import now
from core.settings import BackupSettings
from core.storage.tombstones import Entry, Kind, Tombstones
from infra.backup.manifest import BackupRefused, draft_of, lies_in

NOBODY = UUID(int=0)


@dataclass(frozen=True)
class Known:
    """One backup. keys_gone: its part with the keys was pruned, or is said to be gone."""

    id: UUID
    made_at: datetime
    database: Path
    keys: Path
    keys_gone: bool

    @property
    def database_there(self) -> bool:
        """Whether its database part can be seen from here."""
        return lies_in(self.database / "database", part="database", id=self.id)

    @property
    def keys_there(self) -> bool:
        """Whether its part with the keys can be seen from here."""
        return lies_in(self.keys, part="keys", id=self.id)

    @property
    def drafts(self) -> list[Path]:
        """What is left of its parts where their writing was cut off."""
        places = {draft_of(place, self.id) for place in (self.database, self.keys)}
        return sorted(place for place in places if place.is_dir())

    @property
    def keys_drafted(self) -> bool:
        """Whether the keys are, as far as they were written, in what was cut off."""
        with_rest = self.keys.parent == self.database
        return draft_of(self.database if with_rest else self.keys, self.id).is_dir()


async def known(tombstones: Tombstones) -> Sequence[Known]:
    """Every backup that was ever taken, newest first."""
    gone = {entry.id async for entry in tombstones.entries(Kind.PRUNED)}
    found = [
        Known(entry.id, entry.at, Path(entry.facts["database"]), Path(entry.facts["keys"]), entry.id in gone)
        async for entry in tombstones.entries(Kind.BACKUP)
    ]
    return sorted(found, key=lambda one: one.made_at, reverse=True)


async def forget(tombstones: Tombstones, backup_id: UUID) -> None:
    """Note the operator's word that no copy of a backup's keys is left. Raises BackupRefused for one that is there."""
    for one in await known(tombstones):
        if one.id == backup_id:
            for place in ([one.keys] if one.keys_there else []) + one.drafts:
                raise BackupRefused(f"{place} is still there: delete it first, or let `likeness backups --prune`.")
            await tombstones.enter(Entry(Kind.PRUNED, NOBODY, backup_id, now()))
            return
    raise BackupRefused("There is no such backup. `likeness backups` lists them.")


async def prune(tombstones: Tombstones, settings: BackupSettings) -> dict[str, list[UUID]]:
    """Delete what is past its day: keys after `keys_days`, the rest after `horizon_days`. Which backups lost what.

    A part that cannot be seen from here is left alone, and still counts as a copy. So does one whose place another
    backup has taken: that one is not touched for it.
    """
    done: dict[str, list[UUID]] = {"keys": [], "database": [], "unseen": []}
    for one in await known(tombstones):
        age = now() - one.made_at
        if age >= timedelta(days=settings.keys_days) and not one.keys_gone:
            if one.keys_there or one.keys_drafted:
                for place in ([one.keys] if one.keys_there else []) + one.drafts:
                    shutil.rmtree(place)
                await tombstones.enter(Entry(Kind.PRUNED, NOBODY, one.id, now()))
                done["keys"].append(one.id)
            else:
                done["unseen"].append(one.id)
        if age >= timedelta(days=settings.horizon_days) and one.database_there:
            shutil.rmtree(one.database)
            done["database"].append(one.id)
    return done
