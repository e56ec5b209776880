"""The console's door to strangers, without a browser and without an API behind it."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.operator_ui.stage import running_console

pytestmark = pytest.mark.timeout(240)
NOWHERE = "http://127.0.0.1:1"


async def _connects(console_url: str, origin: str) -> int:
    """The status that a page of this origin gets when it opens the console's connection."""
    address = urlsplit(console_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    asked = {
        "Host": address.netloc,
        "Origin": origin,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in asked.items())
    writer.write(f"GET /_stcore/stream HTTP/1.1\r\n{head}\r\n".encode())
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


async def test_only_pages_of_the_console_itself_reach_its_connection_and_none_with_a_secret_is_kept(
    tmp_path: Path,
) -> None:
    async with running_console(tmp_path, api_url=NOWHERE) as url, httpx.AsyncClient(trust_env=False) as client:
        assert await _connects(url, url) == 101
        # The same machine on another port is the same site to a browser, which sends the cookie along.
        for origin in ("http://127.0.0.1:9", "http://localhost:9", "https://evil.example", "null"):
            assert await _connects(url, origin) == 403, origin
        for page in ("/sign-in", "/join?token=lkoi_x"):
            answer = await client.get(url + page)
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), page
