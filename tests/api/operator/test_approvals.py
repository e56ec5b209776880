"""Four eyes: nobody does alone what hurts, and the database agrees."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from api.operator.approvals import ground
from core.audit.models import AuditEntry
from core.clock import frozen_at, now
from core.errors import RoleMissing
from core.ids import Prefix, parse
from core.operators import proposals, record
from core.operators.models import OperatorAct, OperatorInvitation
from core.operators.service import Role
from core.webhooks.models import Event
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.operating import SignedIn, an_operator
from tests.scenes import Platform, a_ready_person

MACHINE = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
WHY = {"reason": "They asked for it."}


async def suspension(api: Api, platform: Platform, who: dict[str, str]) -> dict[str, Any]:
    path = f"/operator/v1/tenants/ten_{platform.tenant_id.hex}"
    asked = await api.http.patch(path, headers=who, json={"state": "suspended", **WHY})
    assert asked.status_code == 202, asked.text
    found: dict[str, Any] = asked.json()
    return found


async def decide(api: Api, who: SignedIn, approval: dict[str, Any], how: str = "approve") -> httpx.Response:
    body = None if how in {"withdraw", "retry"} else WHY
    return await api.http.post(f"/operator/v1/approvals/{approval['id']}/{how}", headers=who.headers, json=body)


async def state_of(api: Api, platform: Platform) -> str:
    answer = await api.http.get(f"/operator/v1/tenants/ten_{platform.tenant_id.hex}", headers=MACHINE)
    return str(answer.json()["tenant"]["state"])


async def test_a_machine_proposes_nothing_lest_its_holder_be_two(api: Api, platform: Platform) -> None:
    ada = await an_operator(api.parts)
    tenant = f"ten_{platform.tenant_id.hex}"
    path = f"/operator/v1/tenants/{tenant}"
    asked = [
        await api.http.patch(path, headers=MACHINE, json={"state": "suspended", **WHY}),
        await api.http.patch(path, headers=MACHINE, json={"credits": 60_000, **WHY}),
        await api.http.post(f"{path}/keys/destroy", headers=MACHINE, json=WHY),
        await api.http.post(f"{path}/delete", headers=MACHINE, json={"without_archive": True, **WHY}),
        await api.http.post("/operator/v1/break-glass", headers=MACHINE, json={"tenant_id": tenant, **WHY}),
        await api.http.post(
            f"/operator/v1/operators/opr_{ada.id.hex}/role", headers=MACHINE, json={"role": "viewer", **WHY}
        ),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in asked} == {(403, "second_person_needed")}
    assert (await api.http.get("/operator/v1/approvals", headers=MACHINE)).json()["data"] == []
    assert (await api.http.patch(path, headers=MACHINE, json={"credits": 200})).status_code == 200  # what takes one


async def test_nobody_approves_their_own_and_a_machine_approves_nothing(api: Api, platform: Platform) -> None:
    ada, grace = await an_operator(api.parts, name="Ada"), await an_operator(api.parts, Role.PRIVACY_OFFICER)
    asked = await suspension(api, platform, ada.headers)
    assert asked["may_decide"] is False
    for how in ("approve", "refuse"):
        own = await decide(api, ada, asked, how)
        assert (own.status_code, own.json()["code"]) == (403, "second_person_needed")
        path = f"/operator/v1/approvals/{asked['id']}/{how}"
        machine = await api.http.post(path, headers=MACHINE, json=WHY)
        assert (machine.status_code, machine.json()["code"]) == (403, "second_person_needed")
    assert await state_of(api, platform) == "active"
    done = (await decide(api, grace, asked)).json()
    assert (done["state"], done["decided_by"]["name"], done["proposed_by"]["name"]) == (
        "executed",
        "Canary Operator",
        "Ada",
    )
    assert await state_of(api, platform) == "suspended"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.SUPPORT])
async def test_a_role_that_may_not_approve_does_not(api: Api, platform: Platform, role: Role) -> None:
    asked = await suspension(api, platform, (await an_operator(api.parts)).headers)
    other = await an_operator(api.parts, role)
    refused = await decide(api, other, asked)
    assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")
    assert refused.json()["required_roles"] == ["privacy_officer", "admin"]


async def test_two_approvals_at_once_execute_once(api: Api, platform: Platform) -> None:
    asked = await suspension(api, platform, (await an_operator(api.parts)).headers)
    ada, grace = await an_operator(api.parts), await an_operator(api.parts)
    answers = await asyncio.gather(*(decide(api, who, asked) for who in (ada, grace) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    async with api.parts.database.tenant(platform.tenant_id) as session:
        kinds = [event.type for event in (await session.exec(select(Event))).all()]
    assert kinds.count("tenant.suspended") == 1


async def test_refused_withdrawn_and_expired_are_the_end_of_it(api: Api, platform: Platform) -> None:
    ada, grace = await an_operator(api.parts), await an_operator(api.parts)
    refused = await suspension(api, platform, ada.headers)
    assert (await decide(api, grace, refused, "refuse")).json()["state"] == "refused"
    withdrawn = await suspension(api, platform, ada.headers)
    assert (await decide(api, grace, withdrawn, "withdraw")).status_code == 403
    assert (await decide(api, ada, withdrawn, "withdraw")).json()["state"] == "withdrawn"
    expired = await suspension(api, platform, ada.headers)
    twice = await api.http.patch(
        f"/operator/v1/tenants/ten_{platform.tenant_id.hex}", headers=grace.headers, json={"state": "suspended", **WHY}
    )
    assert (twice.status_code, twice.json()["code"]) == (409, "state_conflict")
    with frozen_at(now() + timedelta(hours=72, seconds=1)):
        late = await an_operator(api.parts)
        assert (await decide(api, late, expired)).status_code == 409
        listed = await api.http.get("/operator/v1/approvals?state=open", headers=late.headers)
        assert listed.json()["data"] == []
        listed = await api.http.get("/operator/v1/approvals?state=expired", headers=late.headers)
        assert [one["id"] for one in listed.json()["data"]] == [expired["id"]]
        async with api.parts.database.system() as session:
            assert await proposals.lapse(session) == 1
            assert await proposals.lapse(session) == 0
        again = await suspension(api, platform, late.headers)  # makes room for another
        assert again["id"] != expired["id"]
    for approval in (refused, withdrawn, expired):
        assert (await decide(api, late, approval)).status_code == 409
    assert await state_of(api, platform) == "active"


async def test_what_fails_says_so_and_is_tried_again_without_another_decision(api: Api, platform: Platform) -> None:
    path = f"/operator/v1/tenants/ten_{platform.tenant_id.hex}"
    asks = await an_operator(api.parts)
    asked = (await api.http.patch(path, headers=asks.headers, json={"credits": 60_000, **WHY})).json()
    # Meanwhile somebody changes the limits, so that what was agreed to would overwrite something unseen.
    assert (await api.http.patch(path, headers=MACHINE, json={"credits": 200})).status_code == 200
    ada, grace = await an_operator(api.parts), await an_operator(api.parts)
    failed = (await decide(api, ada, asked)).json()
    assert (failed["state"], failed["failure"]) == ("failed", "version_conflict")
    again = (await decide(api, grace, asked, "retry")).json()
    assert (again["state"], again["failure"], again["decided_by"]["id"]) == (
        "failed",
        "version_conflict",
        f"opr_{ada.id.hex}",
    )
    assert (await api.http.get(path, headers=MACHINE)).json()["usage"]["credits"] == 200


@pytest.mark.parametrize(
    "rewrite",
    [
        "UPDATE proposal SET state = 'approved', decided_by = proposed_by, decided_at = now()",
        "UPDATE proposal SET state = 'executed', executed_at = now()",
        "UPDATE proposal SET body = '{\"x\": 1}'",
        "UPDATE proposal SET summary = 'Something else'",
        "UPDATE proposal SET effect = '[]'",
        "UPDATE proposal SET reason = 'Another one'",
        "UPDATE proposal SET proposed_by = NULL",
        "UPDATE proposal SET state = 'approved', decided_by = gen_random_uuid(), decided_at = now() + interval '73 h'",
    ],
)
async def test_the_database_itself_refuses_what_the_code_would(
    api: Api, platform: Platform, administrator_url: str, rewrite: str
) -> None:
    ada = await an_operator(api.parts)
    await suspension(api, platform, ada.headers)
    administrator = await asyncpg.connect(administrator_url)
    with pytest.raises(asyncpg.CheckViolationError):
        await administrator.execute(rewrite)
    await administrator.close()


@pytest.mark.parametrize(
    "begun",
    [
        {"state": "approved", "decided_by": "gen_random_uuid()", "decided_at": "now()"},
        {"state": "executed", "decided_by": "gen_random_uuid()", "decided_at": "now()", "executed_at": "now()"},
        {"state": "refused", "decided_by": "gen_random_uuid()", "decided_at": "now()"},
        {"decided_by": "gen_random_uuid()"},
        {"decision_reason": "'Yes'"},
        {"attempts": "1"},
        {"proposed_by": "NULL"},
        {"expires_at": "now() + interval '80 h'"},
    ],
)
async def test_the_database_lets_a_proposal_begin_open_and_by_a_person_alone(api: Api, begun: dict[str, str]) -> None:
    row = {"state": "open", "proposed_by": "gen_random_uuid()", "attempts": "0", "expires_at": "now()"} | begun
    row["state"] = f"'{row['state']}'"
    columns, values = ", ".join(row), ", ".join(row.values())
    whole = text(
        f"INSERT INTO proposal (id, kind, target, body, summary, effect, reason, proposed_at, {columns})"  # noqa: S608
        f" VALUES (gen_random_uuid(), 'tenant.suspend', 'x', '{{}}', 's', '[]', 'r', now(), {values})"
    )
    async with api.parts.database.operator() as session:  # the role that the API itself has
        with pytest.raises(IntegrityError, match=r"begins open|machine proposes nothing|72 hours"):
            await (await session.connection()).execute(whole)
        await session.rollback()


async def test_what_a_machine_asked_for_before_is_refused_and_never_approved(
    api: Api, platform: Platform, administrator_url: str
) -> None:
    ada, grace = await an_operator(api.parts), await an_operator(api.parts)
    asked = await suspension(api, platform, ada.headers)
    administrator = await asyncpg.connect(administrator_url)
    await administrator.execute("SET session_replication_role = replica")  # as a row of an earlier release
    await administrator.execute("UPDATE proposal SET proposed_by = NULL")
    await administrator.execute("SET session_replication_role = origin")
    with pytest.raises(asyncpg.CheckViolationError, match="approved by nobody"):
        await administrator.execute(
            "UPDATE proposal SET state = 'approved', decided_by = gen_random_uuid(), decided_at = now()"
        )
    await administrator.close()
    late = await decide(api, grace, asked)
    assert (late.status_code, late.json()["code"]) == (409, "state_conflict")
    assert await state_of(api, platform) == "active"
    assert (await decide(api, grace, asked, "refuse")).json()["state"] == "refused"


async def test_every_step_is_in_both_logs_by_id_alone(api: Api, platform: Platform) -> None:
    ada, grace = await an_operator(api.parts), await an_operator(api.parts)
    await decide(api, grace, await suspension(api, platform, ada.headers))
    async with api.parts.database.tenant(platform.tenant_id) as session:
        entries = (await session.exec(select(AuditEntry).order_by(AuditEntry.id))).all()  # type: ignore[arg-type]
    ours = [(entry.kind, entry.actor) for entry in entries if entry.kind.startswith(("operator.", "tenant.susp"))]
    assert ours == [
        ("operator.proposal.proposed", f"operator:{ada.id.hex}"),
        ("operator.proposal.approved", f"operator:{grace.id.hex}"),
        ("tenant.suspended", f"operator:{grace.id.hex}"),
        ("operator.proposal.executed", f"operator:{grace.id.hex}"),
    ]
    async with api.parts.database.operator() as session:
        assert await record.verify(session) >= 3
        acts = (await session.exec(select(OperatorAct).order_by(OperatorAct.number))).all()  # type: ignore[arg-type]
    assert [act.kind for act in acts][-3:] == ["proposal.proposed", "proposal.approved", "proposal.executed"]
    assert "Canary" not in str([(act.actor, act.facts) for act in acts])
    shown = (await api.http.get("/operator/v1/acts", headers=ada.headers)).json()
    assert shown["data"][0]["kind"] == "proposal.executed"
    assert shown["head"].startswith("likeness/operators\n")


async def test_a_role_changes_by_somebody_else_and_bites_at_the_next_request(api: Api) -> None:
    ada, grace, alan = [await an_operator(api.parts) for _ in range(3)]
    path = f"/operator/v1/operators/opr_{alan.id.hex}/role"
    asked = (await api.http.post(path, headers=ada.headers, json={"role": "viewer", **WHY})).json()
    about_himself = await decide(api, alan, asked)
    assert (about_himself.status_code, about_himself.json()["code"]) == (403, "second_person_needed")
    assert (await decide(api, grace, asked)).json()["state"] == "executed"
    me = (await api.http.get("/operator/v1/session", headers=alan.headers)).json()
    assert me["role"] == "viewer"
    stale = await api.http.post(path, headers=ada.headers, json={"role": "support", "version": 1, **WHY})
    assert (stale.status_code, stale.json()["changed_by"]) == (409, f"operator:{grace.id.hex}")


async def test_a_removed_operator_is_out_at_once_and_their_address_is_gone(api: Api, administrator_url: str) -> None:
    ada, grace = await an_operator(api.parts), await an_operator(api.parts, Role.SUPPORT, email="grace@x.example")
    path = f"/operator/v1/operators/opr_{grace.id.hex}"
    assert (await api.http.get(path, headers=ada.headers)).json()["email"] == "grace@x.example"
    assert (await api.http.delete(path, headers=ada.headers)).status_code == 204
    answer = await api.http.get("/operator/v1/session", headers=grace.headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "session_expired")
    assert (await api.http.get(path, headers=ada.headers)).status_code == 404
    listed = (await api.http.get("/operator/v1/operators", headers=ada.headers)).json()["data"]
    gone = next(one for one in listed if one["id"] == f"opr_{grace.id.hex}")
    assert (gone["email"], gone["signs_in_with"], gone["name"]) == (None, [], "Canary Operator")
    last = await api.http.delete(f"/operator/v1/operators/opr_{ada.id.hex}", headers=ada.headers)
    assert (last.status_code, last.json()["code"]) == (409, "state_conflict")


async def test_once_there_were_two_a_new_operator_takes_two(api: Api) -> None:
    ada = await an_operator(api.parts)
    wanted = {"name": "Grace", "email": "grace@operators.example", "role": "admin"}
    alone = await api.http.post("/operator/v1/invitations", headers=ada.headers, json=wanted)
    assert (alone.status_code, alone.json()["approval"]) == (201, None)
    grace = await an_operator(api.parts)
    both = await api.http.post("/operator/v1/invitations", headers=ada.headers, json=wanted)
    body = {"token": both.json()["token"], "password": "a long and quiet sentence"}
    waits = await api.http.post("/operator/v1/invitations/accept", json=body)
    assert (waits.status_code, waits.json()["code"]) == (409, "state_conflict")
    assert (await decide(api, ada, {"id": both.json()["approval"]})).status_code == 403
    assert (await decide(api, grace, {"id": both.json()["approval"]})).json()["state"] == "executed"
    assert (await api.http.post("/operator/v1/invitations/accept", json=body)).status_code == 200
    # Whoever removes all others is not alone again.
    await api.http.delete(f"/operator/v1/operators/opr_{grace.id.hex}", headers=ada.headers)
    another = {**wanted, "email": "sock@operators.example"}
    again = await api.http.post("/operator/v1/invitations", headers=ada.headers, json=another)
    assert again.json()["approval"] is not None


async def test_who_agrees_to_an_invitation_sees_its_address_and_no_log_does(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    ada, grace = await an_operator(api.parts), await an_operator(api.parts, Role.PRIVACY_OFFICER)
    viewer = await an_operator(api.parts, Role.VIEWER)
    wanted = {"name": "New", "email": "canary.invitee@operators.example", "role": "admin"}
    made = (await api.http.post("/operator/v1/invitations", headers=ada.headers, json=wanted)).json()
    where = f"/operator/v1/approvals/{made['approval']}"
    for who, seen in ((grace, wanted["email"]), (ada, wanted["email"]), (viewer, None)):
        assert (await api.http.get(where, headers=who.headers)).json()["email"] == seen
        assert (await api.http.get("/operator/v1/approvals", headers=who.headers)).json()["data"][0]["email"] == seen
    assert (await decide(api, grace, {"id": made["approval"]})).json()["state"] == "executed"
    async with api.parts.database.operator() as session:
        for table in ("proposal", "operator_act"):
            rows = (await (await session.connection()).execute(text(f"SELECT * FROM {table}"))).all()  # noqa: S608
            assert rows
            assert "canary.invitee" not in str(rows)
    assert "canary.invitee" not in caplog.text


async def test_nobody_gets_to_be_alone_by_giving_a_colleague_another_role(api: Api) -> None:
    ada, grace = await an_operator(api.parts), await an_operator(api.parts)
    path = f"/operator/v1/operators/opr_{grace.id.hex}/role"
    asked = (await api.http.post(path, headers=grace.headers, json={"role": "viewer", **WHY})).json()
    assert (await decide(api, ada, asked)).json()["state"] == "executed"
    sock = {"name": "Sock", "email": "sock@operators.example", "role": "admin"}
    made = await api.http.post("/operator/v1/invitations", headers=ada.headers, json=sock)
    assert made.json()["approval"] is not None


async def test_a_machine_lets_nobody_in_once_somebody_may_approve(api: Api) -> None:
    await an_operator(api.parts)
    sock = {"name": "Sock", "email": "sock@operators.example", "role": "admin"}
    made = await api.http.post("/operator/v1/invitations", headers=MACHINE, json=sock)
    assert (made.status_code, made.json()["code"]) == (403, "second_person_needed")
    async with api.parts.database.operator() as session:
        assert (await session.exec(select(OperatorInvitation))).all() == []


@pytest.mark.parametrize("how", ["removed", "another role"])
async def test_a_link_of_an_admin_who_is_none_any_more_opens_nothing(api: Api, how: str) -> None:
    mallory = await an_operator(api.parts)
    sock = {"name": "Sock", "email": "sock@operators.example", "role": "admin"}
    made = (await api.http.post("/operator/v1/invitations", headers=mallory.headers, json=sock)).json()
    body = {"token": made["token"], "password": "a long and quiet sentence"}
    ada, grace = await an_operator(api.parts), await an_operator(api.parts)
    assert (await api.http.post("/operator/v1/invitations/accept", json=body)).status_code == 200
    path = f"/operator/v1/operators/opr_{mallory.id.hex}"
    if how == "removed":
        assert (await api.http.delete(path, headers=ada.headers)).status_code == 204
    else:
        asked = await api.http.post(f"{path}/role", headers=ada.headers, json={"role": "support", **WHY})
        assert (await decide(api, grace, asked.json())).json()["state"] == "executed"
    late = await api.http.post("/operator/v1/invitations/accept", json=body)
    assert (late.status_code, late.json()["code"]) == (404, "invitation_unknown")


@pytest.mark.parametrize("how", ["removed", "another role"])
async def test_what_somebody_asked_for_who_is_gone_is_refused_and_not_approved(
    api: Api, platform: Platform, how: str
) -> None:
    mallory, ada, grace = [await an_operator(api.parts) for _ in range(3)]
    asked = await suspension(api, platform, mallory.headers)
    path = f"/operator/v1/operators/opr_{mallory.id.hex}"
    if how == "removed":
        assert (await api.http.delete(path, headers=ada.headers)).status_code == 204
    else:
        change = await api.http.post(f"{path}/role", headers=ada.headers, json={"role": "viewer", **WHY})
        assert (await decide(api, grace, change.json())).json()["state"] == "executed"
    late = await decide(api, ada, asked)
    assert (late.status_code, late.json()["code"]) == (409, "state_conflict")
    assert await state_of(api, platform) == "active"
    assert (await decide(api, ada, asked, "refuse")).json()["state"] == "refused"


@pytest.mark.parametrize("how", [proposals.approve, proposals.refuse])
async def test_whoever_lost_the_role_while_they_waited_for_the_row_decides_nothing(
    api: Api, platform: Platform, how: Callable[..., Awaitable[Any]]
) -> None:
    ada, grace = await an_operator(api.parts), await an_operator(api.parts, Role.VIEWER)
    asked = await suspension(api, platform, ada.headers)
    as_the_guard_saw_her = grace.as_operator(Role.ADMIN)
    with pytest.raises(RoleMissing):
        await how(ground(api.parts), as_the_guard_saw_her, parse(Prefix.APPROVAL, asked["id"]), reason="Yes.")
    assert await state_of(api, platform) == "active"


async def test_nobody_alone_repeats_what_failed_and_was_agreed_to_long_ago(api: Api, platform: Platform) -> None:
    path = f"/operator/v1/tenants/ten_{platform.tenant_id.hex}"
    asks = await an_operator(api.parts)
    asked = (await api.http.patch(path, headers=asks.headers, json={"credits": 60_000, **WHY})).json()
    assert (await api.http.patch(path, headers=MACHINE, json={"credits": 200})).status_code == 200
    assert (await decide(api, await an_operator(api.parts), asked)).json()["state"] == "failed"
    with frozen_at(now() + timedelta(hours=72, minutes=1)):
        late = await decide(api, await an_operator(api.parts), asked, "retry")
    assert (late.status_code, late.json()["code"]) == (409, "state_conflict")
    assert "72 hours" in late.json()["detail"]


async def test_broken_glass_shows_two_people_ids_states_and_times_for_half_an_hour(
    api: Api, platform: Platform
) -> None:
    subject_id, photo_id = await a_ready_person(api.parts, platform)
    ada, grace, alan = [await an_operator(api.parts) for _ in range(3)]
    body = {"tenant_id": f"ten_{platform.tenant_id.hex}", "reason": "A job is stuck, and nobody knows why."}
    asked = (await api.http.post("/operator/v1/break-glass", headers=ada.headers, json=body)).json()
    path = f"/operator/v1/break-glass/{asked['id']}/subjects"
    assert (await api.http.get(path, headers=ada.headers)).status_code == 409
    assert (await decide(api, grace, asked)).json()["state"] == "executed"
    for who in (ada, grace):
        seen = await api.http.get(path, headers=who.headers)
        assert seen.status_code == 200
        person = seen.json()["data"][0]
        assert person["id"] == f"sub_{subject_id.hex}"
        assert [photo["id"] for photo in person["photos"]] == [f"pho_{photo_id.hex}"]
        assert set(person) == {"id", "created_at", "erased_at", "photos", "headshots", "jobs"}
        assert set(person["photos"][0]) == {"id", "state", "created_at", "expires_at"}
    assert (await api.http.get(path, headers=alan.headers)).status_code == 403
    assert (await api.http.get(path, headers=MACHINE)).status_code == 403
    # Whoever may not ask for it any more sees no more of it.
    demotion = await api.http.post(
        f"/operator/v1/operators/opr_{ada.id.hex}/role", headers=alan.headers, json={"role": "viewer", **WHY}
    )
    assert (await decide(api, grace, demotion.json())).json()["state"] == "executed"
    assert (await api.http.get(path, headers=ada.headers)).status_code == 403
    async with api.parts.database.tenant(platform.tenant_id) as session:
        told = (await session.exec(select(Event).where(Event.type == "operator.break_glass"))).one()
        kinds = [entry.kind for entry in (await session.exec(select(AuditEntry))).all()]
    assert told.data["approval_id"] == asked["id"]
    assert "operator.break_glass" in kinds
    assert kinds.count("operator.looked") == 2
    with frozen_at(now() + timedelta(minutes=30, seconds=1)):
        late = await api.http.get(path, headers=grace.headers)
    assert late.status_code in {401, 409}
    assert "data" not in late.json()
