"""Jobs of all tenants: listed, read to the second, cancelled, put back in line; nothing of a person in them."""

import json

from core.headshots import complete
from core.ids import Prefix, public
from core.jobs.rescue import MOST_DEATHS
from tests.api.conftest import OPERATOR_TOKEN, Api
from tests.queueing import Studio

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
JOBS = "/operator/v1/jobs"


async def _fail(api: Api, studio: Studio) -> str:
    job = await studio.submit()
    for _ in range(MOST_DEATHS):
        await complete.fail(api.parts.database, await studio.claim(), code="internal_error")
        if (await studio.job(job.id)).state == "pending":
            await studio.end_pause(job.id)
    return public(Prefix.JOB, job.id)


async def test_jobs_of_all_tenants_are_listed_by_state_and_tenant(api: Api) -> None:
    one, other = await Studio.open(api.parts), await Studio.open(api.parts)
    made = [public(Prefix.JOB, (await studio.submit()).id) for studio in (one, other, one)]
    await one.complete(await one.claim())
    first = (await api.http.get(JOBS, headers=OPERATOR, params={"limit": 2})).json()
    rest = (await api.http.get(JOBS, headers=OPERATOR, params={"cursor": first["next_cursor"]})).json()
    assert [job["id"] for job in [*first["data"], *rest["data"]]] == made[::-1]
    of_one = {"tenant_id": public(Prefix.TENANT, one.platform.tenant_id)}
    assert len((await api.http.get(JOBS, headers=OPERATOR, params=of_one)).json()["data"]) == 2
    waiting = (await api.http.get(JOBS, headers=OPERATOR, params={**of_one, "state": "pending"})).json()["data"]
    done = (await api.http.get(JOBS, headers=OPERATOR, params={"state": "done"})).json()["data"]
    assert [job["id"] for job in waiting] == [made[2]]
    assert [job["id"] for job in done] == [made[0]]


async def test_a_job_says_its_stages_to_the_second_and_nothing_of_the_person(api: Api) -> None:
    studio = await Studio.open(api.parts)
    job = await studio.submit()
    await studio.complete(await studio.claim())
    answer = await api.http.get(f"{JOBS}/{public(Prefix.JOB, job.id)}", headers=OPERATOR)
    found = answer.json()
    assert {"stage": "prepare", "seconds": 0.1} in found["timings"]
    assert {"sign", "seal"} <= {timing["stage"] for timing in found["timings"]}
    assert (found["state"], found["attempts"], found["charged"], found["requeueable"]) == ("done", 1, 1, False)
    for of_the_person in (studio.subject_id.hex, studio.photo_id.hex, "canary"):
        assert of_the_person not in answer.text
    await studio.erase_person()
    assert (await api.http.get(f"{JOBS}/{public(Prefix.JOB, job.id)}", headers=OPERATOR)).json()["state"] == "done"


async def test_a_waiting_job_is_cancelled_at_once(api: Api) -> None:
    studio = await Studio.open(api.parts)
    job = public(Prefix.JOB, (await studio.submit()).id)
    cancelled = await api.http.post(f"{JOBS}/{job}/cancel", headers=OPERATOR)
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    again = await api.http.post(f"{JOBS}/{job}/requeue", headers=OPERATOR)
    assert (again.status_code, again.json()["code"]) == (409, "state_conflict")


async def test_a_dead_letter_is_put_back_in_line(api: Api) -> None:
    studio = await Studio.open(api.parts)
    job = await _fail(api, studio)
    (listed,) = (await api.http.get(JOBS, headers=OPERATOR, params={"state": "failed"})).json()["data"]
    assert (listed["id"], listed["reason_code"], listed["deaths"]) == (job, "internal_error", MOST_DEATHS)
    put_back = (await api.http.post(f"{JOBS}/{job}/requeue", headers=OPERATOR)).json()
    assert (put_back["state"], put_back["deaths"], put_back["reason_code"]) == ("pending", 0, None)
    assert (await studio.claim()).job_id.hex == job.removeprefix("job_")


async def test_an_unknown_job_is_not_found_and_a_tenants_key_opens_nothing(api: Api) -> None:
    studio = await Studio.open(api.parts)
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/requeue")):
        unknown = await api.http.request(method, f"{JOBS}/job_{'0' * 32}{path}", headers=OPERATOR)
        assert unknown.status_code == 404
    assert (await api.call(studio.platform, "GET", JOBS)).status_code == 401
    assert json.loads((await api.http.get(JOBS)).text)["code"] == "credential_missing"
