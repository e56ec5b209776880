"""Credentials: who passes, who does not, and what the refusal says."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from core.clock import frozen_at, now
from core.tenants import credentials
from core.tenants import service as tenants
from core.tenants.models import Mode, TenantState
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.scenes import Platform, a_person, a_platform


@contextmanager
def counted(*engines: AsyncEngine) -> Iterator[list[str]]:
    """The statements that these engines run in the block."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    for engine in engines:
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        for engine in engines:
            event.remove(engine.sync_engine, "before_cursor_execute", note)


async def _status(api: Api, authorization: str | None) -> tuple[int, str]:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await api.http.get("/v1/tenant", headers=headers)
    return answer.status_code, answer.json().get("code", "")


def _with_typo(key: str) -> str:
    last = key[-10]
    return key[:-10] + ("A" if last != "A" else "B") + key[-9:]


async def test_what_passes_and_what_does_not(api: Api, platform: Platform) -> None:
    key = platform.key
    assert await _status(api, f"Bearer {key}") == (200, "")
    assert await _status(api, f"bearer {key}") == (200, "")
    assert await _status(api, None) == (401, "credential_missing")
    for bad in (
        key,
        f"Basic {key}",
        "Bearer",
        "Bearer ",
        f"Bearer {key[:-1]}",
        f"Bearer {_with_typo(key)}",
        "Bearer ☃",
    ):
        headers = [(b"Authorization", bad.encode())]
        answer = await api.http.get("/v1/tenant", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "credential_invalid"), bad
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_typo_is_refused_by_its_checksum_without_asking_the_database(api: Api, platform: Platform) -> None:
    database = api.parts.database
    with counted(database.app, database.systems, database.keys) as statements:
        assert (await _status(api, f"Bearer {_with_typo(platform.key)}"))[0] == 401
        assert statements == []
        assert (await _status(api, f"Bearer {platform.key}"))[0] == 200
        assert statements != []


async def test_a_key_whose_secret_is_another_is_refused(api: Api, platform: Platform) -> None:
    other = await a_platform(api.parts)
    swapped = credentials.mint(platform.caller.api_key_id, Mode.LIVE)[0]
    assert await _status(api, f"Bearer {swapped}") == (401, "credential_invalid")
    assert await _status(api, f"Bearer {other.key}") == (200, "")


async def test_two_keys_live_while_one_rotates_and_the_old_one_ends(api: Api, platform: Platform) -> None:
    made = (await api.call(platform, "POST", "/v1/api-keys", json={"name": "backend"})).json()
    rotated = await api.call(platform, "POST", f"/v1/api-keys/{made['id']}/rotate", json={"overlap_seconds": 3600})
    new = rotated.json()
    assert (rotated.status_code, new["replaces"], new["scopes"]) == (201, made["id"], made["scopes"])
    for key in (made["key"], new["key"]):
        assert await _status(api, f"Bearer {key}") == (200, "")
    with frozen_at(now() + timedelta(seconds=3601)):
        assert await _status(api, f"Bearer {made['key']}") == (401, "credential_expired")
        assert await _status(api, f"Bearer {new['key']}") == (200, "")


async def test_a_revoked_key_ends_at_once_and_stays_listed(api: Api, platform: Platform) -> None:
    made = (await api.call(platform, "POST", "/v1/api-keys", json={"name": "leaked"})).json()
    revoked = await api.call(platform, "DELETE", f"/v1/api-keys/{made['id']}")
    assert (revoked.status_code, revoked.json()["revoked_at"] is not None) == (200, True)
    assert await _status(api, f"Bearer {made['key']}") == (401, "credential_invalid")
    listed = (await api.call(platform, "GET", "/v1/api-keys")).json()["data"]
    assert made["id"] in {key["id"] for key in listed}
    assert all("key" not in key for key in listed)


async def test_an_expired_key_says_so(api: Api, platform: Platform) -> None:
    ends = (now() + timedelta(hours=1)).isoformat()
    made = (await api.call(platform, "POST", "/v1/api-keys", json={"name": "short", "expires_at": ends})).json()
    with frozen_at(now() + timedelta(hours=2)):
        assert await _status(api, f"Bearer {made['key']}") == (401, "credential_expired")


@pytest.mark.parametrize("moment", ["2001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"])
async def test_a_key_cannot_expire_in_the_past_or_the_far_future(api: Api, platform: Platform, moment: str) -> None:
    answer = await api.call(platform, "POST", "/v1/api-keys", json={"name": "odd", "expires_at": moment})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "expires_at"


async def test_a_key_without_the_scope_is_told_which_one_it_lacks(api: Api, platform: Platform) -> None:
    body = {"name": "narrow", "scopes": ["subjects:read"]}
    narrow = (await api.call(platform, "POST", "/v1/api-keys", json=body)).json()["key"]
    headers = {"Authorization": f"Bearer {narrow}"}
    assert (await api.http.get("/v1/subjects", headers=headers)).status_code == 200
    refused = await api.http.post("/v1/subjects", headers=headers, json={"reference": "x"})
    assert (refused.status_code, refused.json()["required_scope"]) == (403, "subjects:write")


async def test_a_key_hands_on_no_scope_that_it_has_not(api: Api, platform: Platform) -> None:
    body = {"name": "manager", "scopes": ["api_keys:write", "subjects:read"]}
    manager = {"Authorization": f"Bearer {(await api.call(platform, 'POST', '/v1/api-keys', json=body)).json()['key']}"}
    refused = await api.http.post("/v1/api-keys", headers=manager, json={"name": "up", "scopes": ["erasure:write"]})
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    own = await api.http.post("/v1/api-keys", headers=manager, json={"name": "same"})
    assert own.json()["scopes"] == ["api_keys:write", "subjects:read"]
    broad = await api.call(platform, "POST", "/v1/api-keys", json={"name": "broad"})
    path = f"/v1/api-keys/{broad.json()['id']}/rotate"
    assert (await api.http.post(path, headers=manager)).status_code == 403


async def test_a_sandbox_key_makes_no_live_key(api: Api) -> None:
    sandbox = await a_platform(api.parts, mode=Mode.TEST)
    refused = await api.call(sandbox, "POST", "/v1/api-keys", json={"name": "up", "mode": "live"})
    assert refused.status_code == 422
    made = await api.call(sandbox, "POST", "/v1/api-keys", json={"name": "same", "mode": "test"})
    assert made.json()["key"].startswith("lk_test_")


async def test_a_suspended_tenant_reads_and_erases_and_starts_nothing(api: Api, platform: Platform) -> None:
    subject_id = await a_person(api.parts, platform)
    await tenants.set_state(api.parts.database, tenant_id=platform.tenant_id, state=TenantState.SUSPENDED, actor="test")
    assert (await api.call(platform, "GET", "/v1/subjects")).status_code == 200
    refused = await api.call(platform, "POST", "/v1/subjects", json={"reference": "x"})
    assert (refused.status_code, refused.json()["code"]) == (403, "tenant_suspended")
    assert (await api.call(platform, "DELETE", f"/v1/subjects/sub_{subject_id.hex}")).status_code == 202


async def test_the_operator_token_is_compared_by_its_hash(api: Api) -> None:
    for token, status in ((OPERATOR_TOKEN, 200), (OPERATOR_TOKEN + "x", 401), ("", 401)):
        answer = await api.http.get("/operator/v1/tenants", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status
