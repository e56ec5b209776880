"""A tenant's log, searched and proved by an operator."""

import pytest

from core.audit import log
from core.audit import service as audit
from core.ids import Prefix, public
from core.rights import checkpoints
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.scenes import Platform, a_person, a_platform

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}


async def _log(api: Api, platform: Platform, *kinds: str) -> None:
    async with api.parts.database.tenant(platform.tenant_id) as session:
        for kind in kinds:
            await audit.append(session, tenant_id=platform.tenant_id, kind=kind, actor="test", facts={})


def _path(platform: Platform) -> str:
    return f"/operator/v1/audit/{public(Prefix.TENANT, platform.tenant_id)}"


async def test_a_log_is_searched_by_kind_actor_person_and_time(api: Api) -> None:
    platform, other = await a_platform(api.parts), await a_platform(api.parts)
    await _log(api, platform, "job.one", "job.two", "job.one")
    await _log(api, other, "job.one")
    subject_id = await a_person(api.parts, platform)

    async def found(**asked: str) -> list[str]:
        answer = await api.http.get(f"{_path(platform)}/entries", headers=OPERATOR, params=asked)
        assert answer.status_code == 200, answer.text
        return [entry["kind"] for entry in answer.json()["data"]]

    assert await found(kind="job.one") == ["job.one", "job.one"]
    assert await found(actor="test", limit="2") == ["subject.created", "job.one"]
    assert await found(subject_id=public(Prefix.SUBJECT, subject_id)) == ["subject.created"]
    assert await found(until="2026-01-01T00:00:00Z") == []
    assert len(await found(since="2026-01-01T00:00:00Z")) == len(await found())


async def test_a_search_looks_at_a_bounded_part_and_goes_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = await a_platform(api.parts)
    await _log(api, platform, "rare", *["common"] * 12)
    monkeypatch.setattr(log, "LOOKED_AT", 5)
    path, asked = f"{_path(platform)}/entries", {"kind": "rare"}
    pages = 0
    found: list[str] = []
    while True:
        body = (await api.http.get(path, headers=OPERATOR, params=asked)).json()
        found += [entry["kind"] for entry in body["data"]]
        pages += 1
        if body["next_cursor"] is None:
            break
        asked = {"kind": "rare", "cursor": body["next_cursor"]}
    assert found == ["rare"]
    assert pages >= 3


async def test_an_entry_is_proved_under_a_checkpoint_that_is_listed(api: Api) -> None:
    platform = await a_platform(api.parts)
    await checkpoints.sequence(api.parts.database, api.parts.keyring, tenant_id=platform.tenant_id)
    await _log(api, platform, "job.one")
    await checkpoints.sequence(api.parts.database, api.parts.keyring, tenant_id=platform.tenant_id)
    listed = (await api.http.get(f"{_path(platform)}/checkpoints", headers=OPERATOR)).json()["data"]
    assert len(listed) == 2
    assert listed[0]["size"] > listed[1]["size"]
    path = _path(platform)
    page = (await api.http.get(f"{path}/checkpoints", headers=OPERATOR, params={"limit": 1})).json()
    rest = {"below": page["next_below"]}
    assert (await api.http.get(f"{path}/checkpoints", headers=OPERATOR, params=rest)).json()["data"] == listed[1:]
    found = (await api.http.get(f"{path}/entries", headers=OPERATOR, params={"kind": "job.one"})).json()
    (entry,) = found["data"]
    proved = (await api.http.get(f"{path}/entries/{entry['id']}/proof", headers=OPERATOR)).json()
    assert proved["checkpoint"] == listed[0]
    assert proved["entry"] == entry
    grown = await api.http.get(f"{path}/consistency", headers=OPERATOR, params={"from": listed[1]["size"]})
    assert grown.json()["later"] == listed[0]
