import asyncio
import os
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from infra.local.valkey import Valkey


async def test_a_killed_server_comes_back_at_its_place_with_its_data(home: Path) -> None:
    server = Valkey(home)
    await server.start()
    try:
        async with Redis.from_url(server.url) as client:
            await client.set("token", "kept")
            # The append-only file is synced every second.
            await asyncio.sleep(1.2)
        place = server.url
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGKILL)
        await server.process.wait()
        await server.start()
        assert server.url == place
        async with Redis.from_url(server.url) as client:
            assert await client.get("token") == b"kept"
    finally:
        await server.stop()


async def test_nobody_enters_without_the_password(valkey: Valkey) -> None:
    async with Redis(host="127.0.0.1", port=valkey.port) as stranger:
        with pytest.raises(AuthenticationError):
            await stranger.ping()
    assert valkey.process is not None
    arguments = Path(f"/proc/{valkey.process.pid}/cmdline")
    if arguments.exists():
        assert valkey.url.split("@")[0].rsplit(":", 1)[1] not in arguments.read_text()
