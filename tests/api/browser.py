"""A real browser, and the application on a real port for it."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from api.main import create_app
from core.settings import Settings


def chromium() -> str | None:
    """The path of Chromium: CHROMIUM, or on the PATH."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)


@asynccontextmanager
async def on_a_port(settings: Settings) -> AsyncIterator[tuple[str, uvicorn.Server]]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None, ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", server
        server.should_exit = True
        await serving
