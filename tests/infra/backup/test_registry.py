"""Backups live as long as the settings say: the keys shortly, the rest longer; what cannot be seen still counts."""

from datetime import timedelta
from pathlib import Path

import pytest

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.ids import new_id
from core.rights import horizon
from core.storage.tombstones import Entry, Kind
from infra.backup import registry
from infra.backup.manifest import BackupRefused
from tests.infra.backup.test_restore import backup


async def test_keys_are_pruned_first_then_the_rest(parts: Parts, tmp_path: Path) -> None:
    written = await backup(parts, tmp_path / "copy")
    settings = parts.settings.backup
    for days, keys, database in ((6, True, True), (8, False, True), (36, False, False)):
        with frozen_at(now() + timedelta(days=days)):
            await registry.prune(parts.tombstones, settings)
        (one,) = await registry.known(parts.tombstones)
        assert (one.id, one.keys_there, one.database_there) == (written.id, keys, database)
        assert (await horizon.copies(parts.tombstones) == []) == (not keys)


async def test_a_backup_that_cannot_be_seen_counts_until_somebody_says_that_it_is_gone(
    parts: Parts, tmp_path: Path
) -> None:
    written = await backup(parts, tmp_path / "copy")
    with pytest.raises(BackupRefused, match="still there"):
        await registry.forget(parts.tombstones, written.id)
    (tmp_path / "copy").rename(tmp_path / "on a shelf")
    with frozen_at(now() + timedelta(days=50)):
        done = await registry.prune(parts.tombstones, parts.settings.backup)
    assert done["unseen"] == [written.id]
    assert len(await horizon.copies(parts.tombstones)) == 1
    await registry.forget(parts.tombstones, written.id)
    assert await horizon.copies(parts.tombstones) == []


async def test_a_later_backup_in_the_place_of_an_earlier_one_is_not_taken_for_it(parts: Parts, tmp_path: Path) -> None:
    place = tmp_path / "monday"
    written = await backup(parts, place)
    # Last week's was moved away, and stands in the ledger with the place that it had.
    facts = {"database": str(place), "keys": str(place / "keys")}
    earlier = Entry(Kind.BACKUP, registry.NOBODY, new_id(), now() - timedelta(days=40), facts)
    await parts.tombstones.enter(earlier)
    done = await registry.prune(parts.tombstones, parts.settings.backup)
    assert done == {"keys": [], "database": [], "unseen": [earlier.id]}
    assert {one.id: (one.keys_there, one.database_there) for one in await registry.known(parts.tombstones)} == {
        written.id: (True, True),
        earlier.id: (False, False),
    }
    await registry.forget(parts.tombstones, earlier.id)
    assert await horizon.copies(parts.tombstones) == [written.made_at]


async def test_keys_that_got_their_name_before_a_backup_failed_are_not_left_behind_and_called_gone(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "apart"

    def fail_after_the_keys(folder: Path, name: Path) -> None:
        if name != keys:
            raise OSError("no space left")
        folder.rename(name)

    monkeypatch.setattr("infra.backup.take._publish", fail_after_the_keys)
    with pytest.raises(OSError, match="no space"):
        await backup(parts, tmp_path / "copy", keys_into=keys)
    assert not keys.exists()
    assert await horizon.copies(parts.tombstones) == []
    # What cannot be removed still counts.
    monkeypatch.setattr("infra.backup.take.shutil.rmtree", lambda *_, **__: None)
    with pytest.raises(OSError, match="no space"):
        await backup(parts, tmp_path / "copy", keys_into=keys)
    assert len(await horizon.copies(parts.tombstones)) == 1


async def test_a_backup_that_was_killed_counts_until_what_it_left_is_gone(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.backup.take._publish", lambda *_: None)
    written = await backup(parts, tmp_path / "copy")  # as it lies when the process dies just before the end
    with pytest.raises(BackupRefused, match="partial is still there"):
        await registry.forget(parts.tombstones, written.id)
    with frozen_at(now() + timedelta(days=8)):
        done = await registry.prune(parts.tombstones, parts.settings.backup)
    assert done["keys"] == [written.id]
    assert [path for path in tmp_path.iterdir() if "copy" in path.name] == []
    assert await horizon.copies(parts.tombstones) == []
