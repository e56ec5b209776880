"""What people are owed, for all tenants: by urgency, answered by the privacy officer alone, and nothing opened."""

from datetime import timedelta
from uuid import UUID, uuid4

from core.clock import frozen_at, now
from core.ids import Prefix, public
from core.operators.service import Role
from core.rights import erase, requests
from core.rights.models import Identity
from core.rights.rules import Kind
from core.subjects import service as subjects
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.operating import an_operator
from tests.scenes import Platform, a_person, a_platform, an_erasure

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
REQUESTS, ERASURES = "/operator/v1/rights-requests", "/operator/v1/erasures"


async def _european(api: Api, platform: Platform) -> UUID:
    """Somebody whose law gives a month, and may be extended."""
    async with api.parts.database.tenant(platform.tenant_id) as session:
        person = await subjects.create(
            session,
            api.parts.keyring,
            tenant_id=platform.tenant_id,
            actor="test",
            reference=str(uuid4()),
            jurisdiction="DE",
        )
    return person.id


async def _request(api: Api, platform: Platform, subject_id: UUID, *, days_ago: float = 0) -> str:
    async with api.parts.database.tenant(platform.tenant_id) as session:
        with frozen_at(now() - timedelta(days=days_ago)):
            request, _ = await requests.receive(
                session,
                api.parts.keyring,
                subject_id=subject_id,
                kind=Kind.ACCESS,
                actor="test",
                identity=Identity.VERIFIED,
                details="canary: I used to work there",
            )
    return public(Prefix.RIGHTS_REQUEST, request.id)


async def test_open_requests_are_listed_by_urgency_with_their_clock(api: Api) -> None:
    one, other = await a_platform(api.parts), await a_platform(api.parts)
    calm = await _request(api, one, await _european(api, one))
    overdue = await _request(api, other, await _european(api, other), days_ago=60)
    soon = await _request(api, one, await _european(api, one), days_ago=25)
    first = (await api.http.get(REQUESTS, headers=OPERATOR, params={"limit": 2})).json()
    rest = (await api.http.get(REQUESTS, headers=OPERATOR, params={"cursor": first["next_cursor"]})).json()
    listed = [*first["data"], *rest["data"]]
    assert [row["id"] for row in listed] == [overdue, soon, calm]
    assert [row["urgency"] for row in listed] == ["overdue", "soon", "calm"]
    assert listed[0]["clock"].startswith("overdue by ")
    assert listed[0]["elapsed"] > 1 > listed[1]["elapsed"] > listed[2]["elapsed"] >= 0
    of_one = {"tenant_id": public(Prefix.TENANT, one.tenant_id)}
    assert len((await api.http.get(REQUESTS, headers=OPERATOR, params=of_one)).json()["data"]) == 2
    until = {"due_before": now().isoformat()}
    assert [row["id"] for row in (await api.http.get(REQUESTS, headers=OPERATOR, params=until)).json()["data"]] == [
        overdue
    ]
    assert (await api.http.get(REQUESTS, headers=OPERATOR, params={"cursor": "AAAA"})).status_code == 400


async def test_the_privacy_officer_answers_and_nobody_else(api: Api) -> None:
    platform = await a_platform(api.parts)
    path = f"{REQUESTS}/{await _request(api, platform, await _european(api, platform))}"
    reason = {"exception": "rights_of_others", "reason": "canary: others are in it"}
    for role in (Role.VIEWER, Role.SUPPORT, Role.ADMIN):
        somebody = await an_operator(api.parts, role)
        assert (await api.http.get(path, headers=somebody.headers)).status_code == 200
        refused = await api.http.post(f"{path}/deny", headers=somebody.headers, json=reason)
        assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")
    officer = await an_operator(api.parts, Role.PRIVACY_OFFICER)
    told = await api.http.post(f"{path}/acknowledge", headers=officer.headers)
    assert told.json()["acknowledged_at"] is not None
    extension = {"code": "complexity", "reason": "canary: a great many pictures"}
    extended = await api.http.post(f"{path}/extend", headers=officer.headers, json=extension)
    assert extended.json()["extension_code"] == "complexity"
    denied = await api.http.post(f"{path}/deny", headers=officer.headers, json=reason)
    assert (denied.json()["state"], denied.json()["clock"]) == ("denied", "answered in time")
    again = await api.http.post(f"{path}/complete", headers=officer.headers)
    assert again.status_code == 409
    for answer in (told, extended, denied):
        assert "canary" not in answer.text
    (closed,) = (await api.http.get(REQUESTS, headers=OPERATOR, params={"state": "denied"})).json()["data"]
    assert closed["urgency"] == "closed"


async def test_an_erasure_is_shown_step_by_step_and_tried_again_when_it_is_stuck(api: Api) -> None:
    platform = await a_platform(api.parts)
    subject_id = await a_person(api.parts, platform)
    async with api.parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, api.parts.keyring, subject_id=subject_id, actor="test")
    async with api.parts.database.tenant(platform.tenant_id) as session:
        tombstone = await erase.held(session, subject_id)
        for _ in range(erase.STUCK_AFTER):
            erase.put_off(session, tombstone)
        tombstone.last_error = "StorageUnavailable"
    path = f"{ERASURES}/{public(Prefix.ERASURE, subject_id)}"
    stuck = (await api.http.get(ERASURES, headers=OPERATOR, params={"progress": "stuck"})).json()["data"]
    assert [(row["progress"], row["last_error"], row["steps_done"]) for row in stuck] == [
        ("stuck", "StorageUnavailable", 3)
    ]
    read = (await api.http.get(path, headers=OPERATOR)).json()
    assert [step["step"] for step in read["step_times"] if step["done_at"]] == ["tombstone", "key", "receivers"]
    assert (await api.http.get(f"{path}/certificate", headers=OPERATOR)).status_code == 404
    assert (await api.http.post(f"{path}/retry", headers=OPERATOR)).status_code == 403
    officer = await an_operator(api.parts, Role.PRIVACY_OFFICER)
    tried = await api.http.post(f"{path}/retry", headers=officer.headers)
    assert (tried.status_code, tried.json()["progress"], tried.json()["attempts"]) == (202, "open", 0)
    async with api.parts.database.system() as session:
        assert await erase.unfinished(session, limit=5) == [(platform.tenant_id, subject_id)]


async def test_the_certificate_of_an_erasure_can_be_kept_as_a_file_and_a_sheet(api: Api) -> None:
    platform = await a_platform(api.parts)
    subject_id = await a_person(api.parts, platform)
    certificate = await an_erasure(api.parts, platform, subject_id)
    path = f"{ERASURES}/{public(Prefix.ERASURE, subject_id)}"
    officer = await an_operator(api.parts, Role.PRIVACY_OFFICER)
    (listed,) = (await api.http.get(ERASURES, headers=officer.headers, params={"progress": "certified"})).json()["data"]
    assert (listed["steps_done"], listed["steps"]) == (8, 8)
    assert (await api.http.get(path, headers=officer.headers)).json()["certificate"] == public(
        Prefix.CERTIFICATE, certificate.id
    )
    file = await api.http.get(f"{path}/certificate", headers=officer.headers)
    assert file.content == certificate.document
    sheet = await api.http.get(f"{path}/certificate/pdf", headers=officer.headers)
    assert sheet.content.startswith(b"%PDF")
    assert (await api.http.post(f"{path}/retry", headers=officer.headers)).status_code == 409
    viewer = await an_operator(api.parts, Role.VIEWER)
    assert (await api.http.get(f"{path}/certificate", headers=viewer.headers)).status_code == 403
