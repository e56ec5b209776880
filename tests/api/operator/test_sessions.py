"""Operators come in with a link, a password and a code; and are out at once when they sign out."""

import base64
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import httpx
import pytest
from sqlalchemy import event, text
from sqlmodel import select

from core.clock import frozen_at, now
from core.keyring.service import Keyring
from core.operators import invite, passwords, staff, totp
from core.operators.models import OperatorAccount, OperatorSession
from core.operators.service import Role
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.operating import an_operator

PASSWORD = "a long and quiet sentence"
EMAIL = "ada.canary@operators.example"
MACHINE = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}


def code_of(enrolment: dict[str, Any], *, later: int = 0) -> str:
    secret = parse_qs(urlsplit(enrolment["otpauth_uri"]).query)["secret"][0]
    assert secret == enrolment["secret"]
    return totp.code_at(base64.b32decode(secret), now() + timedelta(seconds=later))


async def the_first_admin(api: Api, *, email: str = EMAIL) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the authenticator holds, and the first session."""
    token = await invite.first_link(api.parts.database, api.parts.keyring)
    assert token is not None
    body = {"token": token, "password": PASSWORD, "name": "Ada Canary", "email": email}
    accepted = await api.http.post("/operator/v1/invitations/accept", json=body)
    assert accepted.status_code == 200, accepted.text
    code = code_of(accepted.json())
    confirmed = await api.http.post("/operator/v1/invitations/confirm", json={"token": token, "code": code})
    assert confirmed.status_code == 201, confirmed.text
    return accepted.json(), confirmed.json()


async def sign_in(api: Api, code: str, *, email: str = EMAIL, password: str = PASSWORD) -> httpx.Response:
    return await api.http.post("/operator/v1/sessions", json={"email": email, "password": password, "code": code})


def bearer(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['token']}"}


async def who_am_i(api: Api, session: dict[str, Any]) -> httpx.Response:
    return await api.http.get("/operator/v1/session", headers=bearer(session))


async def test_the_first_link_makes_an_admin_once(api: Api) -> None:
    enrolment, session = await the_first_admin(api)
    assert enrolment["otpauth_uri"].startswith("otpauth://totp/")
    assert len(session["recovery_codes"]) == 8
    me = await who_am_i(api, session)
    assert me.json() == session["operator"]
    assert (me.json()["role"], me.json()["via"], me.json()["name"]) == ("admin", "session", "Ada Canary")
    assert await invite.first_link(api.parts.database, api.parts.keyring) is None


async def test_a_link_is_good_once_and_for_an_hour_and_the_newest_alone(api: Api) -> None:
    old = await invite.first_link(api.parts.database, api.parts.keyring)
    new = await invite.first_link(api.parts.database, api.parts.keyring)
    body = {"password": PASSWORD, "name": "Ada", "email": EMAIL}

    async def accept(token: str | None) -> str:
        answer = await api.http.post("/operator/v1/invitations/accept", json={"token": token, **body})
        return str(answer.json().get("code", answer.status_code))

    assert await accept(old) == "invitation_unknown"
    assert await accept("lkoi_nothing") == "invitation_unknown"
    with frozen_at(now() + timedelta(hours=1, seconds=1)):
        assert await accept(new) == "invitation_unknown"
    assert await accept(new) == "200"
    refused = await api.http.post("/operator/v1/invitations/confirm", json={"token": new, "code": "000000"})
    assert (refused.status_code, refused.json()["code"]) == (401, "sign_in_refused")
    async with api.parts.database.operator() as session:
        assert (await session.exec(select(OperatorAccount))).all() == []


async def test_the_first_link_makes_no_second_admin_past_an_operator_who_came_another_way(api: Api) -> None:
    token = await invite.first_link(api.parts.database, api.parts.keyring)
    await an_operator(api.parts)
    body = {"token": token, "password": PASSWORD, "name": "Mallory", "email": "m@x.example"}
    late = await api.http.post("/operator/v1/invitations/accept", json=body)
    assert (late.status_code, late.json()["code"]) == (404, "invitation_unknown")


async def test_a_password_that_everybody_would_guess_is_refused(api: Api) -> None:
    token = await invite.first_link(api.parts.database, api.parts.keyring)
    for weak in ("short", "aaaaaaaaaaaaaaaaaaaa", "adacanary-adacanary", EMAIL):
        body = {"token": token, "password": weak, "name": "adacanary", "email": EMAIL}
        answer = await api.http.post("/operator/v1/invitations/accept", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "password_weak"), weak


async def test_signing_in_takes_password_and_code_and_a_code_is_good_once(api: Api) -> None:
    enrolment, _ = await the_first_admin(api)
    assert (await sign_in(api, code_of(enrolment))).json()["code"] == "sign_in_refused"  # used by the confirmation
    code = code_of(enrolment, later=30)
    begun = await sign_in(api, code, email=f"  {EMAIL.upper()} ")
    assert begun.status_code == 201
    assert (await who_am_i(api, begun.json())).status_code == 200
    again = await sign_in(api, code)
    assert (again.status_code, again.json()["code"]) == (401, "sign_in_refused")


async def test_whatever_is_wrong_the_answer_is_the_same(api: Api) -> None:
    enrolment, _ = await the_first_admin(api)
    code = code_of(enrolment, later=30)
    answers = [
        await sign_in(api, code, email="nobody@operators.example"),
        await sign_in(api, code, password="another long and quiet sentence"),
        await sign_in(api, "000000"),
        await sign_in(api, "AAAA-AAAA-AAAA-AAAA"),
    ]
    said = {(one.status_code, one.json()["code"], one.json()["detail"]) for one in answers}
    assert said == {(401, "sign_in_refused", "The e-mail address, the password or the code is not right.")}


async def test_whatever_is_wrong_the_work_is_the_same(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    enrolment, _ = await the_first_admin(api)
    code = code_of(enrolment, later=30)
    await sign_in(api, code, email="nobody@operators.example")  # what is made once is made
    work: list[str] = []
    engine = api.parts.database.operators
    assert engine is not None
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *told: work.append(told[2]))
    opened, verify = staff.opened, passwords._verify

    async def opening(keyring: Keyring, field: str, operator_id: UUID, sealed: bytes) -> bytes:
        work.append(f"open {field}")
        return await opened(keyring, field, operator_id, sealed)

    def verifying(password: bytes, stored: str) -> bool:
        work.append(f"verify {stored.rsplit('$', 2)[0]}")
        return verify(password, stored)

    monkeypatch.setattr(staff, "opened", opening)
    monkeypatch.setattr(passwords, "_verify", verifying)
    done = []
    for wrong in (
        {"code": code, "email": "nobody@operators.example"},
        {"code": code, "password": "another long and quiet sentence"},
        {"code": "000000"},
    ):
        work.clear()
        assert (await sign_in(api, **wrong)).status_code == 401
        # Attempts are counted before anything is looked at; which columns of a count change is no news of the account.
        done.append([one for one in work if "sign_in_attempt" not in one])
    assert "open totp" in done[0]
    assert done[0] == done[1] == done[2]
    assert (await sign_in(api, code)).status_code == 201  # what a wrong password came with is not used up


async def test_a_recovery_code_opens_once(api: Api) -> None:
    _, session = await the_first_admin(api)
    code = session["recovery_codes"][3]
    assert (await sign_in(api, code.lower())).status_code == 201
    assert (await sign_in(api, code)).status_code == 401
    assert (await sign_in(api, session["recovery_codes"][0])).status_code == 201


async def test_signing_out_ends_every_tab(api: Api) -> None:
    enrolment, first = await the_first_admin(api)
    second = (await sign_in(api, code_of(enrolment, later=30))).json()
    other = await an_operator(api.parts)
    assert (await api.http.delete("/operator/v1/session", headers=bearer(second))).status_code == 204
    for session in (first, second):
        answer = await who_am_i(api, session)
        assert (answer.status_code, answer.json()["code"]) == (401, "session_expired")
    assert (await api.http.get("/operator/v1/session", headers=other.headers)).status_code == 200


async def test_a_session_ends_unused_after_half_an_hour_and_in_any_case_after_twelve(api: Api) -> None:
    operator = await an_operator(api.parts)
    begun = now()

    async def status(minutes: int) -> int:
        with frozen_at(begun + timedelta(minutes=minutes)):
            return (await api.http.get("/operator/v1/session", headers=operator.headers)).status_code

    assert [await status(minute) for minute in range(25, 720, 25)] == [200] * 28
    assert await status(719) == 200
    assert await status(721) == 401
    idle = await an_operator(api.parts)
    with frozen_at(begun + timedelta(minutes=31)):
        answer = await api.http.get("/operator/v1/session", headers=idle.headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "session_expired")


async def test_guessing_gets_slower_even_where_there_is_nobody(api: Api) -> None:
    async def guess() -> httpx.Response:
        return await sign_in(api, "000000", email="nobody@operators.example")

    begun = now()
    with frozen_at(begun):
        assert [(await guess()).status_code for _ in range(7)] == [401] * 5 + [429] * 2
    with frozen_at(begun + timedelta(seconds=16)):
        assert (await guess()).status_code == 401
        again = await guess()
    assert again.status_code == 429
    assert 15 < int(again.headers["retry-after"]) <= 30


async def test_nobody_who_may_read_the_database_finds_an_address_or_a_token(api: Api, administrator_url: str) -> None:
    _, session = await the_first_admin(api)
    administrator = await asyncpg.connect(administrator_url)
    for table in ("operator", "operator_session", "operator_invitation", "sign_in_attempt", "operator_act"):
        for row in await administrator.fetch(f"SELECT t::text AS held FROM {table} AS t"):  # noqa: S608 (our own names)
            held = row["held"].casefold()
            assert EMAIL not in held
            assert EMAIL.encode().hex() not in held
            assert session["token"].casefold() not in held
            assert PASSWORD not in held
    await administrator.close()


@pytest.mark.parametrize("table", ["operator", "operator_session", "operator_invitation", "operator_act"])
async def test_no_other_role_of_ours_reads_who_runs_the_service(api: Api, table: str) -> None:
    for engine in (api.parts.database.app, api.parts.database.systems, api.parts.database.keys):
        async with engine.connect() as connection:
            with pytest.raises(Exception, match=r"permission denied|does not exist"):
                await connection.execute(text(f"SELECT 1 FROM {table}"))  # noqa: S608 (our own names)


async def test_an_invited_operator_gets_the_role_of_the_invitation(api: Api) -> None:
    body = {"name": "Grace", "email": "grace@operators.example", "role": "support"}
    made = await api.http.post("/operator/v1/invitations", headers=MACHINE, json=body)
    assert made.status_code == 201
    accepted = await api.http.post(
        "/operator/v1/invitations/accept",
        json={"token": made.json()["token"], "password": PASSWORD, "name": "Mallory", "email": "m@x.example"},
    )
    assert (accepted.json()["name"], accepted.json()["role"]) == ("Grace", "support")
    confirmed = await api.http.post(
        "/operator/v1/invitations/confirm",
        json={"token": made.json()["token"], "code": code_of(accepted.json())},
    )
    assert confirmed.json()["operator"]["role"] == Role.SUPPORT
    again = await api.http.post("/operator/v1/invitations", headers=MACHINE, json=body)
    assert (again.status_code, again.json()["code"]) == (409, "email_taken")


async def test_strangers_are_counted(api: Api) -> None:
    statuses = []
    for number in range(62):
        headers = {"Authorization": f"Bearer lkos_{number}"}
        statuses.append((await api.http.get("/operator/v1/session", headers=headers)).status_code)
    assert statuses[0] == 401
    assert 429 in statuses[60:] or 429 in statuses  # the minute may have turned in between
    assert re.search(r"q=60", (await api.http.get("/operator/v1/session")).headers["ratelimit-policy"])


async def test_a_session_is_only_ever_stored_as_a_hash(api: Api) -> None:
    operator = await an_operator(api.parts)
    async with api.parts.database.operator() as session:
        found = (await session.exec(select(OperatorSession))).one()
    assert len(found.token_sha256) == 32
    assert operator.headers["Authorization"].removeprefix("Bearer ").encode() not in found.token_sha256
