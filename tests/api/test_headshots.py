"""Headshots: ask, follow, stop."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx

from core.headshots.complete import Outcome, complete
from core.jobs import lease
from core.jobs.claim import claim
from tests.api.conftest import Api
from tests.queueing import PICTURE
from tests.scenes import Platform, a_platform, a_ready_person


async def _order(api: Api, platform: Platform, **more: Any) -> httpx.Response:
    _, photo_id = await a_ready_person(api.parts, platform)
    body = {"photo_id": f"pho_{photo_id.hex}", "styles": ["studio-grey", "charcoal"], **more}
    return await api.call(platform, "POST", "/v1/headshots", json=body, headers={"Idempotency-Key": uuid4().hex})


async def _serve(api: Api) -> None:
    """What a worker does with the job that is first in line, with pictures of a few bytes."""
    taken = await claim(api.parts.database, worker="w-1", region="local", lease_seconds=45)
    assert taken is not None
    for stage, progress in (("matte", 0.3), ("backdrop", 0.7)):
        async with api.parts.database.tenant(taken.tenant_id) as session:
            job = await lease.checkpoint(session, taken)
            await lease.report(session, job, stage=stage, progress=progress)
    ledger = [{"region": "background", "action": "replaced", "source": "procedural", "share": 0.5}]
    made = Outcome(style="studio-grey", style_version=1, seconds=1.5, pictures=(PICTURE,), ledger=ledger, mark=bytes(8))
    refused = Outcome(style="charcoal", style_version=1, seconds=0.5, reason_code="face_moved", reason="Moved.")
    await complete(
        api.parts.database,
        api.parts.store,
        taken,
        [made, refused],
        timings={"matte": 1.0},
        provenance=api.parts.provenance,
    )


def _messages(text: str) -> list[dict[str, Any]]:
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


async def test_a_dry_run_says_the_exact_cost_and_makes_nothing(api: Api, platform: Platform) -> None:
    quoted = await _order(api, platform, dry_run=True)
    assert (quoted.status_code, quoted.json()["credits"], quoted.json()["available"]) == (200, 2, 100)
    assert quoted.json()["estimate_seconds"] > 0
    assert (await api.call(platform, "GET", "/v1/headshots")).json()["data"] == []


async def test_a_job_shows_its_place_and_in_the_end_what_was_made(api: Api, platform: Platform) -> None:
    accepted = await _order(api, platform)
    job = accepted.json()
    assert (accepted.status_code, job["state"], job["position"], job["credits"]) == (202, "pending", 0, 2)
    behind = (await _order(api, platform)).json()
    assert behind["position"] == 1
    assert behind["estimate_seconds"] > job["estimate_seconds"]
    await _serve(api)
    done = (await api.call(platform, "GET", accepted.headers["location"])).json()
    assert (done["state"], done["charged"], done["progress"]) == ("done", 1, 1.0)
    kept, refused = sorted(done["headshots"], key=lambda one: one["state"])
    assert (kept["style"], kept["assets"][0]["variant"]) == ("studio-grey", "square_1024")
    assert (refused["style"], refused["reason_code"], refused["assets"]) == ("charcoal", "face_moved", [])
    content = await api.call(platform, "GET", f"/v1/assets/{kept['assets'][0]['id']}/content")
    assert content.content.endswith(PICTURE.data[20:])
    assert kept["edits"][0]["region"] == "background"
    assert kept["card"]["es"][0] == "Su rostro no ha sido modificado."


async def test_events_are_replayed_from_the_beginning_or_after_the_last_one_seen(api: Api, platform: Platform) -> None:
    job = (await _order(api, platform)).json()
    await _serve(api)
    path = f"/v1/headshots/{job['id']}/events"
    stream = await api.call(platform, "GET", path)
    assert stream.headers["content-type"].startswith("text/event-stream")
    told = _messages(stream.text)
    events = [one for one in told if "id" in one]
    assert [one["event"] for one in events] == ["headshot.progress", "headshot.progress", "headshot.completed"]
    assert [one["data"]["data"]["state"] for one in events] == ["running", "running", "done"]
    assert told[0]["event"] == "outlook"
    again = await api.call(platform, "GET", path, headers={"Last-Event-ID": events[1]["id"]})
    assert [one["id"] for one in _messages(again.text) if "id" in one] == [events[2]["id"]]
    odd = await api.call(platform, "GET", path, headers={"Last-Event-ID": "not ours"})
    assert (odd.status_code, odd.json()["code"]) == (400, "malformed_request")


async def test_a_waiting_job_is_cancelled_at_once_and_costs_nothing(api: Api, platform: Platform) -> None:
    job = (await _order(api, platform)).json()
    path = f"/v1/headshots/{job['id']}/cancel"
    for _ in range(2):
        stopped = await api.call(platform, "POST", path)
        assert (stopped.status_code, stopped.json()["state"]) == (202, "cancelled")
    assert (await api.call(platform, "GET", "/v1/usage")).json()["reserved"] == 0


async def test_a_finished_job_cannot_be_cancelled(api: Api, platform: Platform) -> None:
    job = (await _order(api, platform)).json()
    await _serve(api)
    refused = await api.call(platform, "POST", f"/v1/headshots/{job['id']}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")


async def test_an_order_above_the_credits_is_refused_with_what_is_left(api: Api) -> None:
    poor = await a_platform(api.parts, credits=1)
    refused = await _order(api, poor)
    assert (refused.status_code, refused.json()["code"]) == (402, "quota_exceeded")
    assert (refused.json()["needed"], refused.json()["available"]) == (2, 1)


async def test_styles_seeds_and_terms_are_checked(api: Api, platform: Platform) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"styles": ["nowhere"]}, "unknown_style"),
        ({"styles": ["charcoal", "charcoal"]}, "validation_failed"),
        ({"styles": []}, "validation_failed"),
        ({"seed": -1}, "validation_failed"),
        ({"seed": 2**31}, "validation_failed"),
        ({"expires_after": int(timedelta(days=365).total_seconds())}, "retention_out_of_range"),
    ]
    for more, code in cases:
        refused = await _order(api, platform, **more)
        assert (refused.status_code, refused.json()["code"]) == (422, code), more


async def test_jobs_can_be_listed_for_one_person(api: Api, platform: Platform) -> None:
    one, other = (await _order(api, platform)).json(), (await _order(api, platform)).json()
    listed = await api.call(platform, "GET", "/v1/headshots", params={"subject_id": one["subject_id"]})
    assert [job["id"] for job in listed.json()["data"]] == [one["id"]]
    everything = (await api.call(platform, "GET", "/v1/headshots")).json()["data"]
    assert [job["id"] for job in everything] == [other["id"], one["id"]]


async def test_withdrawn_consent_refuses_the_next_order(api: Api, platform: Platform) -> None:
    subject_id, photo_id = await a_ready_person(api.parts, platform)
    ledger = (await api.call(platform, "GET", f"/v1/subjects/sub_{subject_id.hex}/consents")).json()
    entry = next(one for one in ledger["data"] if one["purpose"] == "headshot")
    withdrawn = await api.call(platform, "POST", f"/v1/consents/{entry['id']}/withdraw")
    assert (withdrawn.status_code, withdrawn.json()["action"]) == (201, "withdrawn")
    again = await api.call(platform, "POST", f"/v1/consents/{entry['id']}/withdraw")
    assert (again.status_code, again.json()["code"]) == (409, "state_conflict")
    now_current = (await api.call(platform, "GET", f"/v1/subjects/sub_{subject_id.hex}/consents")).json()["current"]
    assert {one["purpose"]: one["permitted"] for one in now_current} == {
        "headshot": False,
        "biometric_processing": True,
    }
    body = {"photo_id": f"pho_{photo_id.hex}", "styles": ["charcoal"]}
    refused = await api.call(platform, "POST", "/v1/headshots", json=body, headers={"Idempotency-Key": "k"})
    assert (refused.status_code, refused.json()["missing"]) == (403, ["headshot"])
