"""Terms and holds of a tenant: read and simulated by anyone, changed by the privacy officer, destroyed by two."""

from datetime import timedelta
from typing import Any

import httpx

from core.clock import now
from core.ids import Prefix, public
from core.operators.service import Role
from tests.api.conftest import Api
from tests.operating import an_operator
from tests.scenes import Platform, a_platform, a_ready_person

DAY = 86_400


def _path(platform: Platform) -> str:
    return f"/operator/v1/retention/{public(Prefix.TENANT, platform.tenant_id)}"


async def _term(api: Api, platform: Platform, headers: dict[str, str], name: str = "photo") -> dict[str, Any]:
    found = (await api.http.get(_path(platform), headers=headers)).json()
    term: dict[str, Any] = next(one for one in found["terms"] if one["data_class"] == name)
    return term


async def _change(api: Api, platform: Platform, headers: dict[str, str], **change: Any) -> httpx.Response:
    body = {"reason": "As the contract says.", **change}
    return await api.http.put(f"{_path(platform)}/terms/photo", headers=headers, json=body)


async def test_terms_and_what_goes_soon_are_shown(api: Api) -> None:
    platform = await a_platform(api.parts)
    await a_ready_person(api.parts, platform)
    viewer = await an_operator(api.parts, Role.VIEWER)
    found = (await api.http.get(_path(platform), headers=viewer.headers)).json()
    assert {"photo", "headshot", "audit"} <= {term["data_class"] for term in found["terms"]}
    (soon,) = found["upcoming"]
    assert (soon["data_class"], soon["count"]) == ("photo", 1)
    refused = await _change(api, platform, viewer.headers, seconds=10 * DAY, version=0)
    assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")


async def test_a_term_that_deletes_nothing_more_is_set_at_once_and_no_older_version_overwrites_it(api: Api) -> None:
    platform = await a_platform(api.parts)
    officer = await an_operator(api.parts, Role.PRIVACY_OFFICER)
    term = await _term(api, platform, officer.headers)
    shorter = await _change(api, platform, officer.headers, seconds=term["seconds"] - DAY, version=0)
    assert (shorter.status_code, shorter.json()["version"]) == (200, 1)  # there is nothing that it could delete
    late = await _change(api, platform, officer.headers, seconds=term["seconds"], version=0)
    assert (late.status_code, late.json()["code"], late.json()["version"]) == (409, "version_conflict", 1)
    history = await api.http.get(f"{_path(platform)}/terms/photo/history", headers=officer.headers)
    assert [one["version"] for one in history.json()["data"]] == [1]


async def test_a_shortening_that_deletes_waits_for_a_second_person_with_its_numbers(api: Api) -> None:
    platform = await a_platform(api.parts)
    await a_ready_person(api.parts, platform)
    officer, other = [await an_operator(api.parts, Role.PRIVACY_OFFICER) for _ in range(2)]
    term = await _term(api, platform, officer.headers)
    shorter = {"seconds": term["minimum_seconds"], "version": term["version"]}
    told = await api.http.post(
        f"{_path(platform)}/simulate",
        headers=officer.headers,
        json={"data_class": "photo", "seconds": shorter["seconds"]},
    )
    assert told.json()["kept"] == 1
    assert len(told.json()["curve"]) == 91
    asked = await _change(api, platform, officer.headers, **shorter)
    assert asked.status_code == 202, asked.text
    proposal = asked.json()
    assert proposal["kind"] == "retention.shorten"
    assert any("of 1" in sentence for sentence in proposal["effect"])
    assert (await _term(api, platform, officer.headers))["seconds"] == term["seconds"]
    path = f"/operator/v1/approvals/{proposal['id']}/approve"
    agreed = {"reason": "As the contract says."}
    own = await api.http.post(path, headers=officer.headers, json=agreed)
    assert own.status_code in {403, 409}, own.text
    approved = await api.http.post(path, headers=other.headers, json=agreed)
    assert approved.json()["state"] == "executed", approved.text
    changed = await _term(api, platform, officer.headers)
    assert (changed["seconds"], changed["version"]) == (shorter["seconds"], term["version"] + 1)


async def test_a_hold_is_placed_by_one_and_released_by_two(api: Api) -> None:
    platform = await a_platform(api.parts)
    subject_id, _ = await a_ready_person(api.parts, platform)
    officer, other = [await an_operator(api.parts, Role.PRIVACY_OFFICER) for _ in range(2)]
    body = {"reason": "canary: claim 117", "expires_at": (now() + timedelta(days=90)).isoformat()}
    place = f"{_path(platform)}/subjects/{public(Prefix.SUBJECT, subject_id)}/holds"
    placed = await api.http.post(place, headers=officer.headers, json=body)
    assert placed.status_code == 201, placed.text
    standing = {"standing": True}
    listed = await api.http.get(f"{_path(platform)}/holds", headers=officer.headers, params=standing)
    assert [hold["id"] for hold in listed.json()["data"]] == [placed.json()["id"]]
    assert "canary" not in placed.text + listed.text
    release = f"{_path(platform)}/holds/{placed.json()['id']}/release"
    asked = await api.http.post(release, headers=officer.headers, json={"reason": "The claim was settled."})
    assert (asked.status_code, asked.json()["kind"]) == (202, "hold.release")
    path = f"/operator/v1/approvals/{asked.json()['id']}/approve"
    approved = await api.http.post(path, headers=other.headers, json={"reason": "It was settled."})
    assert approved.json()["state"] == "executed", approved.text
    listed = await api.http.get(f"{_path(platform)}/holds", headers=officer.headers, params=standing)
    assert listed.json()["data"] == []
