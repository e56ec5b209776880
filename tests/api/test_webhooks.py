"""Webhook endpoints and deliveries through the door."""

import pytest

from tests.api.conftest import Api
from tests.scenes import Platform

ENDPOINT = {"url": "https://hooks.sample.example/likeness", "events": ["consent.granted"], "description": "main"}


async def test_an_endpoint_shows_its_secret_once(api: Api, platform: Platform) -> None:
    made = await api.call(platform, "POST", "/v1/webhook-endpoints", json=ENDPOINT)
    endpoint = made.json()
    assert (made.status_code, endpoint["secret"][:6]) == (201, "whsec_")
    read = await api.call(platform, "GET", made.headers["location"])
    assert read.json() == {name: value for name, value in endpoint.items() if name != "secret"}
    listed = await api.call(platform, "GET", "/v1/webhook-endpoints")
    assert listed.json()["data"] == [read.json()]
    rotated = (await api.call(platform, "POST", f"{made.headers['location']}/rotate-secret")).json()
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != endpoint["secret"]
    assert rotated["previous_secret_until"] is not None


async def test_a_test_event_and_its_delivery_can_be_seen_and_sent_again(api: Api, platform: Platform) -> None:
    path = (await api.call(platform, "POST", "/v1/webhook-endpoints", json=ENDPOINT)).headers["location"]
    sent = await api.call(platform, "POST", f"{path}/test")
    delivery = sent.json()
    assert (sent.status_code, delivery["type"], delivery["state"]) == (202, "endpoint.test", "pending")
    one = f"/v1/webhook-deliveries/{delivery['id']}"
    assert (await api.call(platform, "GET", one)).json() == delivery
    listed = await api.call(platform, "GET", "/v1/webhook-deliveries", params={"endpoint_id": path.rpartition("/")[2]})
    assert listed.json()["data"] == [delivery]
    again = await api.call(platform, "POST", f"{one}/redeliver")
    assert (again.status_code, again.json()["event_id"]) == (202, delivery["event_id"])


async def test_an_endpoint_can_be_changed_switched_off_and_deleted(api: Api, platform: Platform) -> None:
    path = (await api.call(platform, "POST", "/v1/webhook-endpoints", json=ENDPOINT)).headers["location"]
    changed = (await api.call(platform, "PATCH", path, json={"description": None, "state": "disabled"})).json()
    assert (changed["description"], changed["state"], changed["events"]) == (None, "disabled", ["consent.granted"])
    assert (await api.call(platform, "POST", f"{path}/test")).status_code == 409
    assert (await api.call(platform, "DELETE", path)).status_code == 204
    assert (await api.call(platform, "GET", path)).status_code == 404


@pytest.mark.parametrize(
    "url",
    ["http://hooks.sample.example/x", "https://127.0.0.1/x", "https://localhost/x", "ftp://x", "not an address", ""],
)
async def test_an_address_that_we_do_not_deliver_to_is_refused(api: Api, platform: Platform, url: str) -> None:
    refused = await api.call(platform, "POST", "/v1/webhook-endpoints", json={"url": url})
    assert refused.status_code == 422
    assert refused.json()["code"] in {"webhook_target_refused", "validation_failed"}


async def test_unknown_events_are_refused_with_those_that_exist(api: Api, platform: Platform) -> None:
    refused = await api.call(platform, "POST", "/v1/webhook-endpoints", json=ENDPOINT | {"events": ["no.such"]})
    assert refused.status_code == 422
    assert "headshot.completed" in refused.json()["allowed"]
