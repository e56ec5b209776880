import os
import shutil
import tempfile
from pathlib import Path

import asyncpg
import pytest

from infra.local.account import data_folder, unprivileged
from infra.local.postgres import OWNER, Postgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to drop to another account")


@as_root
async def test_root_runs_it_from_a_closed_folder_without_opening_that(home: Path) -> None:
    closed = Path(tempfile.mkdtemp(prefix="closed-"))
    server = Postgres(closed / "var")
    try:
        await server.start()
        connection = await asyncpg.connect(server.url(OWNER))
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
        await server.stop()
        again = Postgres(closed / "var")
        await again.start()
        await again.stop()
        assert again.data == server.data
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        await server.stop()
        shutil.rmtree(server.data, ignore_errors=True)
        shutil.rmtree(closed)


@as_root
def test_the_account_owns_its_folder_and_root_the_way_to_it(home: Path) -> None:
    account = unprivileged()
    assert account is not None
    home.mkdir(mode=0o711, exist_ok=True)
    made = data_folder(home / "kept", account)
    assert made == home / "kept"
    assert made.stat().st_uid == account.uid
    assert home.stat().st_uid == 0
    assert account.enters(made)
    home.chmod(0o700)
    assert not account.enters(made)
    home.chmod(0o711)


@pytest.mark.skipif(os.geteuid() == 0, reason="root has another account to drop to")
def test_an_ordinary_user_stays_who_they_are() -> None:
    assert unprivileged() is None
