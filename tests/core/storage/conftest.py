"""Streams to store."""

from collections.abc import AsyncIterator, Callable

import pytest

Stream = Callable[..., AsyncIterator[bytes]]


@pytest.fixture
def stream() -> Stream:
    """The data in pieces, and then the failure, if one is given."""

    async def pieces(data: bytes, *, size: int = 100_000, failure: Exception | None = None) -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]
        if failure is not None:
            raise failure

    return pieces
