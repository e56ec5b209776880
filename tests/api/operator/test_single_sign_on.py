"""ID tokens of a real provider over HTTP: what passes, and everything that does not."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import select

from core.clock import frozen_at, now
from core.operators import oidc
from core.operators.models import OperatorSession
from core.operators.service import Role
from core.settings import OperatorSettings, Settings
from tests.api.conftest import OPERATOR_TOKEN, Api, served
from tests.api.operator.provider import CLIENT, Provider, a_provider
from tests.operating import an_operator

MACHINE = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with a_provider() as found:
        yield found


@pytest.fixture
async def api(api_environment: Settings, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setenv("LIKENESS_OPERATORS_OIDC_ISSUER", provider.issuer)
    monkeypatch.setenv("LIKENESS_OPERATORS_OIDC_AUDIENCES", json.dumps([CLIENT, "another-console"]))
    monkeypatch.setenv("LIKENESS_OPERATORS_PASSWORD_SIGN_IN", "false")
    async with served(Settings()) as found:
        yield found


async def me(api: Api, token: str) -> httpx.Response:
    return await api.http.get("/operator/v1/session", headers={"Authorization": f"Bearer {token}"})


async def said(api: Api, token: str) -> tuple[int, str]:
    answer = await me(api, token)
    return answer.status_code, answer.json().get("code", "")


async def joined(api: Api, provider: Provider, *, role: Role = Role.VIEWER, subject: str = "ada") -> dict[str, Any]:
    body = {"name": "Ada", "email": f"{subject}@operators.example", "role": role.value}
    invited = (await api.http.post("/operator/v1/invitations", headers=MACHINE, json=body)).json()
    headers = {"Authorization": f"Bearer {provider.token(subject=subject)}"}
    linked = await api.http.post("/operator/v1/invitations/link", headers=headers, json={"token": invited["token"]})
    assert linked.status_code == 200, linked.text
    found: dict[str, Any] = linked.json()
    return found


async def test_an_invitation_is_linked_once_and_the_role_is_ours(api: Api, provider: Provider) -> None:
    stranger = provider.token()
    assert await said(api, stranger) == (403, "operator_unknown")
    operator = await joined(api, provider)
    seen = await me(api, provider.token())  # its claim says admin; our table says viewer
    assert seen.json() == operator | {"via": "oidc", "role": "viewer"}
    refused = await api.http.post(
        "/operator/v1/tenants", headers={"Authorization": f"Bearer {provider.token()}"}, json={"name": "x"}
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")
    assert await said(api, provider.token(subject="somebody else")) == (403, "operator_unknown")


async def test_a_token_that_is_not_all_that_it_must_be_opens_nothing(api: Api, provider: Provider) -> None:
    await joined(api, provider)
    moment = int(now().timestamp())
    wrong = {
        "issuer": provider.token(iss="https://elsewhere.example"),
        "audience": provider.token(aud="another client"),
        "no audience": provider.token(aud=None),
        "authorised party": provider.token(aud=[CLIENT, "x"], azp="x"),
        "two audiences, no party": provider.token(aud=[CLIENT, "x"]),
        "no nonce": provider.token(nonce=None),
        "empty nonce": provider.token(nonce=""),
        "no subject": provider.token(sub=None),
        "no expiry": provider.token(exp=None),
        "no time of issue": provider.token(iat=None),
        "from the future": provider.token(iat=moment + 3600, exp=moment + 7200),
        "another key": _resigned(provider),
        "no signature": _unsigned(provider.token()),
        "a shared secret": provider.forged(),
        "changed": _changed(provider.token()),
        "endless": provider.token(padding="x" * 20_000),
    }
    for what, token in wrong.items():
        assert await said(api, token) == (401, "credential_invalid"), what
    assert await said(api, provider.token(iat=moment - 7200, exp=moment - 120)) == (401, "credential_expired")
    assert (await said(api, provider.token(aud=[CLIENT, "x"], azp=CLIENT)))[0] == 200
    assert (await said(api, provider.token(exp=moment - 30)))[0] in {200, 401}  # within the leeway of the clocks


async def test_a_nonce_goes_with_one_token_alone(api: Api, provider: Provider) -> None:
    await joined(api, provider)
    nonce = "the nonce of one sign-in"
    first, second = provider.token(nonce=nonce, jti="1"), provider.token(nonce=nonce, jti="2")
    assert (await said(api, first))[0] == 200
    assert (await said(api, first))[0] == 200
    assert await said(api, second) == (401, "credential_invalid")


async def test_signing_out_ends_every_token_that_was_issued_before(api: Api, provider: Provider) -> None:
    await joined(api, provider)
    used, unused = provider.token(), provider.token()
    assert (await said(api, used))[0] == 200
    out = await api.http.delete("/operator/v1/session", headers={"Authorization": f"Bearer {used}"})
    assert out.status_code == 204
    assert await said(api, used) == (401, "session_expired")
    assert await said(api, unused) == (401, "session_expired")
    with frozen_at(now() + timedelta(seconds=2)):
        assert (await said(api, provider.token()))[0] == 200


async def test_a_long_lived_token_does_not_come_back_when_its_row_is_gone(api: Api, provider: Provider) -> None:
    await joined(api, provider)
    token = provider.token(exp=int((now() + timedelta(days=10)).timestamp()))
    assert (await said(api, token))[0] == 200
    with frozen_at(now() + timedelta(days=2)):
        assert (await said(api, provider.token()))[0] == 200  # whoever comes later has the old rows deleted
        async with api.parts.database.operator() as session:
            assert len((await session.exec(select(OperatorSession))).all()) == 1
        assert await said(api, token) == (401, "session_expired")


async def test_a_session_of_a_token_ends_unused_and_with_its_operator(api: Api, provider: Provider) -> None:
    operator = await joined(api, provider)
    admin = await an_operator(api.parts)
    token = provider.token()
    assert (await said(api, token))[0] == 200
    with frozen_at(now() + timedelta(minutes=31)):
        assert await said(api, token) == (401, "session_expired")
    fresh = provider.token()
    removed = await api.http.delete(f"/operator/v1/operators/{operator['id']}", headers=admin.headers)
    assert removed.status_code == 204
    assert await said(api, fresh) == (403, "operator_unknown")


async def test_keys_are_kept_and_looked_for_again_when_the_provider_rotates(
    api: Api, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await joined(api, provider)
    for _ in range(3):
        assert (await said(api, provider.token()))[0] == 200
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]
    old = provider.token()
    provider.rotate()
    # Right after the last look a key that is not known is not looked for: nobody makes us ask the provider endlessly.
    assert await said(api, provider.token()) == (401, "credential_invalid")
    assert len(provider.asked) == 2
    monkeypatch.setattr(oidc, "_AGAIN_SECONDS", 0.0)
    assert (await said(api, provider.token()))[0] == 200
    assert await said(api, old) == (401, "credential_invalid")
    provider.away = True
    assert (await said(api, provider.token()))[0] == 200


async def test_a_provider_that_is_away_or_another_is_not_believed(api: Api, provider: Provider) -> None:
    provider.away = True
    answer = await me(api, provider.token())
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    provider.away, provider.calls_itself = False, "https://elsewhere.example"
    assert (await me(api, provider.token())).status_code == 503


async def test_passwords_can_be_turned_off(api: Api) -> None:
    body = {"email": "a@operators.example", "password": "a long and quiet sentence", "code": "000000"}
    answer = await api.http.post("/operator/v1/sessions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_where_passwords_are_off_nobody_joins_by_one_past_the_provider(api: Api) -> None:
    invited = {"name": "Ada", "email": "a@operators.example", "role": "admin"}
    token = (await api.http.post("/operator/v1/invitations", headers=MACHINE, json=invited)).json()["token"]
    for path, body in (("accept", {"password": "a long and quiet sentence"}), ("confirm", {"code": "000000"})):
        answer = await api.http.post(f"/operator/v1/invitations/{path}", json={"token": token, **body})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path


def test_a_deployment_in_which_nobody_could_sign_in_does_not_start() -> None:
    with pytest.raises(ValueError, match="nobody could sign in"):
        OperatorSettings(password_sign_in=False)
    with pytest.raises(ValueError, match="oidc_audiences"):
        OperatorSettings(oidc_issuer="https://id.example")
    assert not oidc.allowed_url("http://id.example")
    assert oidc.allowed_url("https://id.example")


def _resigned(provider: Provider) -> str:
    with a_provider() as other:
        other.keys[0] = other.keys[0].import_key(
            {**dict(other.keys[0].as_dict(private=True)), "kid": str(provider.keys[0].kid)}
        )
        return other.token(iss=provider.issuer)


def _unsigned(token: str) -> str:
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


def _changed(token: str) -> str:
    header, claims, signature = token.split(".")
    plain = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    plain["sub"] = "grace"
    changed = base64.urlsafe_b64encode(json.dumps(plain).encode()).rstrip(b"=").decode()
    return f"{header}.{changed}.{signature}"
