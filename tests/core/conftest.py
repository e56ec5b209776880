"""The parts that the services of core run on: real PostgreSQL and Valkey, real keys, objects in a folder per test."""

from collections.abc import AsyncIterator

import pytest

from core.bootstrap import Parts, open_parts
from core.settings import Settings


@pytest.fixture
async def parts(settings_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parts]:
    for name, value in settings_env.items():
        monkeypatch.setenv(name, value)
    async with open_parts(Settings()) as opened:
        yield opened
