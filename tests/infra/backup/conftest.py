"""The parts of core, with the owner of the tables at hand, whom a restore needs."""

from collections.abc import AsyncIterator

import pytest

from core.bootstrap import Parts, open_parts
from core.settings import Settings


@pytest.fixture
async def parts(settings_env: dict[str, str], owner_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parts]:
    settings_env["LIKENESS_DATABASE_OWNER_URL"] = owner_url
    for name, value in settings_env.items():
        monkeypatch.setenv(name, value)
    async with open_parts(Settings()) as opened:
        yield opened
