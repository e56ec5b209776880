"""Terms over HTTP: read, simulated, changed only by whoever saw what it deletes, and published for all."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from core.clock import frozen_at, now
from core.errors import Gone
from core.ids import Prefix, public
from core.photos import service as photos
from core.retention.sweep import sweep
from core.tenants import service as tenants
from core.tenants.models import Mode
from tests.api.conftest import Api
from tests.scenes import Platform, a_photo, a_platform, a_ready_person

DAY = 86_400


async def _simulate(api: Api, platform: Platform, **asked: Any) -> Any:
    return (await api.call(platform, "POST", "/v1/retention-policies:simulate", json=asked)).json()


async def test_every_class_is_listed_with_its_term_its_bounds_and_what_stays(api: Api, platform: Platform) -> None:
    answer = (await api.call(platform, "GET", "/v1/retention-policies")).json()["data"]
    found = {row["data_class"]: row for row in answer}
    assert len(found) == 8
    photo = found["photo"]
    assert (photo["seconds"], photo["version"], photo["warn_seconds"]) == (7 * DAY, 0, DAY)
    assert photo["minimum_seconds"] <= photo["default_seconds"] <= photo["maximum_seconds"]
    assert all(row["default_reason"] and row["goes"] and row["stays"] for row in answer)


async def test_a_change_needs_the_simulation_that_says_what_it_deletes_and_then_deletes_just_that(
    api: Api, platform: Platform
) -> None:
    parts, start = api.parts, now()
    subject_id, old = await a_ready_person(parts, platform)
    with frozen_at(start + timedelta(days=3)):
        new = await a_photo(parts, platform, subject_id)
        said = await _simulate(api, platform, data_class="photo", seconds=2 * DAY)
        assert (said["kept"], said["held"], said["deletes_now"], said["deletes_in_90_days"]) == (2, 0, 1, 2)
        assert [(day["as_is"], day["changed"]) for day in (said["curve"][number] for number in (0, 2, 5))] == [
            (0, 1),
            (0, 2),
            (1, 2),
        ]
        path, change = "/v1/retention-policies/photo", {"seconds": 2 * DAY, "version": 0}
        refused = await api.call(platform, "PUT", path, json=change)
        assert (refused.status_code, refused.json()["code"]) == (409, "simulation_required")
        refused = await api.call(platform, "PUT", path, json=change | {"simulation_id": "sim_nonsense"})
        assert (refused.status_code, refused.json()["code"]) == (409, "simulation_required")
        changed = await api.call(platform, "PUT", path, json=change | {"simulation_id": said["id"]})
        assert (changed.status_code, changed.json()["seconds"], changed.json()["version"]) == (200, 2 * DAY, 1)
        stale = await api.call(platform, "PUT", path, json={"seconds": 9 * DAY, "version": 0})
        assert (stale.status_code, stale.json()["version"]) == (409, 1)
        assert (await sweep(parts.database, parts.store))["erase:photo"] == 1
        async with parts.database.tenant(platform.tenant_id) as session:
            with pytest.raises(Gone):
                await photos.get(session, old)
            assert (await photos.get(session, new)).id == new
    (version,) = (await api.call(platform, "GET", path)).json()["data"]
    assert (version["version"], version["simulation_id"], version["deletes_now"]) == (1, said["id"], 1)


async def test_bad_terms_are_refused_with_the_bounds(api: Api, platform: Platform) -> None:
    for seconds in (3599, 366 * DAY):
        answer = await api.call(
            platform, "POST", "/v1/retention-policies:simulate", json={"data_class": "photo", "seconds": seconds}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "term_out_of_range")
        assert (answer.json()["minimum"], answer.json()["maximum"]) == (3600, 365 * DAY)
    answer = await api.call(platform, "PUT", "/v1/retention-policies/selfies", json={"seconds": DAY, "version": 0})
    assert answer.status_code == 404


async def test_a_key_without_the_scope_changes_nothing(api: Api, platform: Platform) -> None:
    async with api.parts.database.tenant(platform.tenant_id) as session:
        _, key = await tenants.create_api_key(
            session, tenant_id=platform.tenant_id, name="reader", mode=Mode.LIVE, scopes=("retention:read",)
        )
    headers = {"Authorization": f"Bearer {key}"}
    body = {"seconds": 8 * DAY, "version": 0}
    answer = await api.http.put("/v1/retention-policies/photo", headers=headers, json=body)
    assert (answer.status_code, answer.json()["required_scope"]) == (403, "retention:write")
    assert (await api.http.get("/v1/retention-policies", headers=headers)).status_code == 200


async def test_the_schedule_is_public_says_terms_alone_and_knows_its_tenant(api: Api, platform: Platform) -> None:
    other = await a_platform(api.parts)
    body = {"seconds": 8 * DAY + 3660, "version": 0}
    await api.call(platform, "PUT", "/v1/retention-policies/photo", json=body)
    path = "/.well-known/likeness/retention/"
    answer = await api.http.get(path + public(Prefix.TENANT, platform.tenant_id))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=300"
    schedule = answer.json()
    assert schedule["format"] == "likeness.retention-schedule.v1"
    classes = {row["data_class"]: row for row in schedule["classes"]}
    assert set(classes) == {
        "photo", "headshot", "rejected_output", "export", "consent_evidence", "job_metadata", "delivery_log", "audit",
    }  # fmt: skip
    assert classes["photo"]["duration"] == "P8DT1H1M"
    assert classes["photo"]["since"] is not None
    assert (classes["headshot"]["duration"], classes["headshot"]["since"]) == ("P30D", None)
    assert set(classes["photo"]) == {"data_class", "seconds", "duration", "starts", "goes", "stays", "since"}
    assert "Some Platform" not in answer.text
    default = (await api.http.get(path + public(Prefix.TENANT, other.tenant_id))).json()["classes"]
    assert {row["data_class"]: row for row in default}["photo"]["duration"] == "P7D"
    for name in (public(Prefix.TENANT, uuid4()), "nobody"):
        assert (await api.http.get(path + name)).status_code == 404
