"""The whole operator surface, walked: who may do what, and that nothing of a person can leave by it."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from api.operator import auth
from api.operator.routes import CONTROLLERS
from api.operator.table import role_table
from core.ids import Prefix
from core.operators.service import Role
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.api.world import SLOTS, a_world
from tests.operating import SignedIn, an_operator

ROOT = Path(__file__).parents[3]
MACHINE = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
STAFF = {"operator_id": Prefix.OPERATOR, "approval_id": Prefix.APPROVAL}
OPEN = {"create_session", "accept_invitation", "confirm_invitation", "link_invitation"}
WHY = {"reason": "They asked for it."}


async def document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = (await api.http.get("/schema/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        if path.startswith("/operator/"):
            for method, operation in methods.items():
                yield path, method.upper(), operation


def roles_of(operation: dict[str, Any]) -> set[str]:
    return {role for one in operation["security"] for role in one.get(auth.SCHEME, ())}


def nowhere(path: str) -> str:
    """The path with ids that nothing has."""

    def fill(found: re.Match[str]) -> str:
        prefix = (SLOTS | STAFF).get(found[1])
        return found[1] if prefix is None else f"{prefix.value}_{uuid4().hex}"

    return re.sub(r"\{(\w+)\}", fill, path)


async def test_each_operation_states_its_roles_and_keeps_to_them(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "STRANGERS_PER_MINUTE", 10_000)
    found = list(operations(await document(api)))
    assert len(found) > 30
    people = {role: await an_operator(api.parts, role) for role in Role}
    for path, method, operation in found:
        name, roles = operation["operationId"], roles_of(operation)
        assert "**Roles:**" in operation["description"], name
        where = nowhere(path)
        stranger = await api.http.request(method, where)
        if name in OPEN:
            assert operation["security"] == [{}], name
            continue
        assert roles, name
        assert stranger.status_code == 401, name
        assert (await api.http.request(method, where, headers={"Authorization": "Bearer lkos_x"})).status_code == 401
        for role, person in people.items():
            if name == "delete_session" and role.value in roles:
                person = people[role] = await an_operator(api.parts, role)  # noqa: PLW2901 (this one signs out)
            answer = await api.http.request(method, where, headers=person.headers)
            code = answer.json().get("code") if answer.headers.get("content-type", "").endswith("json") else None
            if role.value in roles:
                assert answer.status_code not in {401, 500}, (name, role)
                assert code != "role_missing", (name, role)
                if name == "delete_session":
                    people[role] = await an_operator(api.parts, role)
            else:
                assert (answer.status_code, code) == (403, "role_missing"), (name, role)


async def test_an_expired_session_opens_no_operation(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "STRANGERS_PER_MINUTE", 10_000)
    person = await an_operator(api.parts)
    assert (await api.http.delete("/operator/v1/session", headers=person.headers)).status_code == 204
    for path, method, operation in operations(await document(api)):
        if operation["operationId"] not in OPEN:
            answer = await api.http.request(method, nowhere(path), headers=person.headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "session_expired"), operation["operationId"]


async def test_a_tenants_key_opens_no_operator_operation(api: Api) -> None:
    world = await a_world(api)
    for path, method, operation in list(operations(await document(api)))[:20]:
        if operation["operationId"] not in OPEN:
            answer = await api.call(world.platform, method, nowhere(path))
            assert answer.status_code in {401, 429}, operation["operationId"]


async def test_no_operation_answers_with_a_picture(api: Api) -> None:
    for _, _, operation in operations(await document(api)):
        for answer in operation["responses"].values():
            for media_type in answer.get("content", {}):
                assert not media_type.startswith(("image/", "video/")), operation["operationId"]
                assert media_type in {
                    "application/json",
                    "application/problem+json",
                    "application/pdf",
                    "text/csv",
                    "text/plain",
                    "application/octet-stream",
                }, (operation["operationId"], media_type)


async def secrets_of(administrator_url: str, storage: Path) -> dict[str, bytes]:
    """Everything sealed or wrapped that the deployment holds, by where it lies."""
    administrator = await asyncpg.connect(administrator_url)
    columns = await administrator.fetch(
        "SELECT table_schema || '.' || table_name AS place, column_name FROM information_schema.columns"
        " WHERE table_schema IN ('public', 'keystore') AND data_type = 'bytea' AND (column_name LIKE '%sealed%'"
        " OR column_name LIKE '%wrapped%' OR column_name LIKE '%secret%' OR column_name LIKE '%token%'"
        " OR column_name LIKE '%index%')"
    )
    found: dict[str, bytes] = {}
    for place, column in columns:
        query = f"SELECT {column} FROM {place} WHERE {column} IS NOT NULL"  # noqa: S608 (our own names)
        for number, row in enumerate(await administrator.fetch(query)):
            if len(row[0]) >= 16:
                found[f"{place}.{column}[{number}]"] = bytes(row[0])
    await administrator.close()
    for path in storage.rglob("*"):
        if path.is_file() and path.stat().st_size >= 32:
            found[str(path)] = path.read_bytes()[16:64]
    return found


def holds(body: bytes, secret: bytes) -> bool:
    """Whether the bytes are there, as they are, in hexadecimal or in base 64."""
    piece = secret[:24]
    return (
        piece in body
        or piece.hex().encode() in body.lower()
        or base64.b64encode(piece)[:30] in body
        or base64.urlsafe_b64encode(piece)[:30] in body
    )


# What each operation that changes something is sent; the rest are sent a reason, or nothing where they take no body.
SENT: dict[str, dict[str, Any]] = {
    "create_session": {"email": "canary@operators.example", "password": "a long and quiet one", "code": "000000"},
    "create_invitation": {"name": "New", "email": "new@operators.example", "role": "viewer"},
    "create_tenant": {"name": "Another"},
    "update_tenant": {"name": "Renamed"},
    "change_operator_role": {"role": "support", **WHY},
}
LAST = ("destroy_tenant_keys", "delete_tenant", "remove_operator", "delete_session")


async def changes(api: Api, ids: dict[str, str], people: list[SignedIn]) -> list[tuple[str, httpx.Response]]:
    """What every operation that changes something says, to whoever may do it; what ends something comes last."""
    found: list[tuple[str, httpx.Response]] = []
    by_name = [one for one in operations(await document(api)) if one[1] != "GET"]
    by_name.sort(key=lambda one: LAST.index(name) if (name := one[2]["operationId"]) in LAST else -1)
    for path, method, operation in by_name:
        name = operation["operationId"]
        body = SENT.get(name, WHY) if "requestBody" in operation else None
        for person in people:
            where = nowhere(path.format_map(Known(ids)))
            answer = await api.http.request(method, where, headers=person.headers, json=body)
            if answer.status_code not in {401, 403} or person is people[-1]:
                found.append((name, answer))
                break
    return found


class Known(dict[str, str]):
    """Ids by slot; a slot that nothing fills stays."""

    def __missing__(self, slot: str) -> str:
        return f"{{{slot}}}"


async def answers(api: Api, ids: dict[str, str], people: list[SignedIn]) -> list[tuple[str, httpx.Response]]:
    """What every reading operation says, of what there is, to whoever may read most."""
    found: list[tuple[str, httpx.Response]] = []
    for path, method, operation in operations(await document(api)):
        if method != "GET" or any(slot not in ids for slot in re.findall(r"\{(\w+)\}", path)):
            continue
        for person in people:
            answer = await api.http.get(path.format_map(ids), headers=person.headers)
            if answer.status_code not in {401, 403}:
                found.append((operation["operationId"], answer))
                break
    return found


async def test_no_answer_carries_a_picture_a_key_sealed_bytes_or_a_reference(
    api: Api, administrator_url: str, storage_url: str
) -> None:
    world = await a_world(api)
    reference = "canary-reference-4711"
    await api.call(world.platform, "POST", "/v1/subjects", json={"reference": reference, "display_name": "Canary Q."})
    ada, grace = await an_operator(api.parts), await an_operator(api.parts, Role.PRIVACY_OFFICER)
    asked = await api.http.post(
        "/operator/v1/break-glass",
        headers=ada.headers,
        json={"tenant_id": world.ids["tenant_id"], "reason": "Looking for canaries."},
    )
    approval = asked.json()["id"]
    await api.http.post(f"/operator/v1/approvals/{approval}/approve", headers=grace.headers, json=WHY)
    ids = {**world.ids, "approval_id": approval, "operator_id": f"opr_{grace.id.hex}"}
    seen = await answers(api, ids, [ada, grace])
    assert len(seen) > 20
    changed = await changes(api, ids, [ada, grace])
    assert {name for name, _ in changed} == {
        operation["operationId"] for _, method, operation in operations(await document(api)) if method != "GET"
    }
    done = {name for name, answer in changed if answer.is_success}
    assert len(done) >= 10, {name: answer.text for name, answer in changed if not answer.is_success}
    seen += changed
    assert "list_glass_subjects" in {name for name, answer in seen if answer.status_code == 200}
    secrets = await secrets_of(administrator_url, Path(storage_url.removeprefix("file://")))
    assert len(secrets) > 10
    words = [reference, "canary q", "canary@person.example", "canary-evidence", "hooks.sample.example/likeness?"]
    for name, answer in seen:
        body = answer.content
        assert not answer.headers.get("content-type", "").startswith("image/"), name
        for magic in (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"ftypheic", b"/9j/", b"iVBORw0KGgo"):
            assert magic not in body, name
        for word in words:
            assert word.encode() not in body.lower(), (name, word)
        for place, secret in secrets.items():
            assert not holds(body, secret), (name, place)


def test_what_the_documentation_says_of_roles_is_what_holds() -> None:
    written = (ROOT / "docs" / "operator-access.md").read_text().splitlines()
    said = {line for line in written if re.match(r"\| `(GET|POST|PATCH|PUT|DELETE) /", line)}
    holds_now = set(role_table(CONTROLLERS).splitlines())
    assert len(said) > 40
    assert said <= holds_now, "run: python -m api.operator.table, and put it into docs/operator-access.md"
