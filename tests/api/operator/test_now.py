"""The first page: how the service is, at one moment."""

from datetime import timedelta

from core.clock import frozen_at, now
from core.headshots import complete
from core.ids import Prefix, public
from core.rights import requests
from core.rights.rules import Kind
from core.workers import service as workers
from core.workers.service import Report
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.queueing import Studio

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}


async def test_an_empty_service_has_nothing_to_tell_and_no_alert(api: Api) -> None:
    found = (await api.http.get("/operator/v1/now", headers=OPERATOR)).json()
    assert found["alerts"] == []
    assert found["keys"] == "ok"
    assert (found["queue"], found["at_work"], found["refusals"]) == ([], [], [])
    assert len(found["throughput"]) == 24
    assert found["webhooks"]["late_seconds"] is None


async def test_what_waits_runs_and_was_refused_is_counted(api: Api) -> None:
    studio = await Studio.open(api.parts)
    for _ in range(4):
        await studio.submit()
    await studio.complete(await studio.claim())
    await complete.refuse(api.parts.database, await studio.claim(), code="face_too_small", message="Come closer.")
    await studio.claim()
    async with api.parts.database.system() as session:
        said = Report(name="studio-a", kind="studio", region="local", concurrency=2)
        await workers.report(session, said)
    found = (await api.http.get("/operator/v1/now", headers=OPERATOR)).json()
    (line,) = found["queue"]
    assert (line["region"], line["waiting"], line["workers"], line["places"]) == ("local", 1, 1, 2)
    assert line["oldest_seconds"] >= 0
    assert [one["running"] for one in found["at_work"]] == [1]
    assert found["at_work"][0]["tenant"] == public(Prefix.TENANT, studio.platform.tenant_id)
    assert found["refusals"] == [{"state": "refused", "reason_code": "face_too_small", "count": 1}]
    assert found["throughput"][-1]["done"] == 1
    assert found["alerts"] == []


async def test_what_somebody_must_look_at_is_said(api: Api) -> None:
    studio = await Studio.open(api.parts)
    await studio.submit()
    with frozen_at(now() - timedelta(days=300)):
        async with api.parts.database.tenant(studio.platform.tenant_id) as session:
            await requests.receive(
                session, api.parts.keyring, subject_id=studio.subject_id, kind=Kind.ACCESS, actor="test"
            )
    found = (await api.http.get("/operator/v1/now", headers=OPERATOR)).json()
    assert {alert["code"] for alert in found["alerts"]} == {"requests_overdue", "no_worker"}
    assert all(alert["text"] for alert in found["alerts"])
    (deadline,) = found["duties"]["next_deadlines"]
    assert deadline["seconds_left"] < 0
    assert (deadline["kind"], found["duties"]["overdue_requests"]) == ("access", 1)
