"""What takes more than one person, or more than one moment: in a real browser, on a real API."""

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import expect
from sqlmodel import select

from core.clock import frozen_at, now
from core.ids import Prefix, public
from core.operators.service import Role
from core.rights import certify, erase
from core.rights.models import Departure
from core.tenants import service as tenants
from core.webhooks.models import Event
from tests import scenes
from tests.operator_ui.stage import PATIENCE, Stage, Visit

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
        propose = first.page.get_by_role("button", name="Propose to suspend")
        await first.types("Reason", "They do not answer <b>anybody</b>", until=propose)
        await propose.click()
        await first.sees(re.compile("Nothing has changed yet: this needs a second person"))
        assert (await stage.api(asking, "POST", "/v1/headshots", json=order)).status_code == 200
        # Whoever asked cannot approve it; the second person must say why.
        await first.open("/approvals", "Approvals")
        await first.sees("You asked for this, so somebody else decides.")
        assert await first.page.get_by_role("button", name="Approve").count() == 0
        await second.open("/approvals", "Approvals")
        await second.sees(re.compile("They do not answer <b>anybody</b>"))
        approve = second.page.get_by_role("button", name="Approve")
        await expect(approve).to_be_disabled()
        await second.types("Your reason", "I called them too", until=approve)
        await approve.click()
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


async def test_a_tenant_is_deleted_only_by_its_typed_name_and_a_second_person(stage: Stage) -> None:
    platform = await scenes.a_platform(stage.parts)
    await scenes.a_ready_person(stage.parts, platform)
    tenant = public(Prefix.TENANT, platform.tenant_id)
    asking = {"Authorization": f"Bearer {platform.key}"}
    async with stage.visit(name="First") as first, stage.visit(Role.PRIVACY_OFFICER, name="Second") as second:
        await first.open(f"/tenants?tenant={tenant}", "Tenants")
        await first.page.get_by_role("button", name="Delete …").click()
        await first.sees("Everything that is held for this tenant is deleted")
        propose = first.page.get_by_role("button", name="Propose to delete")
        await first.types("Why delete", "They left us")
        await first.types("Type the tenant's name to delete", "Some Other Platform")
        await expect(propose).to_be_disabled()
        await first.types("Type the tenant's name to delete", "Some Platform", until=propose)
        await propose.click()
        await first.sees(re.compile("Nothing was archived yet"))  # the API minds the platform's own records
        await first.page.get_by_text("It wants no archive of its own records").click()
        await first.still()
        await propose.click()
        await first.sees(re.compile("Nothing has changed yet: this needs a second person"))
        assert (await stage.api(asking, "GET", "/v1/tenant")).status_code == 200
        await second.open("/approvals", "Approvals")
        await second.sees(re.compile("become unreadable at once, for good"))
        approve = second.page.get_by_role("button", name="Approve")
        await second.types("Your reason", "I called them too", until=approve)
        await approve.click()
        await second.sees("Approved, and done.")
    async with stage.parts.database.tenant(platform.tenant_id) as session:
        departure = (await session.exec(select(Departure))).one()
    assert departure.shredded_at is not None
    assert (await stage.api(asking, "GET", "/v1/tenant")).status_code == 401


async def test_keys_are_destroyed_by_a_second_person_and_nothing_of_the_tenant_opens_again(stage: Stage) -> None:
    platform = await scenes.a_platform(stage.parts)
    tenant = public(Prefix.TENANT, platform.tenant_id)
    asking = {"Authorization": f"Bearer {platform.key}"}
    async with stage.visit(name="First") as first, stage.visit(Role.PRIVACY_OFFICER, name="Second") as second:
        await first.open(f"/tenants?tenant={tenant}", "Tenants")
        await first.page.get_by_role("button", name="Destroy its keys …").click()
        await first.sees("Every key of this tenant is destroyed at once")
        propose = first.page.get_by_role("button", name="Propose to destroy the keys")
        await first.types("Why destroy", "A key has leaked")
        await first.types("Type the tenant's name to destroy", "Some Platform", until=propose)
        await propose.click()
        await first.sees(re.compile("Nothing has changed yet: this needs a second person"))
        assert (await stage.api(asking, "GET", "/v1/tenant")).status_code == 200
        await second.open("/approvals", "Approvals")
        approve = second.page.get_by_role("button", name="Approve")
        await second.types("Your reason", "I saw the leak", until=approve)
        await approve.click()
        await second.sees("Approved, and done.")
    async with stage.parts.database.tenant(platform.tenant_id) as session:
        departure = (await session.exec(select(Departure).where(Departure.tenant_id == platform.tenant_id))).one()
    assert departure.shredded_at is not None
    assert (await stage.api(asking, "GET", "/v1/tenant")).status_code == 401


async def test_a_tenant_is_renamed_and_moved_by_one_person(stage: Stage) -> None:
    platform = await scenes.a_platform(stage.parts)
    tenant = public(Prefix.TENANT, platform.tenant_id)
    async with stage.visit(name="First") as first:
        await first.open(f"/tenants?tenant={tenant}", "Tenants")
        await first.page.get_by_role("button", name="Rename or move …").click()
        save = first.page.get_by_role("button", name="Save the change")
        for label, text in (("Name", "Another Platform"), ("Region", "eu-north")):  # a new tenant's form has both too
            field = first.page.get_by_label(label, exact=True).locator("visible=true")
            await field.fill(text)
            await field.press("Tab")
            await first.still()
        await expect(save).to_be_enabled()
        await first.sees("New jobs run there from then on")
        await save.click()
        await first.sees("Another Platform is changed.")
    async with stage.parts.database.tenant(platform.tenant_id) as session:
        changed = await tenants.get_tenant(session, platform.tenant_id)
    assert (changed.name, changed.region) == ("Another Platform", "eu-north")


async def test_two_people_break_the_glass_see_ids_alone_and_everybody_hears_of_it(stage: Stage) -> None:
    platform = await scenes.a_platform(stage.parts)
    subject, _ = await scenes.a_ready_person(stage.parts, platform)
    tenant, person = public(Prefix.TENANT, platform.tenant_id), public(Prefix.SUBJECT, subject)
    async with (
        stage.visit(Role.SUPPORT, name="First") as first,
        stage.visit(Role.PRIVACY_OFFICER, name="Second") as second,
        stage.visit(name="Third") as third,
    ):
        await first.open(f"/glass?tenant={tenant}", "Break glass")
        await first.sees(re.compile("The tenant is told at once"))
        ask = first.page.get_by_role("button", name="Ask for it")
        await first.types("Why it is needed", "A job of one person never ends", until=ask)
        await ask.click()
        await first.sees(re.compile("Nothing has changed yet: this needs a second person"))
        await second.open("/approvals", "Approvals")
        approve = second.page.get_by_role("button", name="Approve")
        await second.types("Your reason", "I look with them", until=approve)
        await approve.click()
        await second.sees("Approved, and done.")
        # The banner is on every page of both, with the time that is left, and on nobody else's.
        for visit in (first, second):
            await visit.open("/jobs", "Jobs")
            await visit.sees("Break-glass is open.")
            await visit.sees(re.compile("29 min|30 min"))
        await third.open("/glass", "Break glass")
        await third.sees("Before")
        assert await third.page.get_by_text("Break-glass is open.").count() == 0
        # Looking is a click of its own, because each look is written down.
        await first.open("/glass", "Break glass")
        await first.sees("Nothing was looked at yet.")
        assert await _looks(stage, third.headers) == 0
        look = first.page.get_by_role("button", name="Look", exact=True)
        await first.types("One person", person, until=look)
        await look.click()
        await first.sees(re.compile("Closes in"))
        await expect(first.page.get_by_role("heading", name=person)).to_be_visible(timeout=PATIENCE)
        await first.sees("1 photo, 0 headshots, 0 jobs")
        assert await _looks(stage, third.headers) == 1
        assert await first.page.locator("[data-testid=stMain] img").count() == 0
        # Our own log has it, and proves itself in the page.
        await third.open("/acts", "Acts")
        await third.sees("Proved here.")
        await third.sees(re.compile("and agrees"))
        assert first.trouble == second.trouble == third.trouble == []
    async with stage.parts.database.tenant(platform.tenant_id) as session:
        told = (await session.exec(select(Event).where(Event.type == "operator.break_glass"))).all()
    assert len(told) == 1


async def _looks(stage: Stage, headers: dict[str, str]) -> int:
    acts = (await stage.api(headers, "GET", "/operator/v1/acts?limit=50")).json()["data"]
    return sum(act["kind"] == "break_glass.looked" for act in acts)


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
        save = first.page.get_by_role("button", name="Save this term")
        await first.types("Keep for days", "2")
        await first.sees("Within 90 days")
        await first.types("Reason", "They asked for less", until=save)
        await save.click()
        await first.sees(re.compile("this needs a second person"))
        (kept,) = [one for one in (await _terms(stage, first.headers, where)) if one["data_class"] == "photo"]
        assert kept["seconds"] == 7 * 86_400
        await second.open("/approvals", "Approvals")
        approve = second.page.get_by_role("button", name="Approve")
        await second.types("Your reason", "Agreed", until=approve)
        await approve.click()
        await second.sees("Approved, and done.")
        (kept,) = [one for one in (await _terms(stage, first.headers, where)) if one["data_class"] == "photo"]
        assert kept["seconds"] == 2 * 86_400


async def test_of_two_officers_who_change_one_term_the_second_is_told_and_goes_on_from_there(stage: Stage) -> None:
    platform = await scenes.a_platform(stage.parts)
    tenant = public(Prefix.TENANT, platform.tenant_id)
    where = f"/operator/v1/retention/{tenant}"
    async with (
        stage.visit(Role.PRIVACY_OFFICER, name="First") as first,
        stage.visit(Role.PRIVACY_OFFICER, name="Second") as second,
    ):
        for visit in (first, second):
            await visit.open(f"/retention?tenant={tenant}&class=headshot", "Retention")
            await expect(visit.page.get_by_label("Keep for days", exact=True)).to_have_value("30", timeout=PATIENCE)
        for visit, days in ((first, "40"), (second, "60")):
            save = visit.page.get_by_role("button", name="Save this term")
            await visit.types("Keep for days", days)
            await visit.types("Reason", "They asked for more", until=save)
            await save.click()
            if visit is first:
                await visit.sees(re.compile("kept for 40 days from now on"))
        await second.sees(re.compile("Somebody changed this term meanwhile.*Now: kept for 40 d"))
        (kept,) = [one for one in (await _terms(stage, first.headers, where)) if one["data_class"] == "headshot"]
        assert kept["seconds"] == 40 * 86_400
        go_on = second.page.get_by_role("button", name="I have seen it, go on from there")
        await go_on.click()
        await expect(go_on).to_be_hidden(timeout=PATIENCE)
        await second.still()
        assert await second.page.get_by_label("Keep for days", exact=True).input_value() == "60"
        assert await second.page.get_by_label("Reason", exact=True).input_value() == "They asked for more"
        await save.click()
        await second.sees(re.compile("kept for 60 days from now on"))
        assert first.trouble == second.trouble == []
    (kept,) = [one for one in (await _terms(stage, first.headers, where)) if one["data_class"] == "headshot"]
    assert (kept["seconds"], kept["version"]) == (60 * 86_400, 2)


async def test_a_smaller_plan_takes_one_person_and_a_greater_one_two(stage: Stage) -> None:
    platform = await scenes.a_platform(stage.parts)
    tenant = public(Prefix.TENANT, platform.tenant_id)

    async def plan(headers: dict[str, str]) -> str:
        found: str = (await stage.api(headers, "GET", f"/operator/v1/tenants/{tenant}")).json()["plan"]
        return found

    async with stage.visit(name="First") as first, stage.visit(name="Second") as second:
        before = await plan(first.headers)
        await first.open(f"/tenants?tenant={tenant}", "Tenants")
        await first.page.get_by_role("button", name="Plan …").click()
        await _chooses_plan(first, "Trial")
        await first.page.get_by_role("button", name="Save the plan").click()
        await first.sees("Some Platform has the plan trial.")
        assert (before, await plan(first.headers)) == ("standard", "trial")
        await first.open(f"/tenants?tenant={tenant}", "Tenants")
        await first.page.get_by_role("button", name="Plan …").click()
        await _chooses_plan(first, "Enterprise")
        propose = first.page.get_by_role("button", name="Propose the plan")
        await expect(propose).to_be_disabled()
        await first.types("Reason for the plan", "They open three offices", until=propose)
        await propose.click()
        await first.sees(re.compile("Nothing has changed yet: this needs a second person"))
        assert await plan(first.headers) == "trial"
        await second.open("/approvals", "Approvals")
        refuse = second.page.get_by_role("button", name="Refuse")
        await second.types("Your reason", "They have not signed", until=refuse)
        await refuse.click()
        await second.sees(re.compile("Refused"))
        assert await plan(first.headers) == "trial"


async def _chooses_plan(visit: Visit, name: str) -> None:
    await visit.page.get_by_label("New plan", exact=True).click()
    await visit.page.get_by_role("option", name=name, exact=True).click()
    await visit.still()


async def _terms(stage: Stage, headers: dict[str, str], where: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await stage.api(headers, "GET", where)).json()["terms"]
    return found
