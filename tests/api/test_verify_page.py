"""The page, in a real browser: seven kinds of file, each answered in plain words."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Page, async_playwright
from skimage import data

from core.bootstrap import open_parts
from core.settings import Settings
from tests.api.browser import chromium, on_a_port
from tests.delivered import a_bomb, a_delivered_file, as_jpeg, resaved, screenshot, tampered
from tests.queueing import Studio

BROWSER = chromium()
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium on the PATH: install it, or name it in CHROMIUM, to test the page"
)


@pytest.fixture
async def page(api_environment: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Page]:
    monkeypatch.setenv("LIKENESS_PROVENANCE_CHECKS_PER_MINUTE", "100")
    async with (
        on_a_port(Settings()) as (url, _),
        async_playwright() as play,
        await play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"]) as browser,
    ):
        opened = await browser.new_page(viewport={"width": 1000, "height": 1100})
        await opened.goto(f"{url}/verify")
        yield opened


async def drop(page: Page, name: str, media_type: str, file: bytes) -> tuple[str, str]:
    """Choose a file; the verdict that the page shows, and its sentence."""
    chosen: Any = {"name": name, "mimeType": media_type, "buffer": file}
    await page.set_input_files("#file", chosen)
    await page.wait_for_selector("#answer:not([hidden])", timeout=60_000)
    verdict = await page.get_attribute("#answer", "data-verdict")
    return str(verdict), await page.inner_text("#summary")


async def test_a_person_gets_a_plain_answer_to_every_kind_of_file(
    page: Page, api_environment: Settings, tmp_path: Path
) -> None:
    async with open_parts(api_environment) as parts:
        file = await a_delivered_file(parts, await Studio.open(parts))
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    assert await drop(page, "genuine.jpg", "image/jpeg", file) == (
        "genuine",
        "This picture was made by Likeness and has not been changed since.",
    )
    assert "Your face was not changed" in await page.inner_text("#card")
    assert "every byte is as it was" in await page.inner_text("#manifest")
    await page.screenshot(path=tmp_path / "genuine.png")
    foreign = as_jpeg(Image.fromarray(data.rocket()))  # type: ignore[no-untyped-call]  # skimage ships no types
    for name, media_type, sent, expected in (
        ("resaved.jpg", "image/jpeg", resaved(file), "marked"),
        ("screenshot.jpg", "image/jpeg", screenshot(file), "marked"),
        ("tampered.jpg", "image/jpeg", tampered(file), "altered"),
        ("foreign.jpg", "image/jpeg", foreign, "unknown"),
        ("text.txt", "text/plain", b"only a text", "error"),
        ("bomb.png", "image/png", a_bomb(tmp_path), "error"),
    ):
        verdict, sentence = await drop(page, name, media_type, sent)
        assert verdict == expected, name
        assert sentence
        assert await page.is_visible("#layers") == (expected != "error")
        await page.screenshot(path=tmp_path / f"{name}.png")
    assert complaints == []


async def test_the_page_and_its_answer_speak_the_readers_language(page: Page, api_environment: Settings) -> None:
    async with open_parts(api_environment) as parts:
        file = await a_delivered_file(parts, await Studio.open(parts))
    await drop(page, "genuine.jpg", "image/jpeg", file)
    # The same picture is asked about again by itself, and the page's own words change with it.
    await page.click('#languages button[lang="de"]')
    await page.wait_for_selector('#summary:has-text("Dieses Bild")', timeout=60_000)
    assert "Ihr Gesicht wurde nicht verändert" in await page.inner_text("#card")
    assert await page.inner_text("h1") == "Stammt dieses Bild von Likeness?"
    assert await page.get_attribute("html", "lang") == "de"
