"""Alembic's environment: runs as the owner of the tables, over the connection that `migrate` hands in.

On its own (`alembic revision`, `alembic check`) it connects to LIKENESS_DATABASE_OWNER_URL.
"""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from core.db import async_url
from infra.migrations import ALEMBIC_OPTIONS, metadata


def run(connection: Connection) -> None:
    """Run what alembic was asked for, in one transaction that waits for no lock longer than five seconds."""
    context.configure(connection=connection, target_metadata=metadata(), **ALEMBIC_OPTIONS)
    with context.begin_transaction():
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        context.run_migrations()


async def connect_and_run() -> None:
    """Connect as the owner."""
    engine = create_async_engine(async_url(os.environ["LIKENESS_DATABASE_OWNER_URL"]), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is None:
    asyncio.run(connect_and_run())
else:
    run(given)
