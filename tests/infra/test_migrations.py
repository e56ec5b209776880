from sqlalchemy import text

from core.db import Database
from core.queue import Queue
from core.settings import Settings
from infra.migrations import differences, pending


async def test_a_fresh_database_has_every_migration(owner_url: str) -> None:
    assert await pending(owner_url) == []


async def test_migrations_and_tables_agree(owner_url: str) -> None:
    assert await differences(owner_url) == []


async def test_each_role_connects(database: Database, queue: Queue, settings: Settings) -> None:
    async with database.system() as session:
        assert await session.scalar(text("select current_user")) == "likeness_system"
    assert await queue.redis.ping()
    assert settings.storage.url.startswith("file:///")
