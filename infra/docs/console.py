"""Make the pictures of the console in `docs/console.md`, by `python -m infra.docs.console`.

Seeds a fresh instance in a temporary home, serves it without workers, so that what is open stays open, and photographs
every page in a real browser.
"""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

from infra.local.home import Home
from infra.local.supervisor import Supervisor

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "console"
# Nothing runs, and no place is held for what is still to come.
_DRAWN = "!document.querySelector('[data-test-script-state=running], [data-testid=stSkeleton]')"
PLAIN = ("tenants", "webhooks", "models", "approvals", "operators", "retention")


async def main() -> None:
    """Make all of them."""
    from core.bootstrap import open_parts
    from core.settings import Settings
    from infra.seed import SIZES, fill

    home = Path(tempfile.mkdtemp(prefix="likeness-docs-"))
    home.chmod(0o711)  # noqa: ASYNC240 (nobody else waits)
    try:
        async with Supervisor(Home(home), workers=(), console=True) as instance:
            os.environ.update(instance.settings)
            size = SIZES[os.environ.get("LIKENESS_DOCS_SIZE", "full")]
            async with open_parts(Settings()) as parts:
                await fill(parts, size=size)
            await _photograph(instance)
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def _photograph(instance: Supervisor) -> None:
    import httpx
    from playwright.async_api import async_playwright

    headers = {"Authorization": f"Bearer {instance.operator_token}"}
    async with httpx.AsyncClient(base_url=f"{instance.api_url}/operator/v1", headers=headers, timeout=60) as api:
        shown = await _shown(api)
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playing:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
        browser = await playing.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for suffix, screen, scheme, pages in (
            ("", {"width": 1280, "height": 860}, "light", shown),
            ("-dark", {"width": 1280, "height": 860}, "dark", {"now": shown["now"], "quotas": shown["quotas"]}),
            ("-phone-dark", {"width": 390, "height": 844}, "dark", {"now": shown["now"]}),
        ):
            context = await browser.new_context(viewport=screen, color_scheme=scheme)  # type: ignore[arg-type]  # typed as literals
            cookie = {"name": "likeness-console", "value": instance.operator_token, "url": instance.console_url}
            await context.add_cookies([cookie])  # type: ignore[list-item]  # a TypedDict that a dict display is not
            page = await context.new_page()
            for name, path in pages.items():
                await page.goto(instance.console_url + path)
                await page.locator("h1").first.wait_for(timeout=60_000)
                await page.wait_for_function(_DRAWN, timeout=60_000)
                await page.wait_for_timeout(2500)
                await page.screenshot(path=FOLDER / f"{name}{suffix}.png")
                _shrink(FOLDER / f"{name}{suffix}.png")
            await context.close()
        await browser.close()


async def _shown(api: object) -> dict[str, str]:
    """Each page with something worth seeing on it."""
    import httpx

    assert isinstance(api, httpx.AsyncClient)  # noqa: S101 (for the reader and the type checker)

    async def first(path: str, **query: str) -> str:
        found = (await api.get(path, params=query)).json()["data"]
        return str(found[0]["id"]) if found else ""

    quotas = (await api.get("quotas")).json()["data"]
    tenant = max(quotas, key=lambda one: one["used"])["tenant"]
    entry = await first(f"audit/{tenant}/entries", kind="headshot.done")
    return {
        "now": "/",
        "rights": "/rights",
        "erasures": f"/erasures?erasure={await first('erasures', progress='certified')}",
        "jobs": f"/jobs?job={await first('jobs', state='done')}",
        "quotas": f"/quotas?tenant={tenant}",
        "keys": f"/keys?tenant={tenant}",
        "audit": f"/audit?tenant={tenant}&entry={entry}",
        **{name: f"/{name}" for name in PLAIN},
    }


def _shrink(path: Path) -> None:
    from PIL import Image

    Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(path, optimize=True)


if __name__ == "__main__":
    asyncio.run(main())
