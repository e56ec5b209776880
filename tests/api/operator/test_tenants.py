"""Operators create tenants, see their credits, change them, and ask a second person for what hurts."""

import asyncio
from typing import Any

import pytest
from sqlmodel import select

from core.errors import NotFound
from core.queue import Lane
from core.rights import leave
from core.webhooks.models import Event
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.operating import an_operator
from tests.scenes import Platform
from worker import tasks
from worker.hands import Hands
from worker.hold import Drain

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
WHY = {"reason": "They asked for it."}


async def made(api: Api, **fields: Any) -> tuple[dict[str, Any], str]:
    body = (await api.http.post("/operator/v1/tenants", headers=OPERATOR, json={"name": "Sample", **fields})).json()
    return body, f"/operator/v1/tenants/{body['tenant']['id']}"


async def events(api: Api, platform: Platform) -> list[str]:
    async with api.parts.database.tenant(platform.tenant_id) as session:
        return [event.type for event in (await session.exec(select(Event).order_by(Event.id))).all()]  # type: ignore[arg-type]


async def test_a_new_tenant_works_with_the_key_that_is_shown_once(api: Api) -> None:
    made = await api.http.post("/operator/v1/tenants", headers=OPERATOR, json={"name": "Sample", "credits": 7})
    assert made.status_code == 201
    body = made.json()
    tenant = {"Authorization": f"Bearer {body.pop('api_key')['key']}"}
    assert (await api.http.get("/v1/usage", headers=tenant)).json()["available"] == 7
    assert (await api.http.get("/v1/tenant", headers=tenant)).json()["tenant"] == body["tenant"]
    read = await api.http.get(made.headers["location"], headers=OPERATOR)
    assert read.json() == body
    listed = (await api.http.get("/operator/v1/tenants", headers=OPERATOR)).json()["data"]
    assert [one["tenant"]["id"] for one in listed] == [body["tenant"]["id"]]


async def test_credits_can_be_changed_and_a_suspension_waits_for_a_second_person(api: Api) -> None:
    _, path = await made(api)
    changed = await api.http.patch(path, headers=OPERATOR, json={"credits": 50})
    assert (changed.status_code, changed.json()["usage"]["credits"]) == (200, 50)
    asks = await an_operator(api.parts)
    asked = await api.http.patch(path, headers=asks.headers, json={"state": "suspended", **WHY})
    assert (asked.status_code, asked.json()["kind"], asked.json()["state"]) == (202, "tenant.suspend", "open")
    assert (await api.http.get(path, headers=OPERATOR)).json()["tenant"]["state"] == "active"
    admin = await an_operator(api.parts)
    done = await api.http.post(f"{asked.headers['location']}/approve", headers=admin.headers, json=WHY)
    assert (done.status_code, done.json()["state"]) == (200, "executed")
    read = (await api.http.get(path, headers=OPERATOR)).json()
    assert (read["usage"]["credits"], read["tenant"]["state"]) == (50, "suspended")
    back = await api.http.patch(path, headers=OPERATOR, json={"state": "active"})
    assert (back.status_code, back.json()["tenant"]["state"]) == (200, "active")


async def test_one_that_was_to_leave_goes_on_only_while_its_keys_live(api: Api, platform: Platform) -> None:
    path, tenant_id = f"/operator/v1/tenants/ten_{platform.tenant_id.hex}", platform.tenant_id
    await leave.suspend(api.parts.database, tenant_id=tenant_id, actor="test")
    back = await api.http.patch(path, headers=OPERATOR, json={"state": "active"})
    assert (back.status_code, back.json()["tenant"]["state"]) == (200, "active")
    with pytest.raises(NotFound):
        await leave.of_tenant(api.parts.database, tenant_id)
    await leave.suspend(api.parts.database, tenant_id=tenant_id, actor="test")
    await leave.shred(api.parts.database, api.parts.keyring, tenant_id=tenant_id, actor="test", without_archive=True)
    late = await api.http.patch(path, headers=OPERATOR, json={"state": "active"})
    assert (late.status_code, "destroyed" in late.json()["detail"]) == (409, True)
    assert (await api.http.get(path, headers=OPERATOR)).json()["tenant"]["state"] == "suspended"


async def test_letting_one_go_on_waits_for_nobody_who_lets_it_leave(api: Api, platform: Platform) -> None:
    path, tenant_id = f"/operator/v1/tenants/ten_{platform.tenant_id.hex}", platform.tenant_id
    await leave.suspend(api.parts.database, tenant_id=tenant_id, actor="test")
    # Whoever is at it holds the departure, and may ask for the tenant's row next: that would be a wait in a circle.
    async with asyncio.timeout(10), api.parts.database.tenant(tenant_id) as session:
        await leave.held(session, tenant_id)
        busy = await api.http.patch(path, headers=OPERATOR, json={"state": "active"})
    assert (busy.status_code, "at this moment" in busy.json()["detail"]) == (409, True)
    assert (await api.http.patch(path, headers=OPERATOR, json={"state": "active"})).status_code == 200


async def test_the_tenant_hears_of_its_suspension(api: Api, platform: Platform) -> None:
    path = f"/operator/v1/tenants/ten_{platform.tenant_id.hex}"
    asks = await an_operator(api.parts)
    asked = await api.http.patch(path, headers=asks.headers, json={"state": "suspended", **WHY})
    admin = await an_operator(api.parts)
    await api.http.post(f"{asked.headers['location']}/approve", headers=admin.headers, json=WHY)
    await api.http.patch(path, headers=OPERATOR, json={"state": "active"})
    assert [one for one in await events(api, platform) if one.startswith("tenant.")] == [
        "tenant.suspended",
        "tenant.resumed",
    ]


async def test_what_takes_a_second_person_needs_a_reason_and_is_asked_for_by_itself(api: Api) -> None:
    _, path = await made(api)
    silent = await api.http.patch(path, headers=OPERATOR, json={"state": "suspended"})
    assert (silent.status_code, silent.json()["errors"][0]["field"]) == (422, "reason")
    mixed = await api.http.patch(path, headers=OPERATOR, json={"state": "suspended", "credits": 5, **WHY})
    assert (mixed.status_code, mixed.json()["code"]) == (422, "unacceptable")
    assert (await api.http.get(path, headers=OPERATOR)).json()["usage"]["credits"] == 0


async def test_beyond_the_plan_a_second_person_agrees(api: Api) -> None:
    _, path = await made(api, plan="trial")
    within = await api.http.patch(path, headers=OPERATOR, json={"credits": 500})
    assert within.status_code == 200
    asks = await an_operator(api.parts)
    beyond = await api.http.patch(path, headers=asks.headers, json={"credits": 501, **WHY})
    assert (beyond.status_code, beyond.json()["kind"]) == (202, "quota.above_plan")
    greater = await api.http.patch(path, headers=asks.headers, json={"plan": "enterprise", **WHY})
    assert (greater.status_code, greater.json()["kind"]) == (202, "tenant.plan")
    admin = await an_operator(api.parts)
    for asked in (beyond, greater):
        done = await api.http.post(f"{asked.headers['location']}/approve", headers=admin.headers, json=WHY)
        assert done.json()["state"] == "executed", done.text
    read = (await api.http.get(path, headers=OPERATOR)).json()
    assert (read["usage"]["credits"], read["plan"]) == (501, "enterprise")
    smaller = await api.http.patch(path, headers=OPERATOR, json={"plan": "trial"})
    assert (smaller.status_code, smaller.json()["plan"]) == (200, "trial")
    born_too_large = {"name": "Large", "plan": "trial", "credits": 501}
    refused = await api.http.post("/operator/v1/tenants", headers=OPERATOR, json=born_too_large)
    assert refused.status_code == 422


async def test_two_who_edit_at_once_do_not_overwrite_each_other_unseen(api: Api) -> None:
    body, path = await made(api)
    admin = await an_operator(api.parts)
    first = await api.http.patch(path, headers=admin.headers, json={"name": "One", "version": body["version"]})
    assert first.json()["tenant"]["name"] == "One"
    second = await api.http.patch(path, headers=OPERATOR, json={"name": "Two", "version": body["version"]})
    problem = second.json()
    assert (second.status_code, problem["code"]) == (409, "version_conflict")
    assert problem["changed_by"] == f"operator:{admin.id.hex}"
    assert problem["changed_at"]
    assert (await api.http.get(path, headers=OPERATOR)).json()["tenant"]["name"] == "One"


async def test_a_rotation_is_asked_for_and_done_by_a_worker(api: Api, platform: Platform) -> None:
    path = f"/operator/v1/tenants/ten_{platform.tenant_id.hex}/keys/rotate"
    asked = await api.http.post(path, headers=OPERATOR)
    assert (asked.status_code, asked.json()["from_version"]) == (202, 1)
    token = (await api.parts.queue.redis.queued_jobs(queue_name=Lane.RIGHTS.value))[0]
    assert (token.function, list(token.args)) == ("rotate_keys", [platform.tenant_id.hex])
    await tasks.rotate_keys({"hands": Hands(parts=api.parts, name="test", drain=Drain())}, *token.args)
    assert await api.parts.keyring.key_version(platform.tenant_id) == 2


async def test_deleting_a_tenant_takes_two_people_and_then_nothing_of_it_opens(api: Api, platform: Platform) -> None:
    path = f"/operator/v1/tenants/ten_{platform.tenant_id.hex}"
    asks = await an_operator(api.parts)
    hasty = await api.http.post(f"{path}/delete", headers=asks.headers, json=WHY)
    assert (hasty.status_code, hasty.json()["code"]) == (409, "state_conflict")
    asked = await api.http.post(f"{path}/delete", headers=asks.headers, json={**WHY, "without_archive": True})
    assert asked.status_code == 202
    assert (await api.call(platform, "GET", "/v1/tenant")).status_code == 200
    admin = await an_operator(api.parts)
    done = await api.http.post(f"{asked.headers['location']}/approve", headers=admin.headers, json=WHY)
    assert done.json()["state"] == "executed", done.text
    assert (await api.call(platform, "GET", "/v1/tenant")).status_code == 401
    again = await api.http.post(f"{path}/keys/destroy", headers=asks.headers, json=WHY)
    assert again.status_code == 409
