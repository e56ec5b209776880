import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

import infra.migrations
from core.db import async_url
from infra.local.postgres import ADMINISTRATOR, OWNER, Postgres
from infra.migrations import migrate, pending


async def test_two_processes_may_migrate_an_empty_database_at_once(postgres: Postgres) -> None:
    administrator = await asyncpg.connect(postgres.url(ADMINISTRATOR, database="postgres"))
    await administrator.execute(f"CREATE DATABASE empty_one OWNER {OWNER}")
    url = postgres.url(OWNER, database="empty_one")
    assert len(await pending(url)) > 1
    await asyncio.gather(migrate(url), migrate(url))
    assert await pending(url) == []
    await administrator.execute("DROP DATABASE empty_one")
    await administrator.close()


def _to(revision: str) -> Callable[[Connection], None]:
    def move(connection: Connection) -> None:
        configuration = Config()
        configuration.set_main_option("script_location", str(Path(infra.migrations.__file__).parent))
        configuration.set_main_option("path_separator", "os")
        configuration.attributes["connection"] = connection
        (command.downgrade if revision == "0008" else command.upgrade)(configuration, revision)

    return move


async def test_the_deployments_keys_move_into_the_key_store_with_their_rows(postgres: Postgres) -> None:
    administrator = await asyncpg.connect(postgres.url(ADMINISTRATOR, database="postgres"))
    await administrator.execute(f"CREATE DATABASE keys_move OWNER {OWNER}")
    url = postgres.url(OWNER, database="keys_move")
    await migrate(url)
    engine = create_async_engine(async_url(url))
    async with engine.connect() as connection:
        await connection.run_sync(_to("0008"))
        await connection.commit()
    owner = await asyncpg.connect(url)
    await owner.execute(
        "INSERT INTO provenance_authority VALUES"
        " (gen_random_uuid(), 'root', 1, 'PEM 1', 'a', now()), (gen_random_uuid(), 'root', 2, 'PEM 2', 'b', now()),"
        " (gen_random_uuid(), 'watermark', 1, NULL, 'c', now())"
    )
    async with engine.connect() as connection:
        await connection.run_sync(_to("heads"))
        await connection.commit()
    moved = await owner.fetch(
        "SELECT purpose, version, certificate, sealed_key FROM keystore.deployment_key ORDER BY 1, 2"
    )
    assert [tuple(row) for row in moved] == [
        ("root", 1, "PEM 1", b"a"),
        ("root", 2, "PEM 2", b"b"),
        ("watermark", 1, None, b"c"),
    ]
    assert await owner.fetchval("SELECT to_regclass('provenance_authority')") is None
    await owner.close()
    await engine.dispose()
    await administrator.execute("DROP DATABASE keys_move")
    await administrator.close()
