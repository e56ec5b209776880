"""The console as people have it: a real API, the console's own process, one browser, for all tests of this folder."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import async_playwright

from core.bootstrap import open_parts
from core.settings import Settings
from infra.local.postgres import ADMINISTRATOR, APP, KEYS, OPERATORS, OWNER, SYSTEM, Postgres
from infra.local.valkey import Valkey
from infra.seed import Size, fill
from tests.api.browser import chromium, on_a_port
from tests.operator_ui.stage import Stage, free_port, read_whole, running_console

NAME = "likeness_console"


@pytest.fixture(scope="session")
async def stage(postgres: Postgres, valkey: Valkey) -> AsyncIterator[Stage]:
    """Five platforms with a short month behind them, served and looked at."""
    path = chromium()
    if path is None:
        pytest.skip("there is no Chromium here; set CHROMIUM or put it on the PATH")
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="likeness-console-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        administrator = await asyncpg.connect(postgres.url(ADMINISTRATOR, database="postgres"))
        stack.push_async_callback(administrator.close)
        await administrator.execute(f"CREATE DATABASE {NAME} OWNER {OWNER} TEMPLATE likeness")
        stack.push_async_callback(administrator.execute, f"DROP DATABASE {NAME} WITH (FORCE)")
        console_port = free_port()
        console_url = f"http://127.0.0.1:{console_port}"
        environment = _settings(postgres, valkey, folder)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("LIKENESS_CONSOLE_PUBLIC_URL", console_url)
        settings = read_whole(Settings())
        parts = await stack.enter_async_context(open_parts(settings))
        patch.undo()  # everything is read: the tests of other folders have settings of their own
        await fill(parts, size=Size(jobs=10, erasures=1, answered=1, rounds=1), seed=2)
        api_url, server = await stack.enter_async_context(on_a_port(settings))
        await stack.enter_async_context(running_console(folder, api_url=api_url, port=console_port))
        playing = await stack.enter_async_context(async_playwright())
        browser = await playing.chromium.launch(executable_path=path, args=["--no-sandbox"])
        stack.push_async_callback(browser.close)
        yield Stage(
            parts=parts,
            api_url=api_url,
            console_url=console_url,
            browser=browser,
            database_url=postgres.url(ADMINISTRATOR, database=NAME),
            server=server,
            environment=environment,
        )


def _settings(postgres: Postgres, valkey: Valkey, folder: Path) -> dict[str, str]:
    places = {name: folder / name for name in ("objects", "tombstones", "keys")}
    for place in places.values():
        place.mkdir(mode=0o700)
    return {
        "LIKENESS_DATABASE_URL": postgres.url(APP, database=NAME),
        "LIKENESS_DATABASE_SYSTEM_URL": postgres.url(SYSTEM, database=NAME),
        "LIKENESS_DATABASE_KEYS_URL": postgres.url(KEYS, database=NAME),
        "LIKENESS_DATABASE_OPERATORS_URL": postgres.url(OPERATORS, database=NAME),
        "LIKENESS_DATABASE_POOL_SIZE": "5",
        "LIKENESS_QUEUE_URL": valkey.url,
        "LIKENESS_STORAGE_URL": places["objects"].as_uri(),
        "LIKENESS_TOMBSTONES_URL": places["tombstones"].as_uri(),
        "LIKENESS_KEYS_URL": places["keys"].as_uri(),
    }
