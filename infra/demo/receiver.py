"""A platform's webhook receiver, as small as it can be: it verifies each event with the public library."""

import asyncio
import json
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass
class Received:
    """One event, and whether its signature held."""

    type: str
    data: dict[str, Any]
    verified: bool


@dataclass
class Receiver:
    """An HTTP server on loopback that answers 204 to what it could verify and 400 to the rest."""

    secret: str = ""
    received: list[Received] = field(default_factory=list)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("the receiver is not running")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/likeness"

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def wait_for(self, event: str, *, timeout_seconds: float) -> Received:
        """The first event of this type. Raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds), self._arrived:
            while True:
                for one in self.received:
                    if one.type == event:
                        return one
                await self._arrived.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        verified = self._verify(body, headers)
        event = json.loads(body)
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n" if verified else _REFUSED)
        await writer.drain()
        writer.close()
        async with self._arrived:
            self.received.append(Received(type=event["type"], data=event["data"], verified=verified))
            self._arrived.notify_all()

    def _verify(self, body: bytes, headers: dict[str, str]) -> bool:
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True


_REFUSED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
