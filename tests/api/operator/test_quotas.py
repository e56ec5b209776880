"""Limits: shown against use, changed with a version, previewed, and kept."""

from core.ids import Prefix, public
from core.operators.service import Role
from core.tenants import quota
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.operating import an_operator
from tests.queueing import Studio
from tests.scenes import Platform, a_platform

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}


def _path(platform: Platform) -> str:
    return f"/operator/v1/quotas/{public(Prefix.TENANT, platform.tenant_id)}"


async def test_limits_stand_beside_what_is_used_and_when_it_ends(api: Api) -> None:
    platform = await a_platform(api.parts, credits=100)
    async with api.parts.database.tenant(platform.tenant_id) as session:
        await quota.reserve(session, platform.tenant_id, 20)
        await quota.settle(session, platform.tenant_id, reserved=14, charged=14)
    (listed,) = (await api.http.get("/operator/v1/quotas", headers=OPERATOR)).json()["data"]
    read = (await api.http.get(_path(platform), headers=OPERATOR)).json()
    assert {name: read[name] for name in listed} | {"exhausted_at": None} == listed | {"exhausted_at": None}
    assert (read["credits"], read["used"], read["reserved"], read["available"]) == (100, 14, 6, 80)
    assert [day["used"] for day in read["days"]] == [14]
    assert read["used_per_day"] == 2.0
    assert read["exhausted_at"] is not None  # in forty days
    assert (read["plan"], read["ceilings"]["credits"]) == ("standard", 50_000)


async def test_two_who_change_the_same_quota_do_not_overwrite_each_other(api: Api) -> None:
    platform = await a_platform(api.parts, credits=100)
    changed = await api.http.patch(
        _path(platform), headers=OPERATOR, json={"version": 1, "credits": 200, "concurrency": 2, "weight": 2.5}
    )
    assert changed.status_code == 200
    assert (changed.json()["version"], changed.json()["concurrency"], changed.json()["weight"]) == (2, 2, 2.5)
    late = await api.http.patch(_path(platform), headers=OPERATOR, json={"version": 1, "credits": 5})
    assert (late.status_code, late.json()["code"], late.json()["version"]) == (409, "version_conflict", 2)
    lifted = await api.http.patch(_path(platform), headers=OPERATOR, json={"version": 2, "concurrency": 5})
    assert (lifted.json()["concurrency"], lifted.json()["credits"]) == (5, 200)
    history = (await api.http.get(f"{_path(platform)}/history", headers=OPERATOR)).json()["data"]
    caps = [(one["version"], one["before"]["concurrency"], one["after"]["concurrency"]) for one in history]
    assert caps == [(3, 2, 5), (2, None, 2)]
    assert {change["actor"] for change in history} == {"operator:token"}


async def test_what_a_weight_means_is_shown_before_and_changes_nothing(api: Api) -> None:
    studio = await Studio.open(api.parts)
    await studio.submit()
    asked, _idle = await a_platform(api.parts), await a_platform(api.parts)
    preview = (
        await api.http.post(f"{_path(asked)}/preview", headers=OPERATOR, json={"weight": 3.0, "concurrency": 1})
    ).json()
    shares = {share["tenant"]: share for share in preview["shares"]}
    mine = shares[public(Prefix.TENANT, asked.tenant_id)]
    busy = shares[public(Prefix.TENANT, studio.platform.tenant_id)]
    assert (mine["before"], mine["after"]) == (0.3333, 0.6)
    assert (mine["before_of_busy"], mine["after_of_busy"], mine["concurrency"]) == (0.5, 0.75, 1)
    assert (busy["before_of_busy"], busy["after_of_busy"]) == (0.5, 0.25)
    assert preview["above_plan"] == []
    assert preview["notes"]
    above = (await api.http.post(f"{_path(asked)}/preview", headers=OPERATOR, json={"credits": 60_000})).json()
    assert above["above_plan"] == ["credits"]
    assert (await api.http.get(_path(asked), headers=OPERATOR)).json()["version"] == 1


async def test_what_cannot_be_is_refused(api: Api) -> None:
    platform = await a_platform(api.parts, credits=10)
    async with api.parts.database.tenant(platform.tenant_id) as session:
        await quota.reserve(session, platform.tenant_id, 4)
    too_few = await api.http.patch(_path(platform), headers=OPERATOR, json={"version": 1, "credits": 3})
    assert (too_few.status_code, too_few.json()["least"]) == (409, 4)
    for wrong in ({"version": 1, "concurrency": 0}, {"version": 1, "weight": 0}, {"credits": 5}):
        assert (await api.http.patch(_path(platform), headers=OPERATOR, json=wrong)).status_code == 422


async def test_beyond_the_plan_a_second_person_decides(api: Api) -> None:
    platform = await a_platform(api.parts, credits=100)
    one, other = [await an_operator(api.parts, Role.ADMIN) for _ in range(2)]
    beyond = {"version": 1, "credits": 60_000, "weight": 2.0}
    unexplained = await api.http.patch(_path(platform), headers=one.headers, json=beyond)
    assert (unexplained.status_code, unexplained.json()["errors"][0]["field"]) == (422, "reason")
    asked = await api.http.patch(_path(platform), headers=one.headers, json={**beyond, "reason": "They grow."})
    assert (asked.status_code, asked.json()["kind"]) == (202, "quota.above_plan")
    assert (await api.http.get(_path(platform), headers=one.headers)).json()["credits"] == 100
    assert (await api.http.get("/operator/v1/now", headers=one.headers)).json()["approvals"] == 1
    path = f"/operator/v1/approvals/{asked.json()['id']}/approve"
    approved = await api.http.post(path, headers=other.headers, json={"reason": "Agreed with sales."})
    assert approved.json()["state"] == "executed", approved.text
    changed = (await api.http.get(_path(platform), headers=one.headers)).json()
    assert (changed["credits"], changed["weight"], changed["version"]) == (60_000, 2.0, 2)
    assert (await api.http.get("/operator/v1/now", headers=one.headers)).json()["approvals"] == 0
