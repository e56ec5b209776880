"""Keys, as versions, ages and counts; never a key."""

from uuid import uuid4

from core.ids import Prefix, public
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.scenes import a_person, a_platform

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}


async def test_a_tenants_keys_are_told_by_version_and_count(api: Api) -> None:
    platform = await a_platform(api.parts)
    for _ in range(3):
        await a_person(api.parts, platform)
    path = f"/operator/v1/keys/{public(Prefix.TENANT, platform.tenant_id)}"
    before = (await api.http.get(path, headers=OPERATOR)).json()
    keks = [one for one in before["versions"] if one["purpose"] == "kek"]
    assert [(one["version"], one["state"], one["under"], one["subjects"]) for one in keks] == [
        (1, "active", "root 1", 3)
    ]
    assert before["rotation"] == {"state": "idle", "moved": 3, "total": 3, "share": 1.0}
    assert before["provider"]["state"] == "ok"
    await api.parts.keyring.rotate_tenant(platform.tenant_id)
    after = (await api.http.get(path, headers=OPERATOR)).json()
    keks = [one for one in after["versions"] if one["purpose"] == "kek"]
    assert [(one["version"], one["state"], one["subjects"]) for one in keks] == [(2, "active", 3), (1, "destroyed", 0)]
    others = {one["purpose"]: one["under"] for one in after["versions"] if one["purpose"] != "kek"}
    assert others == {"index": "kek 2", "secrets": "kek 2"}
    assert (await api.http.get("/operator/v1/keys", headers=OPERATOR)).json()["state"] == "ok"


async def test_a_rotation_that_is_not_through_says_how_far_it_is(api: Api) -> None:
    platform = await a_platform(api.parts)
    for _ in range(2):
        await a_person(api.parts, platform)
    keyring, tenant_id = api.parts.keyring, platform.tenant_id
    # As if the rotation had been cut off behind its first step.
    async with keyring._keystore(tenant_id) as connection:
        from core.keyring import queries

        await connection.execute(queries.RETIRE_KEK, {"tenant": tenant_id, "version": 1})
        await keyring._insert_kek(connection, tenant_id, version=2)
    found = (await api.http.get(f"/operator/v1/keys/{public(Prefix.TENANT, tenant_id)}", headers=OPERATOR)).json()
    assert found["rotation"] == {"state": "moving", "moved": 0, "total": 2, "share": 0.0}
    unknown = await api.http.get(f"/operator/v1/keys/{public(Prefix.TENANT, uuid4())}", headers=OPERATOR)
    assert unknown.status_code == 404
