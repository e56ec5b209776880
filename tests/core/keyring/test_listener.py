"""The listener on a real connection, which a small relay can stall or cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

import asyncpg
import pytest

from core.keyring import listener as module
from core.keyring.listener import CHANNEL, ShredListener
from core.settings import DatabaseSettings


class Relay:
    """Passes bytes between the listener and PostgreSQL while it is open."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self.open = asyncio.Event()
        self.open.set()
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        self._writers += [writer, up_writer]
        for source, sink in ((reader, up_writer), (up_reader, writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self._tasks.add(task)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self.open.wait()
                sink.write(data)
                await sink.drain()
        sink.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def stop(self) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def relay(database_settings: DatabaseSettings) -> AsyncIterator[Relay]:
    url = urlsplit(database_settings.keys_url.get_secret_value())
    opened = Relay(url.hostname or "", url.port or 0)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
async def listener(
    relay: Relay, database_settings: DatabaseSettings, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ShredListener]:
    # The real bounds, ten times faster.
    monkeypatch.setattr(module, "_BEAT_SECONDS", 0.1)
    monkeypatch.setattr(module, "_SILENCE_SECONDS", 0.4)
    url = urlsplit(database_settings.keys_url.get_secret_value())
    arguments = {"user": url.username, "password": url.password, "database": url.path.removeprefix("/")}
    opened = ShredListener(
        arguments | {"host": "127.0.0.1", "port": relay.port}, on_word=heard.append, on_gap=lambda: heard.append("gap")
    )
    await opened.start()
    yield opened
    await opened.close()


async def becomes(listener: ShredListener, *, healthy: bool) -> None:
    async with asyncio.timeout(5):
        while listener.healthy is not healthy:
            await asyncio.sleep(0.02)


async def test_words_are_heard(listener: ShredListener, database_settings: DatabaseSettings, heard: list[str]) -> None:
    assert listener.healthy
    other = await asyncpg.connect(database_settings.url.get_secret_value())
    await other.execute("SELECT pg_notify($1, 'a word')", CHANNEL)
    await other.close()
    async with asyncio.timeout(2):
        while "a word" not in heard:
            await asyncio.sleep(0.02)


async def test_a_connection_that_falls_silent_is_not_trusted(listener: ShredListener, relay: Relay) -> None:
    assert listener.healthy
    relay.open.clear()
    await becomes(listener, healthy=False)
    relay.open.set()
    await becomes(listener, healthy=True)


async def test_a_cut_connection_is_a_gap_and_is_made_again(
    listener: ShredListener, relay: Relay, heard: list[str]
) -> None:
    heard.clear()
    relay.cut()
    await becomes(listener, healthy=False)
    assert heard == ["gap"]
    await becomes(listener, healthy=True)


async def test_a_closed_listener_is_not_healthy(listener: ShredListener) -> None:
    await listener.close()
    assert not listener.healthy


async def test_a_database_that_is_not_there_does_not_hold_the_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.2)
    listener = ShredListener({"host": "127.0.0.1", "port": 1}, on_word=print, on_gap=lambda: None)
    await listener.start()
    assert not listener.healthy
    await listener.close()
