"""Receivers of all tenants: by host alone, failures by cause, sent again one by one or all at once."""

from uuid import UUID

from sqlalchemy import text

from core.ids import Prefix, public
from core.webhooks import service as webhooks
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.scenes import Platform, a_platform

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
ENDPOINTS, DELIVERIES = "/operator/v1/webhook-endpoints", "/operator/v1/webhook-deliveries"


async def _endpoint(api: Api, platform: Platform) -> UUID:
    async with api.parts.database.tenant(platform.tenant_id) as session:
        endpoint, _ = await webhooks.create_endpoint(
            session,
            api.parts.keyring,
            api.parts.settings.webhooks,
            tenant_id=platform.tenant_id,
            url="https://hooks.sample.example/likeness?token=canary-token",
            events=[],
            description=None,
            actor="test",
        )
    return endpoint.id


async def _failed(api: Api, platform: Platform, endpoint_id: UUID, cause: str) -> str:
    async with api.parts.database.tenant(platform.tenant_id) as session:
        sent = await webhooks.send_test(session, endpoint_id=endpoint_id)
    async with api.parts.database.tenant(platform.tenant_id) as session:
        given_up = text(
            "UPDATE webhook_delivery SET state = 'failed', attempts = 10, last_error = :cause WHERE id = :id"
        )
        await (await session.connection()).execute(given_up, {"cause": cause, "id": sent.id})
    return public(Prefix.DELIVERY, sent.id)


async def test_endpoints_are_shown_by_host_with_what_waits_and_was_given_up(api: Api) -> None:
    platform = await a_platform(api.parts)
    endpoint_id = await _endpoint(api, platform)
    await _failed(api, platform, endpoint_id, "timeout")
    async with api.parts.database.tenant(platform.tenant_id) as session:
        await webhooks.send_test(session, endpoint_id=endpoint_id)
    answer = await api.http.get(ENDPOINTS, headers=OPERATOR)
    (endpoint,) = answer.json()["data"]
    assert (endpoint["host"], endpoint["state"]) == ("hooks.sample.example", "enabled")
    assert (endpoint["waiting"], endpoint["failed"]) == (1, 1)
    assert "canary-token" not in answer.text
    assert (await api.http.get(ENDPOINTS, headers=OPERATOR, params={"state": "disabled"})).json()["data"] == []


async def test_deliveries_are_found_by_state_tenant_and_endpoint(api: Api) -> None:
    one, other = await a_platform(api.parts), await a_platform(api.parts)
    first, second = await _endpoint(api, one), await _endpoint(api, other)
    failed = [await _failed(api, one, first, "timeout"), await _failed(api, other, second, "tls_failed")]

    async def ids(**asked: str) -> list[str]:
        return [row["id"] for row in (await api.http.get(DELIVERIES, headers=OPERATOR, params=asked)).json()["data"]]

    assert await ids(state="failed") == failed[::-1]
    assert await ids(tenant_id=public(Prefix.TENANT, one.tenant_id)) == failed[:1]
    assert await ids(endpoint_id=public(Prefix.ENDPOINT, second)) == failed[1:]
    mixed = {"endpoint_id": public(Prefix.ENDPOINT, second), "tenant_id": public(Prefix.TENANT, one.tenant_id)}
    assert await ids(**mixed) == []
    assert await ids(state="delivered") == []
    (row,) = (await api.http.get(DELIVERIES, headers=OPERATOR, params={"limit": 1})).json()["data"]
    assert (row["cause"], row["type"], row["attempts"]) == ("tls_failed", "endpoint.test", 10)


async def test_what_was_given_up_is_sent_again_one_by_one_or_all_at_once(api: Api) -> None:
    platform = await a_platform(api.parts)
    endpoint_id = await _endpoint(api, platform)
    failed = [await _failed(api, platform, endpoint_id, "timeout") for _ in range(3)]
    again = await api.http.post(f"{DELIVERIES}/{failed[0]}/redeliver", headers=OPERATOR)
    assert (again.status_code, again.json()) == (202, {"again": 1, "left": 0})
    path = f"{ENDPOINTS}/{public(Prefix.ENDPOINT, endpoint_id)}/redeliver-failed"
    assert (await api.http.post(path, headers=OPERATOR)).json() == {"again": 2, "left": 0}
    assert (await api.http.post(path, headers=OPERATOR)).json() == {"again": 0, "left": 0}
    waiting = (await api.http.get(DELIVERIES, headers=OPERATOR, params={"state": "pending"})).json()["data"]
    assert [row["id"] for row in waiting] == failed[::-1]
    assert {row["attempts"] for row in waiting} == {0}
    async with api.parts.database.tenant(platform.tenant_id) as session:
        changes = {"state": "disabled"}
        await webhooks.update_endpoint(
            session, api.parts.settings.webhooks, endpoint_id=endpoint_id, changes=changes, actor="test"
        )
    assert (await api.http.post(path, headers=OPERATOR)).status_code == 409


async def test_a_long_list_of_failures_is_sent_again_in_parts(api: Api) -> None:
    platform = await a_platform(api.parts)
    endpoint_id = await _endpoint(api, platform)
    for _ in range(3):
        await _failed(api, platform, endpoint_id, "timeout")
    async with api.parts.database.tenant(platform.tenant_id) as session:
        assert await webhooks.redeliver_failed(session, endpoint_id=endpoint_id, actor="test", limit=2) == (2, 1)
