"""Holds over HTTP: nothing of a held person is deleted, by nobody, until the hold is over."""

from datetime import timedelta

from core.clock import frozen_at, now
from core.ids import Prefix, public
from core.retention.sweep import sweep
from tests.api.conftest import Api
from tests.scenes import Platform, a_ready_person

DAY = timedelta(days=1)
REASON = "Claim 2026-117, canary-reason."


async def test_a_hold_bars_every_deletion_until_it_is_released(api: Api, platform: Platform) -> None:
    parts, start = api.parts, now()
    subject, photo = await a_ready_person(parts, platform)
    subject_id, photo_id = public(Prefix.SUBJECT, subject), public(Prefix.PHOTO, photo)
    until = (start + 40 * DAY).isoformat()
    placed = await api.call(
        platform, "POST", f"/v1/subjects/{subject_id}/holds", json={"reason": REASON, "expires_at": until}
    )
    assert placed.status_code == 201
    hold = placed.json()
    assert (hold["reason"], hold["state"], hold["subject_id"]) == (REASON, "standing", subject_id)
    assert "photo" in hold["data_classes"]
    assert "delivery_log" not in hold["data_classes"]
    # 1. By hand, by the sweep, as an erasure, as a cohort, as a verified request: nothing goes.
    for method, path, body in (
        ("DELETE", f"/v1/photos/{photo_id}", None),
        ("DELETE", f"/v1/subjects/{subject_id}", None),
        ("POST", "/v1/rights-requests", {"subject_id": subject_id, "kind": "erasure", "identity_verified": True}),
    ):
        refused = await api.call(platform, method, path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "legal_hold"), path
        assert refused.json()["until"] == until
        assert REASON not in refused.text
    with frozen_at(start + 8 * DAY):
        assert (await sweep(parts.database, parts.store))["erase:photo"] == 0
    # 2. The request that cannot be granted is entered, and may be denied for the claim.
    entered = await api.call(
        platform, "POST", "/v1/rights-requests", json={"subject_id": subject_id, "kind": "erasure"}
    )
    request_id = entered.json()["id"]
    refused = await api.call(
        platform, "POST", f"/v1/rights-requests/{request_id}/verify-identity", json={"outcome": "verified"}
    )
    assert refused.json()["code"] == "legal_hold"
    denied = await api.call(
        platform,
        "POST",
        f"/v1/rights-requests/{request_id}/deny",
        json={"exception": "legal_claims", "reason": "A claim is pending."},
    )
    assert denied.json()["state"] == "denied"
    # 3. Released, everything goes its way again.
    for _ in range(2):
        released = await api.call(platform, "POST", f"/v1/legal-holds/{hold['id']}/release")
        assert (released.status_code, released.json()["state"]) == (200, "released")
    listed = (await api.call(platform, "GET", "/v1/legal-holds")).json()["data"]
    assert [(row["id"], "reason" in row) for row in listed] == [(hold["id"], False)]
    assert (await api.call(platform, "GET", "/v1/legal-holds", params={"standing": "true"})).json()["data"] == []
    assert (await api.call(platform, "DELETE", f"/v1/subjects/{subject_id}")).status_code == 202


async def test_reading_the_reason_is_noted_for_the_person(api: Api, platform: Platform) -> None:
    subject, _ = await a_ready_person(api.parts, platform)
    subject_id = public(Prefix.SUBJECT, subject)
    placed = await api.call(
        platform,
        "POST",
        f"/v1/subjects/{subject_id}/holds",
        json={"reason": REASON, "expires_at": (now() + DAY).isoformat(), "data_classes": ["headshot"]},
        headers={"Idempotency-Key": "one"},
    )
    assert placed.json()["data_classes"] == ["headshot", "job_metadata"]  # a job outlives its headshots
    assert (await api.call(platform, "GET", f"/v1/legal-holds/{placed.json()['id']}")).json()["reason"] == REASON
    log = (await api.call(platform, "GET", f"/v1/subjects/{subject_id}/access-log")).json()["data"]
    assert [entry["what"] for entry in log].count("legal_hold") == 2


async def test_a_hold_needs_a_reason_and_an_end_and_a_class_that_can_be_held(api: Api, platform: Platform) -> None:
    subject, _ = await a_ready_person(api.parts, platform)
    path, until = f"/v1/subjects/{public(Prefix.SUBJECT, subject)}/holds", (now() + DAY).isoformat()
    for body, status in (
        ({"reason": REASON}, 422),
        ({"expires_at": until}, 422),
        ({"reason": "", "expires_at": until}, 422),
        ({"reason": REASON, "expires_at": (now() - DAY).isoformat()}, 422),
        ({"reason": REASON, "expires_at": (now() + 4000 * DAY).isoformat()}, 422),
        ({"reason": REASON, "expires_at": until, "data_classes": ["delivery_log"]}, 422),
    ):
        answer = await api.call(platform, "POST", path, json=body)
        assert answer.status_code == status, body
    assert (await api.call(platform, "GET", path)).json()["data"] == []
