"""The console's pages in a real browser: from the address to the finished page, on the database of the bench."""

import shutil
from time import perf_counter
from typing import Any

import httpx

from core.bootstrap import Parts
from core.operators.service import Role
from infra.docs.console import joined
from infra.local.supervisor import Supervisor

# Nothing runs, no place is held for what is still to come, and the page's own heading and something below it are there.
_COMPLETE = """title => {
    const still = "[data-test-script-state=running], [data-testid=stSkeleton], [data-testid=stSpinner]";
    const main = document.querySelector("[data-testid=stMain]");
    const content = "[data-testid=stDataFrame], [data-testid=stMetric], [data-testid=stTable], form, button, p";
    const heading = main && main.querySelector("h1");
    return heading && heading.innerText.trim() === title && main.querySelector(content)
        && !document.querySelector(still);
}"""
_TROUBLE = "[data-testid=stAlertContentError], [data-testid=stException]"


def _paths(names: dict[str, str]) -> dict[str, str]:
    tenant = names["tenant"]
    return {
        "Now": "/",
        "Tenants": f"/tenants?tenant={tenant}",
        "Quotas": f"/quotas?tenant={tenant}",
        "Retention": f"/retention?tenant={tenant}",
        "Jobs": "/jobs",
        "Job": f"/jobs?job={names['job']}",
        "Rights requests": "/rights",
        "Erasures": "/erasures",
        "Webhooks": "/webhooks",
        "Keys": f"/keys?tenant={tenant}",
        "Audit": f"/audit?tenant={tenant}",
        "Models and workers": "/models",
        "Approvals": "/approvals",
        "Operators": "/operators",
        "Acts": "/acts",
        "Break glass": "/glass",
    }


async def visits(instance: Supervisor, parts: Parts, names: dict[str, str], *, repeats: int = 3) -> dict[str, Any]:
    """Seconds of each visit to each page, by an operator who signed in as people do."""
    from playwright.async_api import async_playwright

    async with httpx.AsyncClient(base_url=f"{instance.api_url}/operator/v1", timeout=60) as api:
        session = await joined(api, parts, "Ada Bright", Role.ADMIN)
    found: dict[str, list[float]] = {}
    async with async_playwright() as playing:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = await playing.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = await browser.new_context(viewport={"width": 1280, "height": 860})
        cookie = {"name": "likeness-console", "value": session, "url": instance.console_url}
        await context.add_cookies([cookie])  # type: ignore[list-item]  # a TypedDict that a dict display is not
        page = await context.new_page()
        for _ in range(repeats):
            for name, path in _paths(names).items():
                began = perf_counter()
                await page.goto(instance.console_url + path, wait_until="commit")
                await page.wait_for_function(_COMPLETE, arg="Jobs" if name == "Job" else name, timeout=60_000)
                if trouble := await page.locator(_TROUBLE).all_inner_texts():
                    raise RuntimeError(f"{name} was not shown: {trouble[0]}")
                found.setdefault(name, []).append(perf_counter() - began)
        await browser.close()
    return found
