"""`Idempotency-Key`, case by case."""

import asyncio
import hashlib

import httpx

from core.idempotency import service as idempotency
from tests.api.conftest import Api
from tests.scenes import Platform, a_platform, a_ready_person

ONE, OTHER = {"reference": "employee-1"}, {"reference": "employee-2"}


async def _create(api: Api, platform: Platform, body: dict[str, str], key: str | None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.call(platform, "POST", "/v1/subjects", json=body, headers=headers)


async def test_a_repeat_answers_with_what_was_made(api: Api, platform: Platform) -> None:
    first, again = [await _create(api, platform, ONE, "k-1") for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert len((await api.call(platform, "GET", "/v1/subjects")).json()["data"]) == 1


async def test_another_body_under_the_same_key_is_refused(api: Api, platform: Platform) -> None:
    await _create(api, platform, ONE, "k-1")
    refused = await _create(api, platform, OTHER, "k-1")
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_mismatch")


async def test_another_route_under_the_same_key_is_refused(api: Api, platform: Platform) -> None:
    await _create(api, platform, ONE, "k-1")
    refused = await api.call(platform, "POST", "/v1/api-keys", json={"name": "x"}, headers={"Idempotency-Key": "k-1"})
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_mismatch")


async def test_a_key_in_flight_is_a_conflict(api: Api, platform: Platform) -> None:
    answers = await asyncio.gather(*(_create(api, platform, ONE, "k-1") for _ in range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    codes = {answer.json()["code"] for answer in answers if answer.status_code == 409}
    assert codes <= {"idempotency_in_flight"}
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1


async def test_a_claim_that_is_not_finished_makes_the_next_one_wait(api: Api, platform: Platform) -> None:
    body = httpx.Request("POST", "http://x", json=ONE).content
    async with api.parts.database.tenant(platform.tenant_id) as session:
        head = hashlib.sha256(b"live POST /v1/subjects?").digest()
        digest = hashlib.sha256(head + hashlib.sha256(body).digest()).digest()
        await idempotency.begin(session, tenant_id=platform.tenant_id, key="k-1", request_hash=digest)
    refused = await _create(api, platform, ONE, "k-1")
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_in_flight")


async def test_a_request_that_failed_frees_its_key(api: Api, platform: Platform) -> None:
    await _create(api, platform, ONE, None)
    for _ in range(2):
        refused = await _create(api, platform, ONE, "k-1")
        assert (refused.status_code, refused.json()["code"]) == (409, "reference_taken")


async def test_a_live_request_is_not_answered_with_what_the_sandbox_made(api: Api, platform: Platform) -> None:
    made = await api.call(platform, "POST", "/v1/api-keys", json={"name": "sandbox", "mode": "test"})
    sandbox = {"Authorization": f"Bearer {made.json()['key']}", "Idempotency-Key": "k-1"}
    assert (await api.http.post("/v1/subjects", json=ONE, headers=sandbox)).status_code == 201
    refused = await _create(api, platform, ONE, "k-1")
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_mismatch")


async def test_keys_of_two_tenants_do_not_meet(api: Api, platform: Platform) -> None:
    other = await a_platform(api.parts)
    mine, theirs = await _create(api, platform, ONE, "k-1"), await _create(api, other, OTHER, "k-1")
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


async def test_what_costs_money_needs_a_key_and_is_charged_once(api: Api, platform: Platform) -> None:
    _, photo_id = await a_ready_person(api.parts, platform)
    order = {"photo_id": f"pho_{photo_id.hex}", "styles": ["studio-grey", "charcoal"]}
    refused = await api.call(platform, "POST", "/v1/headshots", json=order)
    assert (refused.status_code, refused.json()["code"]) == (400, "idempotency_key_missing")
    headers = {"Idempotency-Key": "pay-once"}
    first, again = [await api.call(platform, "POST", "/v1/headshots", json=order, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert (await api.call(platform, "GET", "/v1/usage")).json()["reserved"] == 2


async def test_a_secret_is_not_shown_by_a_repeat(api: Api, platform: Platform) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first, again = [
        await api.call(platform, "POST", "/v1/api-keys", json={"name": "x"}, headers=headers) for _ in range(2)
    ]
    assert first.json()["key"].startswith("lk_live_")
    assert again.json() == first.json() | {"key": None}


async def test_a_key_has_a_bounded_length(api: Api, platform: Platform) -> None:
    assert (await _create(api, platform, ONE, "k" * 256)).status_code in {400, 422}
    assert (await _create(api, platform, ONE, "k" * 255)).status_code == 201
