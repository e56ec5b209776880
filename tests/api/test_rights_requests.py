"""Rights requests and consents at the door."""

from typing import Any
from uuid import uuid4

from core.consent.models import Purpose
from core.ids import Prefix, public
from core.tenants import service as tenants
from core.tenants.models import Mode, TenantState
from core.tenants.service import SCOPES
from tests.api.conftest import Api
from tests.api.world import a_world
from tests.scenes import Platform, a_notice, a_person, a_platform, consents


async def _subject(api: Api, platform: Platform, jurisdiction: str = "US-CA") -> str:
    made = await api.call(
        platform, "POST", "/v1/subjects", json={"reference": uuid4().hex, "jurisdiction": jurisdiction}
    )
    subject_id: str = made.json()["id"]
    return subject_id


async def _enter(api: Api, platform: Platform, subject_id: str, kind: str, **more: Any) -> dict[str, Any]:
    answer = await api.call(
        platform, "POST", "/v1/rights-requests", json={"subject_id": subject_id, "kind": kind, **more}
    )
    assert answer.status_code in {200, 201}, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_request_shows_its_law_its_deadlines_and_its_words(api: Api, platform: Platform) -> None:
    subject_id = await _subject(api, platform)
    made = await _enter(api, platform, subject_id, "access", details="Everything, please.")
    assert (made["law"], made["state"], made["identity"]) == ("CCPA", "received", "unverified")
    assert "1798.130" in made["law_source"]
    assert made["acknowledge_by"] < made["due_at"] < made["extendable_to"]
    read = await api.call(platform, "GET", f"/v1/rights-requests/{made['id']}")
    assert read.json() == made
    listed = (await api.call(platform, "GET", "/v1/rights-requests?state=received")).json()["data"]
    assert [row["id"] for row in listed] == [made["id"]]
    assert "details" not in listed[0]


async def test_a_repeat_answers_200_with_the_open_request(api: Api, platform: Platform) -> None:
    subject_id = await _subject(api, platform)
    body = {"subject_id": subject_id, "kind": "portability"}
    first = await api.call(platform, "POST", "/v1/rights-requests", json=body)
    second = await api.call(platform, "POST", "/v1/rights-requests", json=body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert (second.json()["id"], second.json()["joined"]) == (first.json()["id"], 1)


async def test_the_life_of_a_request(api: Api, platform: Platform) -> None:
    subject_id = await _subject(api, platform)
    path = f"/v1/rights-requests/{(await _enter(api, platform, subject_id, 'access'))['id']}"
    refused = await api.call(platform, "POST", f"{path}/complete")
    assert (refused.status_code, refused.json()["code"]) == (409, "identity_unverified")
    for step, body, state in (
        ("acknowledge", None, "received"),
        ("extend", {"code": "complexity", "reason": "Many pictures."}, "received"),
        ("verify-identity", {"outcome": "verified"}, "received"),
        ("complete", None, "completed"),
    ):
        answer = await api.call(platform, "POST", f"{path}/{step}", json=body)
        assert (answer.status_code, answer.json()["state"]) == (200, state), step
    again = await api.call(platform, "POST", f"{path}/complete")
    assert (again.status_code, again.json()["code"]) == (409, "state_conflict")


async def test_a_denial_answers_with_the_provision_that_it_rests_on(api: Api, platform: Platform) -> None:
    subject_id = await _subject(api, platform)
    path = f"/v1/rights-requests/{(await _enter(api, platform, subject_id, 'access'))['id']}"
    unknown = await api.call(platform, "POST", f"{path}/deny", json={"exception": "busy", "reason": "No."})
    assert unknown.status_code == 422
    assert "rights_of_others" in unknown.json()["allowed"]
    denied = await api.call(platform, "POST", f"{path}/deny", json={"exception": "rights_of_others", "reason": "No."})
    assert denied.json()["state"] == "denied"
    assert "15(4)" in denied.json()["exception_source"]


async def test_an_erasure_needs_the_scope_to_erase(api: Api, platform: Platform) -> None:
    subject_id = await _subject(api, platform)
    async with api.parts.database.tenant(platform.tenant_id) as session:
        scopes = tuple(scope for scope in SCOPES if scope != "erasure:write")
        _, key = await tenants.create_api_key(
            session, tenant_id=platform.tenant_id, name="clerk", mode=Mode.LIVE, scopes=scopes
        )
    clerk = Platform(caller=await tenants.authenticate(api.parts.database, key), key=key)
    body = {"subject_id": subject_id, "kind": "erasure"}
    refused = await api.call(clerk, "POST", "/v1/rights-requests", json=body | {"identity_verified": True})
    assert refused.json()["code"] == "scope_missing"
    path = f"/v1/rights-requests/{(await _enter(api, clerk, subject_id, 'erasure'))['id']}"
    verified = {"outcome": "verified"}
    assert (await api.call(clerk, "POST", f"{path}/verify-identity", json=verified)).status_code == 403
    assert (await api.call(platform, "POST", f"{path}/verify-identity", json=verified)).status_code == 200
    assert (await api.call(platform, "GET", f"/v1/subjects/{subject_id}")).status_code == 410
    assert (await api.call(platform, "GET", path)).json()["state"] == "received"


async def test_a_suspended_tenants_people_keep_their_rights(api: Api, platform: Platform) -> None:
    subject_id = await _subject(api, platform)
    await tenants.set_state(
        api.parts.database, tenant_id=platform.tenant_id, state=TenantState.SUSPENDED, actor="operator"
    )
    await _enter(api, platform, subject_id, "restriction")


async def test_a_restriction_shows_on_the_consents_and_is_lifted_once_the_person_knows(
    api: Api, platform: Platform
) -> None:
    subject_id = await a_person(api.parts, platform)
    await consents(api.parts, platform, subject_id)
    ours = public(Prefix.SUBJECT, subject_id)
    path = f"/v1/rights-requests/{(await _enter(api, platform, ours, 'restriction'))['id']}"
    page = (await api.call(platform, "GET", f"/v1/subjects/{ours}/consents")).json()
    assert page["restrictions"] == ["restriction"]
    assert {row["permitted"] for row in page["current"]} == {False}
    headers = {"Content-Type": "image/jpeg"}
    upload = await api.call(platform, "POST", f"/v1/subjects/{ours}/photos", content=b"\xff\xd8\xff", headers=headers)
    assert (upload.status_code, upload.json()["code"]) == (403, "processing_restricted")
    await api.call(platform, "POST", f"{path}/complete")
    unheard = await api.call(platform, "POST", f"{path}/lift", json={"person_informed": False})
    assert unheard.status_code == 422
    assert (await api.call(platform, "POST", f"{path}/lift", json={"person_informed": True})).status_code == 200
    page = (await api.call(platform, "GET", f"/v1/subjects/{ours}/consents")).json()
    assert {row["permitted"] for row in page["current"]} == {True}


async def test_a_browsers_privacy_signal_opts_the_person_out_even_when_the_call_is_refused(
    api: Api, platform: Platform
) -> None:
    notice_id = public(Prefix.NOTICE, await a_notice(api.parts, platform))
    subject_id = await _subject(api, platform)
    path, signal = f"/v1/subjects/{subject_id}/consents", {"Sec-GPC": "1"}
    body = {"purpose": "third_party_sharing", "notice_id": notice_id}
    refused = await api.call(platform, "POST", path, json=body, headers=signal)
    assert (refused.status_code, refused.json()["code"]) == (409, "opted_out")
    other = await api.call(platform, "POST", path, json=body | {"purpose": "headshot"}, headers=signal)
    assert other.status_code == 201
    ledger = (await api.call(platform, "GET", path)).json()["data"]
    assert [(row["purpose"], row["action"], row["channel"]) for row in ledger] == [
        ("headshot", "granted", None),
        ("third_party_sharing", "opted_out", "browser_signal"),
    ]
    silent = await api.call(platform, "POST", path, json=body)
    assert silent.json()["code"] == "opted_out"
    assert "until" in silent.json()


async def test_a_signal_on_a_withdrawal_counts_even_when_there_is_nothing_to_withdraw(
    api: Api, platform: Platform
) -> None:
    subject_id = await a_person(api.parts, platform)
    granted = await consents(api.parts, platform, subject_id, Purpose.HEADSHOT)
    path = f"/v1/consents/{public(Prefix.CONSENT, granted[Purpose.HEADSHOT])}/withdraw"
    assert (await api.call(platform, "POST", path)).status_code == 201
    assert (await api.call(platform, "POST", path, headers={"Sec-GPC": "1"})).status_code == 409
    ledger = await api.call(platform, "GET", f"/v1/subjects/{public(Prefix.SUBJECT, subject_id)}/consents")
    assert [row["action"] for row in ledger.json()["data"]] == ["opted_out", "withdrawn", "granted"]


async def test_a_no_is_seen_by_keys_with_the_scope_alone(api: Api, platform: Platform) -> None:
    notice_id = public(Prefix.NOTICE, await a_notice(api.parts, platform))
    subject_id = await _subject(api, platform)
    path = f"/v1/subjects/{subject_id}/consents"
    body = {"purpose": "model_training", "notice_id": notice_id, "decision": "declined"}
    declined = (await api.call(platform, "POST", path, json=body)).json()
    async with api.parts.database.tenant(platform.tenant_id) as session:
        scopes = tuple(scope for scope in SCOPES if scope != "consents:read_declined")
        _, key = await tenants.create_api_key(
            session, tenant_id=platform.tenant_id, name="recruiter", mode=Mode.LIVE, scopes=scopes
        )
    recruiter = Platform(caller=await tenants.authenticate(api.parts.database, key), key=key)
    seen = (await api.call(platform, "GET", path)).json()
    assert [row["action"] for row in seen["data"]] == ["declined"]
    unseen = (await api.call(recruiter, "GET", path)).json()
    never_asked = await _subject(api, platform)
    assert unseen == (await api.call(recruiter, "GET", f"/v1/subjects/{never_asked}/consents")).json()
    for way in ("", "/receipt"):
        known = await api.call(platform, "GET", f"/v1/consents/{declined['id']}{way}")
        hidden = await api.call(recruiter, "GET", f"/v1/consents/{declined['id']}{way}")
        assert (known.status_code, hidden.status_code) == (200, 404)


async def test_a_written_release_travels_through_the_door(api: Api, platform: Platform) -> None:
    notice_id = public(Prefix.NOTICE, await a_notice(api.parts, platform))
    subject_id = await _subject(api, platform, "US-IL")
    path = f"/v1/subjects/{subject_id}/consents"
    body: dict[str, Any] = {"purpose": "biometric_processing", "notice_id": notice_id, "channel": "web_form"}
    refused = await api.call(platform, "POST", path, json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "written_release_required")
    body["release"] = {
        "purpose": "To find the face and cut it out.",
        "term_days": 30,
        "signature": {"method": "typed_name", "name": "Robin Sample", "signed_at": "2026-11-23T12:00:00Z"},
    }
    body["attestation"] = {"minor": False}
    made = await api.call(platform, "POST", path, json=body)
    assert made.status_code == 201
    assert (made.json()["locale"], made.json()["channel"]) == ("en", "web_form")
    receipt = await api.call(platform, "GET", f"/v1/consents/{made.json()['id']}/receipt")
    assert receipt.headers["content-type"].startswith("application/ld+json")
    assert receipt.json()["proof"]["cryptosuite"] == "eddsa-jcs-2022"
    keys = (await api.http.get("/.well-known/likeness/keys")).json()["keys"]
    assert receipt.json()["proof"]["verificationMethod"].endswith("#" + keys[0]["kid"])


async def test_a_changed_notice_asks_for_the_consent_anew(api: Api, platform: Platform) -> None:
    subject_id = await a_person(api.parts, platform)
    await consents(api.parts, platform, subject_id)
    path = f"/v1/subjects/{public(Prefix.SUBJECT, subject_id)}/consents"
    before = (await api.call(platform, "GET", path)).json()["current"]
    assert {row["renew"] for row in before} == {None}
    await a_notice(api.parts, platform)
    after = (await api.call(platform, "GET", path)).json()["current"]
    assert {(row["renew"], row["permitted"]) for row in after} == {("notice_changed", True)}


async def test_another_tenants_platform_sees_none_of_it(api: Api, platform: Platform) -> None:
    made = await _enter(api, platform, await _subject(api, platform), "access")
    other = await a_platform(api.parts)
    assert (await api.call(other, "GET", f"/v1/rights-requests/{made['id']}")).status_code == 404
    assert (await api.call(other, "GET", "/v1/rights-requests")).json()["data"] == []


async def test_a_person_can_be_told_who_opened_what_and_what_was_corrected(api: Api, platform: Platform) -> None:
    world = await a_world(api, platform)
    subject = f"/v1/subjects/{world.ids['subject_id']}"
    link = (await api.call(platform, "POST", f"/v1/assets/{world.ids['asset_id']}/link")).json()["url"]
    await api.http.get(link)
    await api.call(platform, "GET", f"/v1/photos/{world.ids['photo_id']}/content")
    await api.call(platform, "PATCH", subject, json={"display_name": "Robin Other"})
    log = (await api.call(platform, "GET", f"{subject}/access-log")).json()["data"]
    assert [(row["what"], row["why"]) for row in log] == [
        ("identity", "correct"),
        ("photo", "download"),
        ("photo", "link"),
    ]
    assert log[1]["actor"] == platform.caller.actor
    assert log[1]["resource_id"] == world.ids["asset_id"]
    corrections = (await api.call(platform, "GET", f"{subject}/corrections")).json()["data"]
    assert [(row["field"], row["before"]) for row in corrections] == [("display_name", "Canary Q. Personname")]
