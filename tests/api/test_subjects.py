"""Subjects, notices and consents through the door."""

from typing import Any

import pytest

from tests.api.conftest import Api
from tests.scenes import Platform

PERSON = {
    "reference": "employee-4711",
    "display_name": "Robin Sample",
    "email": "robin@sample.example",
    "jurisdiction": "US-IL",
}
NOTICE: dict[str, Any] = {
    "slug": "headshots",
    "locale": "en",
    "text": "We make headshots.\nNothing else.",
    "purposes": {"headshot": "contract", "biometric_processing": "consent"},
    "retention_days": 30,
}


async def test_a_person_is_created_read_found_corrected_and_listed_without_their_name(
    api: Api, platform: Platform
) -> None:
    made = await api.call(platform, "POST", "/v1/subjects", json=PERSON)
    person = made.json()
    assert (made.status_code, made.headers["location"]) == (201, f"/v1/subjects/{person['id']}")
    assert {name: person[name] for name in PERSON} == PERSON
    path = made.headers["location"]
    assert (await api.call(platform, "GET", path)).json() == person
    found = await api.call(platform, "POST", "/v1/subjects/find", json={"reference": "employee-4711"})
    assert (found.status_code, found.json()) == (200, person)
    changes = {"reference": "employee-1", "email": None}
    corrected = (await api.call(platform, "PATCH", path, json=changes)).json()
    assert corrected == person | changes
    assert (await api.call(platform, "PATCH", path, json={})).json() == corrected
    gone = await api.call(platform, "POST", "/v1/subjects/find", json={"reference": "employee-4711"})
    assert gone.status_code == 404
    listed = await api.call(platform, "GET", "/v1/subjects")
    assert listed.json()["data"][0]["id"] == person["id"]
    assert "Robin" not in listed.text


async def test_a_reference_names_one_person(api: Api, platform: Platform) -> None:
    first = (await api.call(platform, "POST", "/v1/subjects", json=PERSON)).json()
    refused = await api.call(platform, "POST", "/v1/subjects", json=PERSON)
    assert (refused.status_code, refused.json()["code"]) == (409, "reference_taken")
    assert refused.json()["subject_id"] == first["id"]


async def test_an_erased_person_is_not_found_by_their_reference(api: Api, platform: Platform) -> None:
    person = (await api.call(platform, "POST", "/v1/subjects", json=PERSON)).json()
    await api.call(platform, "DELETE", f"/v1/subjects/{person['id']}")
    found = await api.call(platform, "POST", "/v1/subjects/find", json={"reference": PERSON["reference"]})
    assert found.status_code == 404


async def test_notices_are_versioned_and_never_change(api: Api, platform: Platform) -> None:
    first, second = [(await api.call(platform, "POST", "/v1/notices", json=NOTICE)).json() for _ in range(2)]
    assert (first["version"], second["version"]) == (1, 2)
    assert first["text_sha256"] == second["text_sha256"]
    assert (await api.call(platform, "GET", f"/v1/notices/{first['id']}")).json() == first
    listed = (await api.call(platform, "GET", "/v1/notices")).json()["data"]
    assert [one["version"] for one in listed] == [2, 1]
    for method in ("PATCH", "PUT", "DELETE"):
        assert (await api.call(platform, method, f"/v1/notices/{first['id']}")).status_code == 405


@pytest.mark.parametrize(
    "change",
    [
        {"purposes": {"biometric_processing": "legitimate_interests"}},
        {"purposes": {}},
        {"purposes": {"anything": "consent"}},
        {"retention_days": 0},
        {"slug": "Not A Slug"},
        {"text": ""},
    ],
)
async def test_a_notice_that_may_not_be_is_refused(api: Api, platform: Platform, change: dict[str, Any]) -> None:
    assert (await api.call(platform, "POST", "/v1/notices", json=NOTICE | change)).status_code == 422


async def test_the_ledger_shows_every_step_and_what_holds_now(api: Api, platform: Platform) -> None:
    notice = (await api.call(platform, "POST", "/v1/notices", json=NOTICE)).json()
    person = (await api.call(platform, "POST", "/v1/subjects", json=PERSON)).json()
    path = f"/v1/subjects/{person['id']}/consents"
    grant = {"purpose": "headshot", "notice_id": notice["id"], "evidence": {"wording": "I agree"}}
    granted = await api.call(platform, "POST", path, json=grant)
    entry = granted.json()
    assert (granted.status_code, entry["action"], entry["legal_basis"]) == (201, "granted", "contract")
    assert "evidence" not in entry
    assert (await api.call(platform, "GET", granted.headers["location"])).json() == entry
    withdrawn = (await api.call(platform, "POST", f"/v1/consents/{entry['id']}/withdraw")).json()
    ledger = (await api.call(platform, "GET", path)).json()
    assert [one["id"] for one in ledger["data"]] == [withdrawn["id"], entry["id"]]
    standing = {"purpose": "headshot", "permitted": False, "expires_at": None, "renew": None}
    assert ledger["current"] == [{**standing, "consent_id": withdrawn["id"]}]


async def test_a_consent_needs_a_notice_that_names_its_purpose(api: Api, platform: Platform) -> None:
    notice = (await api.call(platform, "POST", "/v1/notices", json=NOTICE)).json()
    person = (await api.call(platform, "POST", "/v1/subjects", json=PERSON)).json()
    grant = {"purpose": "model_training", "notice_id": notice["id"]}
    refused = await api.call(platform, "POST", f"/v1/subjects/{person['id']}/consents", json=grant)
    assert (refused.status_code, refused.json()["code"]) == (422, "notice_unknown")


async def test_evidence_has_a_bounded_size(api: Api, platform: Platform) -> None:
    notice = (await api.call(platform, "POST", "/v1/notices", json=NOTICE)).json()
    person = (await api.call(platform, "POST", "/v1/subjects", json=PERSON)).json()
    grant = {"purpose": "headshot", "notice_id": notice["id"], "evidence": {"wording": "x" * 20_000}}
    refused = await api.call(platform, "POST", f"/v1/subjects/{person['id']}/consents", json=grant)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "evidence")


async def test_the_tenant_its_credits_and_the_styles_can_be_read(api: Api, platform: Platform) -> None:
    own = (await api.call(platform, "GET", "/v1/tenant")).json()
    assert (own["mode"], own["tenant"]["name"]) == ("live", "Some Platform")
    assert (await api.call(platform, "GET", "/v1/usage")).json() == {
        "credits": 100,
        "used": 0,
        "reserved": 0,
        "available": 100,
    }
    styles = (await api.call(platform, "GET", "/v1/styles")).json()["data"]
    assert len({style["name"] for style in styles}) >= 3
