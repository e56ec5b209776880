"""What tests of the console do again and again: sign somebody in, open a page, and read what is on it."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from playwright.async_api import Browser, Locator, Page, Request, expect

from core.bootstrap import Parts
from core.operators.service import Role
from core.settings import Settings
from operator_ui.place import COOKIE
from tests.operating import an_operator

ROOT = Path(__file__).parents[2]
PATIENCE = 30_000  # milliseconds; the machine may be busy


@dataclass
class Visit:
    """One operator's tab. trouble: what the browser complained of, and whom it wanted to reach elsewhere."""

    page: Page
    stage: "Stage"
    headers: dict[str, str]
    trouble: list[str] = field(default_factory=list)

    async def open(self, path: str, title: str) -> None:
        """Open a page of the console and wait until it is drawn."""
        await self.page.goto(self.stage.console_url + path)
        await self.shown(title)

    async def shown(self, title: str) -> None:
        await expect(self.page.get_by_role("heading", name=title, exact=True, level=1)).to_be_visible(timeout=PATIENCE)
        await self.still()

    async def still(self) -> None:
        """Wait until nothing runs any more."""
        await self.page.wait_for_function(
            "!document.querySelector('[data-testid=stApp][data-test-script-state=running]')", timeout=PATIENCE
        )

    async def types(self, label: str, text: str, *, until: Locator | None = None) -> None:
        """Type it and leave the field. until: the button that this opens.

        While a page is drawn anew a field may lose what is typed into it, so it is typed until it is taken.
        """
        for _ in range(5):
            box = self.page.get_by_label(label, exact=True).first
            await box.fill(text)
            await box.blur()
            await asyncio.sleep(0.5)
            await self.still()
            try:
                await expect(box).to_have_value(text, timeout=2000)
                if until is not None:
                    await expect(until).to_be_enabled(timeout=6000)
            except AssertionError:
                continue
            return
        raise AssertionError(f"what was typed into {label} was not taken")

    async def sees(self, text: str | re.Pattern[str]) -> None:
        await expect(self.page.get_by_text(text).first).to_be_visible(timeout=PATIENCE)


@dataclass
class Stage:
    """An API, a console, a browser."""

    parts: Parts
    api_url: str
    console_url: str
    browser: Browser
    database_url: str
    server: uvicorn.Server
    environment: Mapping[str, str]

    @asynccontextmanager
    async def visit(self, role: Role = Role.ADMIN, *, name: str = "Ada Bright", **screen: Any) -> AsyncIterator[Visit]:
        """A signed-in operator in a browser of their own."""
        operator = await an_operator(self.parts, role, name=name)
        context = await self.browser.new_context(**screen)
        token = operator.headers["Authorization"].removeprefix("Bearer ")
        await context.add_cookies(
            [{"name": COOKIE, "value": token, "url": self.console_url, "httpOnly": True, "sameSite": "Strict"}]
        )
        try:
            yield self._watched(await context.new_page(), operator.headers)
        finally:
            await context.close()

    def _watched(self, page: Page, headers: dict[str, str]) -> Visit:
        visit = Visit(page=page, stage=self, headers=headers)
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: visit.trouble.append(f"error: {error}"))
        page.on("dialog", lambda dialog: visit.trouble.append(f"dialog: {dialog.message}"))
        ours = (self.console_url, "data:", "blob:")

        def asked(request: Request) -> None:
            if not request.url.startswith(ours):
                visit.trouble.append(f"out: {request.url}")

        page.on("request", asked)
        return visit

    async def api(self, headers: dict[str, str], method: str, path: str, **request: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.api_url, trust_env=False, timeout=30) as client:
            return await client.request(method, path, headers=headers, **request)


def read_whole(settings: Settings) -> Settings:
    """The settings with every group read now, and none when it is first asked for."""
    for name, member in vars(Settings).items():
        if isinstance(member, cached_property):
            getattr(settings, name)
    return settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running_console(
    folder: Path, *, api_url: str, port: int | None = None, more: Mapping[str, str] | None = None
) -> AsyncIterator[str]:
    """The console in a process of its own, as the supervisor starts it. more: settings of its environment."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    told = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
    told |= {"LIKENESS_CONSOLE_API_URL": api_url, "LIKENESS_CONSOLE_PUBLIC_URL": url, **(more or {})}
    script = ROOT / "operator_ui" / "app.py"
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    with (folder / "console.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=told, stdout=log, stderr=log)  # noqa: ASYNC220, S603 (our own)
    try:
        await _answers(url)
        yield url
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)


async def _answers(url: str) -> None:
    async with asyncio.timeout(90), httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                if (await client.get(f"{url}/_stcore/health")).is_success:
                    return
            except httpx.HTTPError:
                await asyncio.sleep(0.2)
