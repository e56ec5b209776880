"""Fixtures on real servers: one PostgreSQL and one Valkey for the session, a fresh migrated database for each test.

The migrations run once, into a template; a test's database is a copy of it. That is some seven hundred files, so where
there is a file system in memory with room, the servers live there: a copy takes 20 ms, and on a disk 200 ms.
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from core.db import Database
from core.queue import Queue
from core.settings import DatabaseSettings, QueueSettings, Settings
from infra.local.postgres import ADMINISTRATOR, APP, KEYS, OPERATORS, OWNER, SYSTEM, Postgres
from infra.local.valkey import Valkey
from infra.migrations import migrate

_numbers = itertools.count(1)
_ROOM = 4 << 30  # bytes: a few hundred megabytes are used at a time, by each of the processes that test


@pytest.fixture(scope="session")
def servers_home() -> Iterator[Path]:
    """A short-lived home outside pytest's own folder, which an unprivileged account could not enter."""
    home = Path(tempfile.mkdtemp(prefix="likeness-tests-", dir=_in_memory()))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home, ignore_errors=True)


def _in_memory() -> Path | None:
    """The file system in memory, where there is one that this account may write to and that has room."""
    memory = Path("/dev/shm")  # noqa: S108 (below it, a folder of our own is made safely)
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM
    return memory if roomy else None


@pytest.fixture(scope="session")
async def postgres(servers_home: Path) -> AsyncIterator[Postgres]:
    """The session's PostgreSQL, whose database `likeness` is the migrated template."""
    server = Postgres(
        servers_home,
        options={"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"},
    )
    await server.start()
    await migrate(server.url(OWNER))
    yield server
    await server.stop()


@pytest.fixture(scope="session")
async def valkey(servers_home: Path) -> AsyncIterator[Valkey]:
    """The session's Valkey."""
    server = Valkey(servers_home)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def database_name(postgres: Postgres) -> AsyncIterator[str]:
    """A fresh migrated database, dropped after the test."""
    name = f"likeness_{next(_numbers)}"
    administrator = await asyncpg.connect(postgres.url(ADMINISTRATOR, database="postgres"))
    await administrator.execute(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE likeness STRATEGY FILE_COPY")
    yield name
    await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await administrator.close()


@pytest.fixture
def owner_url(postgres: Postgres, database_name: str) -> str:
    """The fresh database as the owner of its tables, whom row-level security binds as well."""
    return postgres.url(OWNER, database=database_name)


@pytest.fixture
def administrator_url(postgres: Postgres, database_name: str) -> str:
    """The fresh database as a superuser, who sees every row: for tests that look behind the policies."""
    return postgres.url(ADMINISTRATOR, database=database_name)


@pytest.fixture
def database_settings(postgres: Postgres, database_name: str) -> DatabaseSettings:
    """The fresh database in its long-running roles."""
    return DatabaseSettings(
        url=SecretStr(postgres.url(APP, database=database_name)),
        system_url=SecretStr(postgres.url(SYSTEM, database=database_name)),
        keys_url=SecretStr(postgres.url(KEYS, database=database_name)),
        operators_url=SecretStr(postgres.url(OPERATORS, database=database_name)),
        pool_size=5,
    )


@pytest.fixture
async def database(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    """Sessions on the fresh database."""
    opened = Database(database_settings)
    yield opened
    await opened.close()


@pytest.fixture
async def queue_settings(valkey: Valkey) -> QueueSettings:
    """The session's Valkey, emptied."""
    settings = QueueSettings(url=SecretStr(valkey.url))
    queue = await Queue.open(settings)
    await queue.redis.flushall()
    await queue.close()
    return settings


@pytest.fixture
async def queue(queue_settings: QueueSettings) -> AsyncIterator[Queue]:
    """An empty queue."""
    opened = await Queue.open(queue_settings)
    yield opened
    await opened.close()


@pytest.fixture
def storage_url(tmp_path: Path) -> str:
    """An empty object store."""
    folder = tmp_path / "objects"
    folder.mkdir()
    return folder.as_uri()


@pytest.fixture
def tombstones_url(tmp_path: Path) -> str:
    """An empty tombstone ledger."""
    folder = tmp_path / "tombstones"
    folder.mkdir()
    return folder.as_uri()


@pytest.fixture
def keys_url(tmp_path: Path) -> str:
    """An empty key folder."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    return folder.as_uri()


@pytest.fixture
def settings_env(
    database_settings: DatabaseSettings,
    queue_settings: QueueSettings,
    storage_url: str,
    tombstones_url: str,
    keys_url: str,
) -> dict[str, str]:
    """The environment of a child process that shares all of the above."""
    operators_url = database_settings.operators_url
    assert operators_url is not None
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
    return {
        **inherited,
        "LIKENESS_DATABASE_URL": database_settings.url.get_secret_value(),
        "LIKENESS_DATABASE_SYSTEM_URL": database_settings.system_url.get_secret_value(),
        "LIKENESS_DATABASE_KEYS_URL": database_settings.keys_url.get_secret_value(),
        "LIKENESS_DATABASE_OPERATORS_URL": operators_url.get_secret_value(),
        "LIKENESS_DATABASE_POOL_SIZE": "5",
        "LIKENESS_QUEUE_URL": queue_settings.url.get_secret_value(),
        "LIKENESS_STORAGE_URL": storage_url,
        "LIKENESS_TOMBSTONES_URL": tombstones_url,
        "LIKENESS_KEYS_URL": keys_url,
    }


@pytest.fixture
def settings(settings_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The same for this process."""
    for name, value in settings_env.items():
        if name.startswith("LIKENESS_"):
            monkeypatch.setenv(name, value)
    return Settings()
