import asyncio

import asyncpg

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
