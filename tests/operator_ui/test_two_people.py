"""What takes more than one person, or more than one moment: in a real browser, on a real API."""

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import expect

from core.clock import frozen_at, now
from core.ids import Prefix, public
from core.operators.service import Role
from core.rights import certify, erase
from tests import scenes
from tests.operator_ui.stage import PATIENCE, Stage

pytestmark = pytest.mark.timeout(240)


async def test_a_tenant_is_suspended_by_two_people_and_starts_nothing_from_then_on(stage: Stage) -> None:
    platform = await scenes.a_platform(stage.parts)
    _, photo = await scenes.a_ready_person(stage.parts, platform)
    tenant = public(Prefix.TENANT, platform.tenant_id)
    order = {"photo_id": public(Prefix.PHOTO, photo), "styles": ["studio-grey"], "dry_run": True}
    asking = {"Authorization": f"Bearer {platform.key}", "Idempotency-Key": "one"}
    async with stage.visit(name="First") as first, stage.visit(Role.PRIVACY_OFFICER, name="Second") as second:
        await first.open(f"/tenants?tenant={tenant}", "Tenants")
        await first.page.get_by_role("button", name="Suspend …").click()
        box = first.page.get_by_label("Reason", exact=True)
        await box.fill("They do not answer <b>anybody</b>")
        await box.press("Control+Enter")
        await first.page.get_by_role("button", name="Propose to suspend").click()
        await first.sees(re.compile("Nothing has changed yet: this needs a second person"))
        assert (await stage.api(asking, "POST", "/v1/headshots", json=order)).status_code == 200
        # Whoever asked cannot approve it; the second person must say why.
        await first.open("/approvals", "Approvals")
        await first.sees("You asked for this, so somebody else decides.")
        assert await first.page.get_by_role("button", name="Approve").count() == 0
        await second.open("/approvals", "Approvals")
        await second.sees(re.compile("They do not answer <b>anybody</b>"))
        await expect(second.page.get_by_role("button", name="Approve")).to_be_disabled()
        why = second.page.get_by_label("Your reason")
        await why.fill("I called them too")
        await why.press("Enter")
        await second.page.get_by_role("button", name="Approve").click()
        await second.sees("Approved, and done.")
        assert first.trouble == second.trouble == []
    refused = await stage.api(asking, "POST", "/v1/headshots", json=order)
    assert (refused.status_code, refused.json()["code"]) == (403, "tenant_suspended")


async def test_an_erasure_is_followed_from_the_request_to_a_certificate_that_the_page_verifies(stage: Stage) -> None:
    platform = await scenes.a_platform(stage.parts)
    subject, _ = await scenes.a_ready_person(stage.parts, platform)
    asked = {"subject_id": public(Prefix.SUBJECT, subject), "kind": "erasure", "identity_verified": True}
    asking = {"Authorization": f"Bearer {platform.key}", "Idempotency-Key": "one"}
    made = await stage.api(asking, "POST", "/v1/rights-requests", json=asked)
    assert made.is_success, made.text
    async with stage.visit(Role.PRIVACY_OFFICER) as visit:
        await visit.open(f"/rights?request={made.json()['id']}", "Rights requests")
        await visit.page.get_by_role("main").get_by_role("link", name="Erasures").click()
        await visit.shown("Erasures")
        await visit.sees("◐ In progress")
        parts, tenant = stage.parts, platform.tenant_id
        await erase.finish(parts.database, parts.store, tenant_id=tenant, subject_id=subject)
        with frozen_at(now() + timedelta(seconds=6)):
            await certify.certify(parts.database, parts.store, tenant_id=tenant, subject_id=subject)
        await visit.sees("● Certified")
        await visit.page.reload()
        await visit.shown("Erasures")
        await visit.page.get_by_role("button", name="Verify here").click()
        await visit.sees("Verified.")
        async with visit.page.expect_download(timeout=PATIENCE) as downloading:
            await visit.page.get_by_role("button", name="Certificate (JSON)").click()
        assert (await downloading.value).suggested_filename.endswith(".json")
        assert visit.trouble == []


async def test_a_delivery_is_sent_again(stage: Stage) -> None:
    async with stage.visit(Role.SUPPORT) as visit:
        found = (await stage.api(visit.headers, "GET", "/operator/v1/webhook-deliveries?state=delivered")).json()[
            "data"
        ]
        delivery = found[0]["id"]
        await visit.open(f"/webhooks?delivery={delivery}", "Webhooks")
        await visit.page.get_by_role("button", name="Send it again").click()
        await visit.sees("The delivery is on its way again.")
        again = (await stage.api(visit.headers, "GET", "/operator/v1/webhook-deliveries?state=pending")).json()["data"]
        assert delivery in {one["id"] for one in again}


async def test_a_term_that_deletes_more_is_simulated_then_shortened_by_two_people(stage: Stage) -> None:
    platform = await scenes.a_platform(stage.parts)
    await scenes.a_ready_person(stage.parts, platform)
    tenant = public(Prefix.TENANT, platform.tenant_id)
    where = f"/operator/v1/retention/{tenant}"
    async with stage.visit(Role.PRIVACY_OFFICER, name="First") as first, stage.visit(name="Second") as second:
        await first.open(f"/retention?tenant={tenant}&class=photo", "Retention")
        days = first.page.get_by_label("Keep for days", exact=True)
        await days.fill("2")
        await days.press("Enter")
        await first.sees("Within 90 days")
        why = first.page.get_by_label("Reason", exact=True)
        await why.fill("They asked for less")
        await why.press("Enter")
        await first.page.get_by_role("button", name="Save this term").click()
        await first.sees(re.compile("this needs a second person"))
        (kept,) = [one for one in (await _terms(stage, first.headers, where)) if one["data_class"] == "photo"]
        assert kept["seconds"] == 7 * 86_400
        await second.open("/approvals", "Approvals")
        reason = second.page.get_by_label("Your reason").first
        await reason.fill("Agreed")
        await reason.press("Enter")
        await second.page.get_by_role("button", name="Approve").first.click()
        await second.sees("Approved, and done.")
        (kept,) = [one for one in (await _terms(stage, first.headers, where)) if one["data_class"] == "photo"]
        assert kept["seconds"] == 2 * 86_400


async def _terms(stage: Stage, headers: dict[str, str], where: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await stage.api(headers, "GET", where)).json()["terms"]
    return found
