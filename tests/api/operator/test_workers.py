"""Workers and models, as they report themselves."""

from core.ids import new_id
from core.workers import service as workers
from core.workers.service import Report
from tests.api.conftest import OPERATOR_TOKEN, Api

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
MODEL = {"name": "sd15", "pipeline": "P", "digest": "ab" * 32, "bytes": 7, "added_at": "2026-11-01", "loaded": True}
ENGINE = {"device": "cuda", "precision": "bfloat16", "mode": "graphs", "rows": 16, "attention": {"64x64": "flash"}}


async def _report(api: Api, name: str, *, loaded: bool) -> bool:
    said = Report(
        name=name,
        kind="studio",
        region="local",
        concurrency=2,
        jobs_in_hand=1,
        engine=ENGINE,
        models=({**MODEL, "loaded": loaded},),
        memory={"resident": 5, "gpu_used": 6, "gpu_total": 8},
    )
    async with api.parts.database.system() as session:
        return await workers.report(session, said)


async def test_a_worker_is_shown_with_its_model_and_can_be_asked_to_leave(api: Api) -> None:
    await _report(api, "studio-a", loaded=True)
    await _report(api, "studio-b", loaded=False)
    _, worker = (await api.http.get("/operator/v1/workers", headers=OPERATOR)).json()["data"]
    assert (worker["name"], worker["state"], worker["jobs_in_hand"]) == ("studio-a", "serving", 1)
    assert (worker["model"], worker["digest"], worker["rows"]) == ("sd15", "ab" * 32, 16)
    assert (worker["attention"], worker["memory"]["gpu_total"]) == ({"64x64": "flash"}, 8)
    path = f"/operator/v1/workers/{worker['id']}/drain"
    asked = await api.http.post(path, headers=OPERATOR)
    assert (asked.status_code, asked.json()["state"]) == (202, "draining")
    assert await _report(api, "studio-a", loaded=True) is True
    assert await _report(api, "studio-b", loaded=False) is False
    (model,) = (await api.http.get("/operator/v1/models", headers=OPERATOR)).json()["data"]
    assert (model["workers"], model["loaded_by"]) == (["studio-a", "studio-b"], ["studio-a"])


async def test_an_unknown_worker_is_not_found(api: Api) -> None:
    unknown = await api.http.post(f"/operator/v1/workers/wrk_{new_id().hex}/drain", headers=OPERATOR)
    assert unknown.status_code == 404
