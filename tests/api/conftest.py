"""The application over real parts, asked through HTTP in the same process, with its real lifespan."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar
from litestar.datastructures import State

from api.main import create_app, state_of
from core import logs
from core.bootstrap import Parts
from core.settings import Settings
from tests.scenes import Platform, a_platform

OPERATOR_TOKEN = "operator-token-of-the-tests"


@dataclass(frozen=True)
class Api:
    """The running application and a client of it."""

    app: Litestar
    parts: Parts
    http: httpx.AsyncClient

    def as_(self, platform: Platform) -> dict[str, str]:
        return {"Authorization": f"Bearer {platform.key}"}

    async def call(self, platform: Platform, method: str, path: str, **request: Any) -> httpx.Response:
        headers: Mapping[str, str] = request.pop("headers", {})
        return await self.http.request(method, path, headers={**self.as_(platform), **headers}, **request)


@pytest.fixture
def api_environment(settings_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in settings_env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LIKENESS_API_OPERATOR_TOKEN_SHA256", hashlib.sha256(OPERATOR_TOKEN.encode()).hexdigest())
    monkeypatch.setenv("LIKENESS_API_PUBLIC_URL", "http://likeness.test")
    return Settings()


@asynccontextmanager
async def running(app: Litestar) -> AsyncIterator[None]:
    """The application's lifespan in one task of its own: a fixture begins and ends in two."""
    ready, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            ready.set()
            await stop.wait()

    task = asyncio.create_task(live())
    started = asyncio.create_task(ready.wait())
    await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    try:
        if not task.done():
            yield
    finally:
        stop.set()
        await task


_idle: dict[str, Litestar] = {}
"""An application for each public address that no test is using: its routes take half a second to put together."""


def _an_app(settings: Settings) -> Litestar:
    app = _idle.pop(settings.api.public_url, None)
    if app is None:
        return create_app(settings)
    logs.configure(settings, service="api")
    app.state = State(state_of(settings))
    return app


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Api]:
    app = _an_app(settings)
    transport = httpx.ASGITransport(app=cast("Any", app), raise_app_exceptions=False)
    async with running(app), httpx.AsyncClient(transport=transport, base_url="http://likeness.test") as http:
        yield Api(app=app, parts=app.state.parts, http=http)
    _idle.setdefault(settings.api.public_url, app)


@pytest.fixture
async def api(api_environment: Settings) -> AsyncIterator[Api]:
    async with served(api_environment) as found:
        yield found


@pytest.fixture
async def platform(api: Api) -> Platform:
    return await a_platform(api.parts)
