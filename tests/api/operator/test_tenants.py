"""Operators create tenants, see their credits, and suspend them."""

from tests.api.conftest import OPERATOR_TOKEN, Api

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}


async def test_a_new_tenant_works_with_the_key_that_is_shown_once(api: Api) -> None:
    made = await api.http.post("/operator/v1/tenants", headers=OPERATOR, json={"name": "Sample", "credits": 7})
    assert made.status_code == 201
    body = made.json()
    tenant = {"Authorization": f"Bearer {body['api_key']['key']}"}
    assert (await api.http.get("/v1/usage", headers=tenant)).json()["available"] == 7
    assert (await api.http.get("/v1/tenant", headers=tenant)).json()["tenant"] == body["tenant"]
    read = await api.http.get(made.headers["location"], headers=OPERATOR)
    assert read.json() == {"tenant": body["tenant"], "usage": body["usage"]}
    listed = (await api.http.get("/operator/v1/tenants", headers=OPERATOR)).json()["data"]
    assert [one["tenant"]["id"] for one in listed] == [body["tenant"]["id"]]


async def test_credits_and_state_can_be_changed(api: Api) -> None:
    made = (await api.http.post("/operator/v1/tenants", headers=OPERATOR, json={"name": "Sample"})).json()
    path = f"/operator/v1/tenants/{made['tenant']['id']}"
    changed = await api.http.patch(path, headers=OPERATOR, json={"credits": 50, "state": "suspended"})
    assert (changed.json()["usage"]["credits"], changed.json()["tenant"]["state"]) == (50, "suspended")
    back = await api.http.patch(path, headers=OPERATOR, json={"state": "active"})
    assert (back.json()["usage"]["credits"], back.json()["tenant"]["state"]) == (50, "active")
