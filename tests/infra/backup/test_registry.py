"""Backups live as long as the settings say: the keys shortly, the rest longer; what cannot be seen still counts."""

from datetime import timedelta
from pathlib import Path

import pytest

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.rights import horizon
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
