"""Whether a restore was cut off: asked before anything is started."""

import asyncpg


async def open_phase(system_url: str) -> str | None:
    """How far a restore had come that is not done; None when there is none."""
    connection = await asyncpg.connect(system_url, timeout=10)
    try:
        found: str | None = await connection.fetchval("SELECT phase FROM restoration WHERE finished_at IS NULL")
    finally:
        await connection.close()
    return found
