"""Errors: one form, a stable code, and not a word of what was sent."""

import logging
from typing import Any

import httpx
import pytest
from litestar import get
from litestar.datastructures import State

from api.edge import Edge
from api.metrics import Metrics
from api.problems import HANDLERS, PROBLEM_JSON
from core.errors import IntegrityError, catalogue
from core.settings import Settings
from tests.api.conftest import Api, served
from tests.operating import an_operator
from tests.scenes import Platform, a_person, a_platform

CANARY = "canary-7f3a"


def _check_form(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == PROBLEM_JSON
    body: dict[str, Any] = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"] == body["docs"] == f"http://likeness.test/docs/errors#{body['code']}"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    return body


async def test_what_the_database_cannot_keep_is_refused_at_the_edge(api: Api, platform: Platform) -> None:
    ada = await an_operator(api.parts)
    where = f"/operator/v1/tenants/ten_{platform.tenant_id.hex}"
    for text, status, code in (
        (r"They \u0000 asked.", 422, "validation_failed"),
        (r"They \\\u0000 asked.", 422, "validation_failed"),
        (r"They \ud800 asked.", 400, "malformed_request"),
        (r"They \\u0000 asked.", 202, None),  # a backslash, and then plain letters
    ):
        body = f'{{"state":"suspended","reason":"{text}"}}'
        headers = ada.headers | {"Content-Type": "application/json"}
        answer = await api.http.patch(where, headers=headers, content=body)
        assert (answer.status_code, answer.json().get("code")) == (status, code), text
    for address in (
        "/operator/v1/jobs?state=%00",
        "/operator/v1/approvals?cursor=a%00b",
        "/operator/v1/tenants/ten_%00",
    ):
        assert (await api.http.get(address, headers=ada.headers)).status_code in {400, 404}, address
    query = await api.call(platform, "GET", "/v1/subjects?reference=a%00b")
    assert (query.status_code, _check_form(query)["code"]) == (400, "malformed_request")


async def test_unknown_routes_and_methods_are_problems_too(api: Api, platform: Platform) -> None:
    unknown = await api.http.get("/v1/nothing-here")
    assert (unknown.status_code, _check_form(unknown)["code"]) == (404, "route_unknown")
    wrong = await api.call(platform, "PUT", "/v1/subjects")
    assert (wrong.status_code, _check_form(wrong)["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET, OPTIONS, POST"
    options = await api.http.options(f"/v1/subjects/sub_{'0' * 32}")
    assert options.headers["allow"] == "DELETE, GET, OPTIONS, PATCH"


BODIES: dict[str, tuple[Any, int, str]] = {
    "wrong type": ({"reference": 5}, 422, "reference"),
    "missing": ({"display_name": CANARY}, 422, "body"),
    "unknown field": ({"reference": "r", CANARY: 1}, 422, "body"),
    "too long": ({"reference": CANARY * 50}, 422, "reference"),
    "control characters": ({"reference": f"{CANARY}\x00"}, 422, "reference"),
    "no address": ({"reference": "r", "email": CANARY}, 422, "email"),
    "not an object": ([CANARY], 422, "body"),
}


@pytest.mark.parametrize("case", BODIES.values(), ids=BODIES.keys())
async def test_a_refused_field_is_named_and_its_value_is_not(
    api: Api, platform: Platform, case: tuple[Any, int, str]
) -> None:
    body, status, field = case
    answer = await api.call(platform, "POST", "/v1/subjects", json=body)
    found = _check_form(answer)
    assert (answer.status_code, found["code"]) == (status, "validation_failed")
    assert [error["field"] for error in found["errors"]] == [field]
    assert CANARY not in answer.text


async def test_a_value_outside_an_enumeration_is_not_echoed(api: Api, platform: Platform) -> None:
    subject_id = await a_person(api.parts, platform)
    body = {"purpose": CANARY, "notice_id": "ntc_0"}
    answer = await api.call(platform, "POST", f"/v1/subjects/sub_{subject_id.hex}/consents", json=body)
    assert answer.json()["errors"] == [{"field": "purpose", "message": "This is not one of the allowed values."}]


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b'{"reference": "\\ud800"}', f'{{"{CANARY}'.encode(), b"[" * 5000])
async def test_a_body_that_is_no_json_is_malformed(api: Api, platform: Platform, raw: bytes) -> None:
    answer = await api.call(platform, "POST", "/v1/subjects", content=raw)
    assert answer.status_code in {400, 422}
    _check_form(answer)
    assert CANARY not in answer.text


async def test_a_json_body_has_a_cap(api: Api, platform: Platform) -> None:
    answer = await api.call(platform, "POST", "/v1/subjects", content=b" " * (1024 * 1024 + 1))
    assert (answer.status_code, _check_form(answer)["max_bytes"]) == (413, 1024 * 1024)


async def test_a_sender_who_hangs_up_is_no_error_of_ours(
    api: Api, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[Any] = [{"type": "http.request", "body": b'{"ref', "more_body": True}, {"type": "http.disconnect"}]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/subjects",
        "raw_path": b"/v1/subjects",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("likeness.test", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(b"authorization", f"Bearer {platform.key}".encode())],
    }

    async def receive() -> Any:
        return heard.pop(0)

    async def send(_message: Any) -> None:
        pass

    app: Any = api.app
    await app(scope, receive, send)
    assert '"level": "error"' not in capsys.readouterr().out


async def test_json_is_read_under_the_content_type_that_curl_sends(api: Api, platform: Platform) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    made = await api.call(platform, "POST", "/v1/subjects", content=b'{"reference": "r"}', headers=headers)
    assert made.status_code == 201


@get("/broken", sync_to_thread=False)
def broken() -> None:
    raise IntegrityError(CANARY)


async def test_the_unexpected_is_a_plain_500_logged_by_type_and_place(caplog: pytest.LogCaptureFixture) -> None:
    state = State({"metrics": Metrics(), "public_url": "http://likeness.test"})
    app = Edge(route_handlers=[broken], exception_handlers=HANDLERS, state=state, logging_config=None)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://likeness.test") as http:
        answer = await http.get("/broken")
    assert (answer.status_code, _check_form(answer)["code"]) == (500, "internal_error")
    assert CANARY not in answer.text
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.__dict__["error_type"], record.exc_info) == ("IntegrityError", None)
    assert record.__dict__["place"].startswith("tests/api/test_problems.py:")
    assert CANARY not in caplog.text


async def test_a_database_that_is_away_is_a_503_that_says_when_to_come_back(
    api_environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(api_environment) as api:
        platform = await a_platform(api.parts)
    monkeypatch.setenv("LIKENESS_DATABASE_SYSTEM_URL", "postgresql://nobody:nothing@127.0.0.1:1/nowhere")
    async with served(Settings()) as api:
        answer = await api.call(platform, "GET", "/v1/tenant")
    assert (answer.status_code, _check_form(answer)["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]


async def test_the_catalogue_has_an_entry_for_every_code(api: Api) -> None:
    page = (await api.http.get("/docs/errors")).text
    for error in catalogue():
        assert f'id="{error.code}"' in page


async def test_every_answer_carries_the_security_headers(api: Api, platform: Platform) -> None:
    for path in ("/v1/tenant", "/v1/subjects/none", "/nothing", "/docs", "/health/live"):
        headers = (await api.call(platform, "GET", path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-request-id"].startswith("req_")
        assert "default-src 'none'" in headers["content-security-policy"]
        if path.startswith("/v1"):
            assert headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in headers


async def test_over_https_browsers_are_told_to_stay_there(
    api_environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_API_PUBLIC_URL", "https://api.likeness.test")
    async with served(Settings()) as api:
        headers = (await api.http.get("/health/live")).headers
        assert headers["strict-transport-security"].startswith("max-age=")
