"""The console in a real browser, on a real API, with five platforms behind it."""

import asyncio
import base64
import csv
import io
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from playwright.async_api import Page, expect

from core.ids import Prefix, public
from core.operators import invite, totp
from core.operators.service import Role
from operator_ui.pages import PAGES
from tests import scenes
from tests.operator_ui.stage import PATIENCE, Stage, Visit, running_console

pytestmark = pytest.mark.timeout(240)
HOSTILE = "<img src=x onerror=alert(1)>**b**[x](javascript:alert(1))![y](https://evil.example/y.png) =1+1"
PASSWORD = "correct horse battery staple 9"


async def _number(page: Page, label: str, value: int) -> None:
    """Type a number. On a busy machine a field may be drawn anew under the typing, so it is typed until it is taken."""
    for _ in range(5):
        box = page.get_by_label(label, exact=True)
        await box.fill(str(value))
        await box.press("Enter")
        try:
            await expect(page.get_by_text("Change a number to see")).to_be_hidden(timeout=6000)
        except AssertionError:
            continue
        return
    raise AssertionError("the number was not taken")


async def test_the_first_admin_joins_by_a_link_with_the_keyboard_alone_stays_signed_in_and_signs_out_everywhere(
    stage: Stage,
) -> None:
    token = await invite.first_link(stage.parts.database, stage.parts.keyring)
    context = await stage.browser.new_context()
    page = await context.new_page()
    await page.goto(f"{stage.console_url}/join?token={token}")
    await page.get_by_text("The very first admin").click()
    await page.get_by_label("Name", exact=True).fill("Ada <b>Bright</b>")
    await page.get_by_label("E-mail").fill("ada@console.example")
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_label("The same again").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("img", name="QR code for your authenticator app")).to_be_visible(timeout=PATIENCE)
    secret = parse_qs(urlsplit(await page.locator("[name=otpauth_uri]").input_value()).query)["secret"][0]
    await page.keyboard.type(_code(secret))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible(timeout=PATIENCE)
    await page.get_by_role("link", name="Open the console").press("Enter")
    seen = Visit(page=page, stage=stage, headers={})
    await seen.shown("Now")
    await seen.sees("Ada <b>Bright</b>")
    # A reload and a second tab are the same session; no script can read it.
    await page.reload()
    await seen.shown("Now")
    other = Visit(page=await context.new_page(), stage=stage, headers={})
    await other.open("/jobs", "Jobs")
    assert "likeness-console" not in await page.evaluate("document.cookie")
    # Signing out in one tab ends the other.
    await page.get_by_role("link", name="Sign out everywhere").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=PATIENCE)
    await expect(other.page.get_by_text("Your session has ended.").first).to_be_visible(timeout=PATIENCE)
    # A wrong password is told in one sentence; the e-mail stays typed.
    await page.goto(f"{stage.console_url}/quotas?x=1")
    await page.get_by_label("E-mail").fill("ada@console.example")
    await page.get_by_label("Password").fill("not that one at all")
    await page.get_by_label("Code").fill("123456")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_be_visible(timeout=PATIENCE)
    assert await page.get_by_label("E-mail").input_value() == "ada@console.example"
    await context.close()


def _code(secret: str) -> str:
    raw = base64.b32decode(secret + "=" * (-len(secret) % 8))
    return totp.code_at(raw, datetime.now(UTC))


async def test_every_page_opens_says_what_it_answers_and_reaches_nobody_else(stage: Stage) -> None:
    async with stage.visit() as visit:
        for pages in PAGES.values():
            for page in pages:
                await visit.open("/" if page.path == "now" else f"/{page.path}", page.title)
                assert await visit.page.get_by_text("in a form that this console does not know").count() == 0, page.path
                assert await visit.page.locator("[data-testid=stException]").count() == 0, page.path
        assert visit.trouble == []
        assert await visit.page.locator("footer:visible, [data-testid=stMainMenu]:visible").count() == 0
        assert await visit.page.locator("[data-testid=stAppDeployButton]:visible").count() == 0


async def test_on_a_phone_no_page_is_wider_than_the_screen(stage: Stage) -> None:
    async with stage.visit(viewport={"width": 390, "height": 844}, color_scheme="dark") as visit:
        for path, title in (
            ("/", "Now"),
            ("/tenants", "Tenants"),
            ("/quotas", "Quotas"),
            ("/rights", "Rights requests"),
        ):
            await visit.open(path, title)
            assert await visit.page.evaluate("document.scrollingElement.scrollWidth") <= 390, path


async def test_hostile_names_are_shown_as_they_are_and_nothing_of_them_runs(stage: Stage) -> None:
    async with stage.visit() as visit:
        body = {"name": HOSTILE, "credits": 5}
        made = await stage.api(visit.headers, "POST", "/operator/v1/tenants", json=body)
        tenant = made.json()["tenant"]["id"]
        for path, title in (("tenants", "Tenants"), ("quotas", "Quotas"), ("keys", "Keys"), ("audit", "Audit")):
            await visit.open(f"/{path}?tenant={tenant}", title)
            assert await visit.page.locator("img[src='x'], img[src*=evil], a[href^=javascript]").count() == 0, path
        await visit.open(f"/tenants?tenant={tenant}", "Tenants")
        await visit.sees(re.compile(re.escape("<img src=x onerror=alert(1)>**b**[x](javascript:alert(1))")))
        await visit.open(f"/jobs?job={HOSTILE}&tenant=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "Jobs")
        assert visit.trouble == []


async def test_a_changed_quota_bites_at_the_api_and_stands_in_the_history(stage: Stage) -> None:
    platform = await scenes.a_platform(stage.parts, credits=50)
    _, photo = await scenes.a_ready_person(stage.parts, platform)
    tenant = public(Prefix.TENANT, platform.tenant_id)
    order = {"photo_id": public(Prefix.PHOTO, photo), "styles": ["studio-grey"]}
    asking = {"Authorization": f"Bearer {platform.key}"}
    async with stage.visit() as visit:
        await visit.open(f"/quotas?tenant={tenant}", "Quotas")
        await _number(visit.page, "Credits", 0)
        await _number(visit.page, "Weight", 3)
        await visit.sees("What it means for fairness")
        await visit.page.get_by_role("button", name="Save").click()
        await visit.sees(re.compile("The limits of Some Platform are changed"))
        await visit.page.get_by_role("tab", name="History").click()
    refused = await stage.api(asking | {"Idempotency-Key": "one"}, "POST", "/v1/headshots", json=order)
    assert (refused.status_code, refused.json()["code"]) == (402, "quota_exceeded")
    history = (await stage.api(visit.headers, "GET", f"/operator/v1/quotas/{tenant}/history")).json()["data"]
    assert (history[0]["after"]["credits"], history[0]["after"]["weight"]) == (0, 3.0)


async def test_of_two_operators_who_change_one_quota_the_second_is_told_and_loses_nothing_typed(stage: Stage) -> None:
    platform = await scenes.a_platform(stage.parts, credits=50)
    tenant = public(Prefix.TENANT, platform.tenant_id)
    async with stage.visit(name="First") as first, stage.visit(name="Second") as second:
        for visit in (first, second):
            await visit.open(f"/quotas?tenant={tenant}", "Quotas")
            # Both have the form before them before either changes anything.
            await expect(visit.page.get_by_label("Credits", exact=True)).to_have_value("50", timeout=PATIENCE)
            await visit.still()
        await _number(first.page, "Credits", 70)
        await first.page.get_by_role("button", name="Save").click()
        await first.sees(re.compile("are changed"))
        await _number(second.page, "Credits", 90)
        await second.sees(re.compile("Somebody changed these limits meanwhile.*Now: 70 credits"))
        await second.page.get_by_role("button", name="Save").click()
        await second.sees(re.compile("Somebody else was faster"))
        assert await second.page.get_by_label("Credits", exact=True).input_value() == "90"
        found = await stage.api(first.headers, "GET", f"/operator/v1/quotas/{tenant}")
        assert found.json()["credits"] == 70
        # Having seen it, they may go on without typing anything again.
        go_on = second.page.get_by_role("button", name="I have seen it, go on from there")
        await go_on.click()
        await expect(go_on).to_be_hidden(timeout=PATIENCE)
        await second.still()
        assert await second.page.get_by_label("Credits", exact=True).input_value() == "90"
        await second.page.get_by_role("button", name="Save").click()
        await second.sees(re.compile("are changed"))
    found = await stage.api(first.headers, "GET", f"/operator/v1/quotas/{tenant}")
    assert found.json()["credits"] == 90


async def test_a_viewer_sees_everything_operational_and_is_offered_nothing(stage: Stage) -> None:
    platform = await scenes.a_platform(stage.parts)
    tenant = public(Prefix.TENANT, platform.tenant_id)
    async with stage.visit(Role.VIEWER) as visit:
        await visit.open(f"/quotas?tenant={tenant}", "Quotas")
        await _number(visit.page, "Credits", 999)
        await visit.sees(re.compile("For admin"))
        await expect(visit.page.get_by_role("button", name="Save")).to_be_disabled()
        await visit.open("/audit", "Audit")
        await visit.sees("This page is for privacy officers and admins.")
        change = {"version": 1, "credits": 999}
        refused = await stage.api(visit.headers, "PATCH", f"/operator/v1/quotas/{tenant}", json=change)
        assert refused.status_code == 403


async def test_a_session_that_ended_says_so_where_it_was_noticed_and_leads_back(stage: Stage) -> None:
    async with stage.visit() as visit:
        await visit.open("/jobs?state=done", "Jobs")
        await stage.api(visit.headers, "DELETE", "/operator/v1/session")
        await visit.sees("Your session has ended.")
        await visit.page.get_by_role("link", name="Sign in again").first.click()
        await expect(visit.page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=PATIENCE)
        assert "Sign in to go on where you were" in await visit.page.content()
        assert "%2Fjobs%3Fstate%3Ddone" in (await visit.page.locator("form").get_attribute("action") or "")


async def test_what_is_typed_survives_the_live_refresh_and_filters_survive_a_reload(stage: Stage) -> None:
    async with stage.visit() as visit:
        await visit.open("/jobs?state=done", "Jobs")
        box = visit.page.get_by_label("Job", exact=True)
        await box.click()
        await visit.page.keyboard.type("job_half-typed")
        await asyncio.sleep(7)  # more than one turn of the list below
        assert await box.input_value() == "job_half-typed"
        await box.fill("")
        await box.press("Enter")
        await visit.page.reload()
        await visit.shown("Jobs")
        await expect(visit.page.get_by_label("State", exact=True)).to_have_value(re.compile("Done"), timeout=PATIENCE)
        assert "state=done" in visit.page.url


async def test_ten_thousand_jobs_are_paged_and_exported_whole(stage: Stage, tmp_path: Path) -> None:
    platform = await scenes.a_platform(stage.parts)
    await scenes.a_ready_person(stage.parts, platform)
    await _many_jobs(stage, platform.tenant_id.hex)
    tenant = public(Prefix.TENANT, platform.tenant_id)
    async with stage.visit() as visit:
        await visit.open(f"/jobs?tenant={tenant}", "Jobs")
        await visit.sees("Page 1 · 50 rows")
        await visit.page.get_by_role("button", name="Older").click()
        await visit.sees("Page 2 · 50 rows")
        async with visit.page.expect_download(timeout=90_000) as downloading:
            await visit.page.get_by_role("button", name="CSV of these jobs").click()
        path = tmp_path / "jobs.csv"
        await (await downloading.value).save_as(path)
    rows = list(csv.reader(io.StringIO(path.read_text("utf-8-sig"))))
    assert len(rows) == 10_001
    assert rows[0][0] == "State"


async def _many_jobs(stage: Stage, tenant: str) -> None:
    administrator = await asyncpg.connect(stage.database_url)
    await administrator.execute(
        """INSERT INTO job (id, tenant_id, subject_id, photo_id, mode, region, state, styles, seed, cost, charged, work,
             weight, fair_start, fair_finish, erasure_epoch, retain_seconds, attempt, deaths, not_before, progress,
             created_at)
           SELECT uuidv7(), p.tenant_id, p.subject_id, p.id, 'live', 'nowhere', 'cancelled', '["studio-grey"]', 1, 1, 0,
             1, 1, n, n, 0, 60, 0, 0, now(), 0, now()
           FROM photo p, generate_series(1, 10000) n WHERE p.tenant_id = $1""",
        tenant,
    )
    await administrator.close()


async def test_without_the_api_the_console_says_so_and_what_to_do(stage: Stage, tmp_path: Path) -> None:
    async with running_console(tmp_path, api_url="http://127.0.0.1:9") as console_url:
        context = await stage.browser.new_context()
        await context.add_cookies([{"name": "likeness-console", "value": "whatever", "url": console_url}])
        page = await context.new_page()
        await page.goto(console_url)
        await expect(page.get_by_text("The service does not answer.")).to_be_visible(timeout=PATIENCE)
        await expect(page.get_by_role("button", name="Try again")).to_be_visible()
        await page.goto(f"{console_url}/sign-in")
        await page.get_by_label("E-mail").fill("ada@console.example")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_label("Code").fill("123456")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("does not answer")
        await context.close()
