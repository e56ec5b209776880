"""What the embedded parts keep from one start to the next."""

import asyncio
import stat
from pathlib import Path

import pytest

from infra.local.errors import PartFailed
from infra.local.remembered import HOST, listen, write_private


async def test_two_instances_never_share_a_port() -> None:
    with await listen(None, patience=0, insist=False) as first:
        port = first.getsockname()[1]
        with await listen(port, patience=0, insist=False) as second:
            assert second.getsockname()[1] != port


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error() -> None:
    with await listen(None, patience=0, insist=False) as first, pytest.raises(PartFailed, match="used by another"):
        await listen(first.getsockname()[1], patience=0, insist=True)


async def test_whoever_connects_before_the_server_is_up_waits_for_it() -> None:
    with await listen(None, patience=0, insist=False) as held:
        reader, writer = await asyncio.open_connection(HOST, held.getsockname()[1])

        async def greet(_: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
            answer.write(b"hello")
            answer.close()

        server = await asyncio.start_server(greet, sock=held.dup())
        assert await asyncio.wait_for(reader.read(), 5) == b"hello"
        writer.close()
        server.close()


def test_a_private_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "password", "secret")
    assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o600
