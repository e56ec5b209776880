"""Receivers of webhooks, on loopback, with all the manners that real ones have."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Request:
    """What arrived."""

    target: str
    headers: dict[str, str]
    body: bytes

    def verify(self, secret: str) -> object:
        return Webhook(secret).verify(self.body, self.headers)


Manner = Callable[[asyncio.StreamWriter, int], Awaitable[None]]


def answers(*statuses: int, location: str | None = None) -> Manner:
    """One status after the other; the last one for ever."""

    async def answer(writer: asyncio.StreamWriter, number: int) -> None:
        status = statuses[min(number, len(statuses)) - 1]
        extra = f"location: {location}\r\n" if location else ""
        writer.write(f"HTTP/1.1 {status} Whatever\r\n{extra}content-length: 0\r\n\r\n".encode())
        await writer.drain()

    return answer


async def hangs(_writer: asyncio.StreamWriter, _number: int) -> None:
    """Takes the message and says nothing."""
    await asyncio.sleep(60)


async def drips(writer: asyncio.StreamWriter, _number: int) -> None:
    """Begins to answer and never ends."""
    while True:
        writer.write(b"H" if writer.transport.get_write_buffer_size() else b"HTTP/1.1 ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def floods(writer: asyncio.StreamWriter, _number: int) -> None:
    """Says yes, and then more than anyone wants to hear."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def babbles(writer: asyncio.StreamWriter, _number: int) -> None:
    """Speaks no HTTP."""
    writer.write(b"220 mail ready\r\n\r\n")
    await writer.drain()


@dataclass
class Receiver:
    """A server and what it received."""

    manner: Manner
    requests: list[Request] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?canary-query=1"

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.requests]


@asynccontextmanager
async def a_receiver(manner: Manner, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver(manner)
    open_tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if ": " in line)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                receiver.requests.append(Request(head[0].split(" ")[1], headers, body))
                await receiver.manner(writer, len(receiver.requests))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        open_tasks.add(task)
        task.add_done_callback(open_tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(open_tasks):
            task.cancel()
        await asyncio.gather(*open_tasks, return_exceptions=True)
