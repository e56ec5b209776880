"""Word of shreds and rotations, from whichever process did them, over PostgreSQL's LISTEN.

A missed word would leave a destroyed key in use, so silence is not trusted. The listener sends itself a beat every
second through the same connection. It is `healthy` only while the newest beat that came back was sent less than 4 s
ago; words arrive in the order of their commits, so by then every word older than that beat has arrived too. Whoever
caches must ask first, and do without when the answer is no: a key therefore outlives its shred by less than 5 s.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

import asyncpg

logger = logging.getLogger("likeness.keyring")

CHANNEL = "likeness_shred"
_BEAT_SECONDS = 1.0
_SILENCE_SECONDS = 4.0
_TIMEOUT_SECONDS = 2.0


class ShredListener:
    """One connection that listens for as long as the process lives, and connects again when it is lost.

    connect_args: keyword arguments of `asyncpg.connect`, for the role of the key store.
    on_word: called with the payload of each word: `<tenant>:<subject>`, `<tenant>:*` when tenant keys changed,
        `<tenant>:!` when the tenant left.
    on_gap: called whenever words may have been missed.
    """

    def __init__(
        self, connect_args: Mapping[str, Any], *, on_word: Callable[[str], None], on_gap: Callable[[], None]
    ) -> None:
        self._connect_args = connect_args
        self._on_word = on_word
        self._on_gap = on_gap
        self._beats = f"likeness_beat_{uuid4().hex}"
        self._first_beat = asyncio.Event()
        self._beat_sent_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    @property
    def healthy(self) -> bool:
        """Whether every word older than 4 s has surely arrived."""
        return time.monotonic() - self._beat_sent_at < _SILENCE_SECONDS

    async def start(self) -> None:
        """Listen from now on. Waits a moment for the first beat, and goes on without if the database is not there."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="shred-listener")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._first_beat.wait(), _TIMEOUT_SECONDS)

    async def close(self) -> None:
        """Stop listening; not healthy from now on."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                logger.warning(
                    "the key store's listener lost its connection", extra={"error_type": type(error).__name__}
                )
            finally:
                self._beat_sent_at = float("-inf")
                self._on_gap()
            await asyncio.sleep(_BEAT_SECONDS)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            **self._connect_args, timeout=_TIMEOUT_SECONDS, command_timeout=_TIMEOUT_SECONDS
        )
        try:
            await connection.add_listener(CHANNEL, self._word)
            await connection.add_listener(self._beats, self._beat)
            while True:
                await connection.execute("SELECT pg_notify($1, $2)", self._beats, repr(time.monotonic()))
                await asyncio.sleep(_BEAT_SECONDS)
        finally:
            connection.terminate()

    def _word(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._on_word(payload)

    def _beat(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._beat_sent_at = float(payload)
        self._first_beat.set()
