"""Make the pictures of the console in `docs/console.md`, by `python -m infra.docs.console`.

Seeds a fresh instance in a temporary home, serves it without workers, so that what is open stays open, and photographs
every page in a real browser.
"""

import asyncio
import base64
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from time import perf_counter

from core.bootstrap import Parts, open_parts
from core.clock import now
from core.operators import invite, totp
from core.operators.service import Role
from infra.local.home import Home
from infra.local.supervisor import Supervisor

FOLDER = Path(os.environ.get("LIKENESS_DOCS_FOLDER", Path(__file__).parents[2] / "docs" / "images" / "console"))
EVERY = "LIKENESS_DOCS_EVERY" in os.environ  # every page in the dark and on a phone, to look at
# Nothing runs, and no place is held for what is still to come.
_DRAWN = "!document.querySelector('[data-test-script-state=running], [data-testid=stSkeleton]')"
PLAIN = ("webhooks", "models", "approvals", "operators", "acts", "glass")


async def main() -> None:
    """Make all of them."""
    from core.settings import Settings
    from infra.seed import SIZES, fill
    from infra.seed.workers import reporting

    home = Path(tempfile.mkdtemp(prefix="likeness-docs-"))
    home.chmod(0o711)  # noqa: ASYNC240 (nobody else waits)
    try:
        async with Supervisor(Home(home), workers=(), console=True) as instance:
            os.environ.update(instance.settings)
            size = SIZES[os.environ.get("LIKENESS_DOCS_SIZE", "full")]
            async with open_parts(Settings()) as parts:
                await fill(parts, size=size)
                async with reporting(parts):
                    await _photograph(instance, parts)
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def _photograph(instance: Supervisor, parts: Parts) -> None:
    import httpx
    from playwright.async_api import async_playwright

    headers = {"Authorization": f"Bearer {instance.operator_token}"}
    async with httpx.AsyncClient(base_url=f"{instance.api_url}/operator/v1", headers=headers, timeout=60) as api:
        session = await _propose(api, parts)
        shown = await _shown(api)
    FOLDER.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 (nobody else waits)
    async with async_playwright() as playing:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
        browser = await playing.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for suffix, screen, scheme, pages in (
            ("", {"width": 1280, "height": 860}, "light", shown),
            ("-dark", {"width": 1280, "height": 860}, "dark", shown if EVERY else _some(shown, "now", "quotas")),
            ("-phone-dark", {"width": 390, "height": 844}, "dark", shown if EVERY else _some(shown, "now")),
        ):
            context = await browser.new_context(viewport=screen, color_scheme=scheme)  # type: ignore[arg-type]  # typed as literals
            cookie = {"name": "likeness-console", "value": session, "url": instance.console_url}
            await context.add_cookies([cookie])  # type: ignore[list-item]  # a TypedDict that a dict display is not
            page = await context.new_page()
            for name, path in pages.items():
                began = perf_counter()
                await page.goto(instance.console_url + path)
                await page.locator("h1").first.wait_for(timeout=60_000)
                await page.wait_for_function(_DRAWN, timeout=60_000)
                if name == "retention":  # what another term would delete
                    await page.get_by_label("Keep for days", exact=True).fill("14")
                    await page.get_by_label("Keep for days", exact=True).press("Tab")
                print(f"{name}{suffix}: {perf_counter() - began:.1f} s to its content", flush=True)  # noqa: T201
                await page.wait_for_timeout(2500)
                await page.screenshot(path=FOLDER / f"{name}{suffix}.png")
                _shrink(FOLDER / f"{name}{suffix}.png")
            await context.close()
        await browser.close()


def _some(shown: dict[str, str], *names: str) -> dict[str, str]:
    return {name: shown[name] for name in names}


async def joined(api: object, parts: Parts, name: str, role: Role) -> str:
    """The session of an operator who follows their link, as people do: a password, an authenticator, a code."""
    import httpx

    assert isinstance(api, httpx.AsyncClient)  # noqa: S101 (for the reader and the type checker)

    async def said(path: str, **body: str) -> dict[str, str]:
        answer = await api.post(path, json=body)
        answer.raise_for_status()
        found: dict[str, str] = answer.json()
        return found

    email = f"{name.split(maxsplit=1)[0].lower()}@likeness.example"
    link, _ = await invite.from_machine(parts.database, parts.keyring, name=name, email=email, role=role)
    secret = (await said("invitations/accept", token=link, password=secrets.token_urlsafe(18)))["secret"]
    code = totp.code_at(base64.b32decode(secret + "=" * (-len(secret) % 8)), now())
    return (await said("invitations/confirm", token=link, code=code))["token"]


async def _propose(api: object, parts: Parts) -> str:
    """Three operators, two of whom ask for something that takes a second person: the session of the third."""
    import httpx

    assert isinstance(api, httpx.AsyncClient)  # noqa: S101 (for the reader and the type checker)
    looks = await joined(api, parts, "Ada Bright", Role.ADMIN)
    named = {one["name"]: one["tenant"] for one in (await api.get("quotas")).json()["data"]}
    plan = {"plan": "enterprise", "reason": "They open three offices"}
    glass = {"tenant_id": named["Harbour Recruiting"], "reason": "One job never ends"}
    for who, role, method, path, wish in (
        ("Noor Adler", Role.ADMIN, "PATCH", f"tenants/{named['Fjord People']}", plan),
        ("Grace Lund", Role.PRIVACY_OFFICER, "POST", "break-glass", glass),
    ):
        headers = {"Authorization": f"Bearer {await joined(api, parts, who, role)}"}
        (await api.request(method, path, json=wish, headers=headers)).raise_for_status()
    return looks


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
        "tenants": f"/tenants?tenant={tenant}",
        "retention": f"/retention?tenant={tenant}&class=headshot",
        "keys": f"/keys?tenant={tenant}",
        "audit": f"/audit?tenant={tenant}&entry={entry}",
        **{name: f"/{name}" for name in PLAIN},
    }


def _shrink(path: Path) -> None:
    from PIL import Image

    Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(path, optimize=True)


if __name__ == "__main__":
    asyncio.run(main())
