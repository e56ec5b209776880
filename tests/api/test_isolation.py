"""Every operation, every slot that takes an id: somebody else's id answers just as an id that nobody has."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.operator.auth import SCHEME
from core.ids import public
from core.operators.service import Role
from core.tenants import service as tenants
from core.tenants.models import Mode
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.api.world import SLOTS, WORDS, World, a_world
from tests.operating import an_operator
from tests.scenes import Platform

# A body that is accepted as far as its form goes, for each operation that wants one.
BODIES: dict[str, dict[str, Any]] = {
    "create_api_key": {"name": "another"},
    "rotate_api_key": {},
    "publish_notice": {
        "slug": "headshots",
        "locale": "en",
        "text": "We make headshots.",
        "purposes": {"headshot": "consent"},
        "retention_days": 30,
    },
    "create_subject": {"reference": "somebody new"},
    "find_subject": {"reference": "somebody unknown"},
    "rectify_subject": {"jurisdiction": "DE"},
    "grant_consent": {"purpose": "headshot", "notice_id": "{notice_id}"},
    "preview_style": {"style": "studio-grey"},
    "request_headshots": {"photo_id": "{photo_id}", "styles": ["studio-grey"]},
    "create_asset_link": {"expires_in": 60},
    "create_endpoint": {"url": "https://hooks.sample.example/other"},
    "update_endpoint": {"description": "changed"},
    "erase_cohort": {"references": ["nobody"]},
    "confirm_erasure": {"endpoint_id": "{endpoint_id}"},
    "create_rights_request": {"subject_id": "{subject_id}", "kind": "access"},
    "verify_identity": {"outcome": "verified"},
    "extend_rights_request": {"code": "complexity", "reason": "Many pictures."},
    "deny_rights_request": {"exception": "rights_of_others", "reason": "Somebody else is in them."},
    "lift_restriction": {"person_informed": True},
    "create_person_link": {"expires_in": 3600},
    "acknowledge_subprocessors": {"version": 1},
    "object_to_subprocessors": {"version": 1, "reason_code": "country"},
    "change_retention_policy": {"seconds": 604_800, "version": 0},
    "simulate_retention_policy": {"data_class": "photo", "seconds": 86_400},
    "create_legal_hold": {"reason": "A claim.", "expires_at": "2030-01-01T00:00:00Z"},
    "create_tenant": {"name": "another"},
    "update_tenant": {"credits": 5},
    "delete_tenant": {"reason": "They asked for it.", "without_archive": True},
    "destroy_tenant_keys": {"reason": "They asked for it."},
    "update_quota": {"version": 1, "credits": 5},
    "preview_quota": {"weight": 2.0},
    "simulate_retention": {"data_class": "photo", "seconds": 172_800},
    "change_retention": {"seconds": 864_000, "version": 0, "reason": "As the contract says."},
    "place_tenant_hold": {"reason": "Claim 117.", "expires_at": "2030-01-01T00:00:00Z"},
    "release_tenant_hold": {"reason": "It was settled."},
    "extend_any_request": {"code": "complexity", "reason": "Many pictures."},
    "deny_any_request": {"exception": "rights_of_others", "reason": "Somebody else is in them."},
}
# Who runs the service, and what two of them decide: no tenant's, and asked in tests/api/operator.
STAFF = {"operator_id", "approval_id"}
# What is somebody's: a key of the other mode finds none of it.
OF_PEOPLE = {
    "subject_id", "consent_id", "photo_id", "asset_id", "job_id", "request_id", "erasure_id", "certificate_id",
    "hold_id", "export_id", "import_id",
}  # fmt: skip
# Slots whose id is answered by a 422 that names no id, since it stands in a body beside a valid subject.
UNPROCESSABLE = {("grant_consent", "notice_id")}


def _is_slot(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("{")


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    path: str
    query: tuple[str, ...]
    has_body: bool
    roles: tuple[str, ...] = ()

    @property
    def slots(self) -> list[str]:
        """Every place of this operation where an id goes: path, query, body."""
        in_body = [value[1:-1] for value in BODIES.get(self.id, {}).values() if _is_slot(value)]
        in_path = [part[1:-1] for part in self.path.split("/") if part.startswith("{") and part[1:-1] not in WORDS]
        return in_path + list(self.query) + in_body


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, found in methods.items():
            query = tuple(
                parameter["name"]
                for parameter in found.get("parameters", [])
                if parameter["in"] == "query" and parameter["name"].endswith("_id")
            )
            roles = tuple(role for scheme in found.get("security", []) for role in scheme.get(SCHEME, []))
            yield Operation(found["operationId"], method.upper(), path, query, "requestBody" in found, roles)


async def ask(api: Api, world: World, operation: Operation, ids: dict[str, str]) -> httpx.Response:
    request: dict[str, Any] = {"headers": {"Idempotency-Key": uuid4().hex}}
    if operation.query:
        request["params"] = {name: ids[name] for name in operation.query}
    if operation.id == "upload_photo":
        request |= {"content": b"\xff\xd8\xff not a photo", "headers": {"Content-Type": "image/jpeg"}}
    elif operation.id == "import_export":
        request |= {"content": b"PK not an export", "headers": {"Content-Type": "application/zip"}}
    elif operation.id in BODIES:
        request["json"] = {
            name: ids[value[1:-1]] if _is_slot(value) else value for name, value in BODIES[operation.id].items()
        }
    elif operation.has_body:
        pytest.fail(f"{operation.id} takes a body: give it one in BODIES")
    path = operation.path.format_map(ids)
    if path.startswith("/operator/"):
        request["headers"]["Authorization"] = f"Bearer {OPERATOR_TOKEN}"
        if operation.roles:  # a person: the machine may not do, or ask for, all that an admin may
            role = Role.ADMIN if Role.ADMIN in operation.roles else Role(operation.roles[0])
            request["headers"] |= (await an_operator(api.parts, role)).headers
        return await api.http.request(operation.method, path, **request)
    return await api.call(world.platform, operation.method, path, **request)


def body_without_request_id(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert body.pop("request_id") == answer.headers["x-request-id"]
    return body


async def test_somebody_elses_id_answers_as_an_id_that_nobody_has(api: Api) -> None:
    mine, theirs = await a_world(api), await a_world(api)
    document = (await api.http.get("/schema/openapi.json")).json()
    tried = 0
    for operation in operations(document):
        for slot in operation.slots:
            if operation.path.startswith(("/operator/", "/s/", "/.well-known/")):
                continue  # an operator sees every tenant (asked below), a link is its own credential, some is for all
            assert slot in SLOTS, f"{operation.id} takes {slot}, which no case covers"
            unknown = {**mine.ids, slot: public(SLOTS[slot], uuid4())}
            foreign = {**mine.ids, slot: theirs.ids[slot]}
            misshapen = {**mine.ids, slot: "no-id-at-all"}
            answers = [await ask(api, mine, operation, ids) for ids in (unknown, foreign, misshapen)]
            expected = 422 if (operation.id, slot) in UNPROCESSABLE else 404
            assert [answer.status_code for answer in answers] == [expected] * 3, (operation.id, slot)
            first, *others = (body_without_request_id(answer) for answer in answers)
            assert all(other == first for other in others), (operation.id, slot)
            tried += 1
    assert tried >= 25


async def test_a_key_of_the_sandbox_finds_no_live_person_nor_what_is_theirs(api: Api) -> None:
    world = await a_world(api)
    async with api.parts.database.tenant(world.platform.tenant_id) as session:
        _, key = await tenants.create_api_key(
            session, tenant_id=world.platform.tenant_id, name="sandbox", mode=Mode.TEST
        )
    sandbox = replace(world, platform=Platform(caller=await tenants.authenticate(api.parts.database, key), key=key))
    document = (await api.http.get("/schema/openapi.json")).json()
    tried = set()
    for operation in operations(document):
        if operation.path.startswith(("/operator/", "/s/", "/.well-known/")):
            continue
        for slot in OF_PEOPLE.intersection(operation.slots):
            unknown = {**world.ids, slot: public(SLOTS[slot], uuid4())}
            answers = [await ask(api, sandbox, operation, ids) for ids in (world.ids, unknown)]
            assert [answer.status_code for answer in answers] == [404, 404], (operation.id, slot)
            first, other = (body_without_request_id(answer) for answer in answers)
            assert first == other, (operation.id, slot)
            tried.add(slot)
    assert tried == OF_PEOPLE


async def test_a_person_of_the_sandbox_is_nobody_to_a_live_key(api: Api, platform: Platform) -> None:
    async with api.parts.database.tenant(platform.tenant_id) as session:
        _, key = await tenants.create_api_key(session, tenant_id=platform.tenant_id, name="sandbox", mode=Mode.TEST)
    sandbox = Platform(caller=await tenants.authenticate(api.parts.database, key), key=key)
    made = [
        (await api.call(who, "POST", "/v1/subjects", json={"reference": "employee-4711"})).json()["id"]
        for who in (sandbox, platform)
    ]
    assert made[0] != made[1]  # one reference may be taken once in each
    for who, theirs, others in ((sandbox, *made), (platform, *reversed(made))):
        assert [each["id"] for each in (await api.call(who, "GET", "/v1/subjects")).json()["data"]] == [theirs]
        found = await api.call(who, "POST", "/v1/subjects/find", json={"reference": "employee-4711"})
        assert found.json()["id"] == theirs
        assert (await api.call(who, "DELETE", f"/v1/subjects/{others}")).status_code == 404


async def test_each_operation_is_open_to_the_owner_of_the_id(api: Api) -> None:
    # Without this, a route that always says 404 would pass the walk above.
    document = (await api.http.get("/schema/openapi.json")).json()
    unchanged = await a_world(api)
    for operation in operations(document):
        if operation.slots and not operation.path.startswith("/s/") and STAFF.isdisjoint(operation.slots):
            # What only reads leaves the world as it is; anything else gets one of its own.
            reads = operation.method == "GET" and operation.id != "follow_job"
            world = unchanged if reads else await a_world(api)
            if operation.id == "follow_job":  # a stream that ends, since its job has
                await api.call(world.platform, "POST", f"/v1/headshots/{world.ids['job_id']}/cancel")
            answer = await ask(api, world, operation, world.ids)
            assert answer.status_code not in {401, 403, 404, 410, 500}, (operation.id, answer.text)


@pytest.mark.parametrize("path", ["/operator/v1/tenants", "/operator/v1/tenants/{tenant_id}"])
async def test_a_tenants_key_opens_no_operator_route(api: Api, path: str) -> None:
    world = await a_world(api)
    answer = await api.call(world.platform, "GET", path.format_map(world.ids))
    assert answer.status_code == 401


async def test_an_operator_token_opens_no_tenant_route(api: Api) -> None:
    answer = await api.http.get("/v1/tenant", headers={"Authorization": f"Bearer {OPERATOR_TOKEN}"})
    assert answer.status_code == 401
    assert answer.json()["code"] == "credential_invalid"


async def test_an_operator_asking_for_an_unknown_tenant_gets_404(api: Api) -> None:
    headers = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    for name in (public(SLOTS["tenant_id"], uuid4()), "no-id"):
        path = f"/operator/v1/tenants/{name}"
        changes = {"credits": 5, "state": "suspended"}
        assert (await api.http.get(path, headers=headers)).status_code == 404
        assert (await api.http.patch(path, headers=headers, json=changes)).status_code == 404
