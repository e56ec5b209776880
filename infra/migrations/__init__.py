"""The migrations of the database, and the three things done with them: apply, list what is pending, compare.

Files are named by date, wait for locks no longer than five seconds, and run as `likeness_owner`.
"""

import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import core
from core.db import async_url

# Any number that nobody else locks: two processes that migrate at once take turns.
_TURN = 0x4C494B45


# Only `public` is compared with the tables of `core`. The schema `keystore` has no table classes, on purpose: its
# migration is plain SQL, and its columns are reached through functions alone.
ALEMBIC_OPTIONS: dict[str, Any] = {"include_schemas": False, "compare_type": True}


def metadata() -> MetaData:
    """Every table of `core`: the `models` of each of its folders."""
    for package in pkgutil.iter_modules(core.__path__, "core."):
        if package.ispkg and any(found.name == "models" for found in pkgutil.iter_modules(_path(package.name))):
            importlib.import_module(f"{package.name}.models")
    return SQLModel.metadata


def _path(package: str) -> list[str]:
    return [str(Path(place) / package.rsplit(".", 1)[1]) for place in core.__path__]


async def migrate(owner_url: str) -> None:
    """Bring the database up to the newest revision. Does nothing when it is there already."""
    async with _connection(owner_url) as connection:
        await connection.execute(text("SELECT pg_advisory_lock(:turn)"), {"turn": _TURN})
        await connection.commit()
        await connection.run_sync(_upgrade)
        await connection.commit()


async def pending(url: str) -> list[str]:
    """The revisions that the database lacks, oldest first. The role needs to read `alembic_version` alone."""
    async with _connection(url) as connection:
        return await connection.run_sync(_pending)


async def differences(owner_url: str) -> list[Any]:
    """What the tables of `core` and the migrated database do not agree on, as alembic's operations."""
    async with _connection(owner_url) as connection:
        return await connection.run_sync(_differences)


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(async_url(url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    return configuration


def _upgrade(connection: Connection) -> None:
    upgrade_to(connection, "heads")


def upgrade_to(connection: Connection, revision: str) -> None:
    """Bring the database of a connection up to a revision, within its transaction where it is in one."""
    configuration = _configuration()
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, revision)


def revisions() -> set[str]:
    """Every revision that this code knows."""
    return {script.revision for script in ScriptDirectory.from_config(_configuration()).walk_revisions()}


def _pending(connection: Connection) -> list[str]:
    scripts = ScriptDirectory.from_config(_configuration())
    applied = MigrationContext.configure(connection).get_current_heads()
    have = {script.revision for script in scripts.iterate_revisions(applied, "base")} if applied else set()
    return [script.revision for script in scripts.walk_revisions() if script.revision not in have][::-1]


def _differences(connection: Connection) -> list[Any]:
    found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=ALEMBIC_OPTIONS), metadata())
    return found
