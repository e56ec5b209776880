"""The records for reviewers through the API."""

import json
from datetime import timedelta

from core.clock import now
from core.records import subprocessors
from infra.verify_certificate import read_keys
from infra.verify_records import verify
from tests.api.conftest import Api
from tests.scenes import Platform


async def test_the_records_are_downloaded_and_verified_with_the_published_keys(api: Api, platform: Platform) -> None:
    answer = await api.call(platform, "GET", "/v1/records")
    keys = (await api.http.get("/.well-known/likeness/keys")).content
    found = verify(answer.content, read_keys(keys))
    assert (found["platform"], found["issuer"]) == ("Some Platform", "http://likeness.test")
    assert answer.headers["cache-control"] == "no-store"
    sheet = await api.call(platform, "GET", "/v1/records/sheet")
    assert sheet.headers["content-type"].startswith("text/html")
    assert "Records of processing: Some Platform" in sheet.text


async def test_a_platform_answers_to_a_list_of_subprocessors(api: Api, platform: Platform) -> None:
    assert (await api.call(platform, "GET", "/v1/subprocessors")).json()["current"] is None
    entry = dict.fromkeys(subprocessors.FIELDS, "Some Host") | {"data_classes": ["photo"]}
    ahead = now() + timedelta(days=31)
    async with api.parts.database.system() as session:
        await subprocessors.publish(session, entries=[entry], effective_at=ahead, notice=timedelta(days=30))
    await subprocessors.announce(api.parts.database)
    found = (await api.call(platform, "GET", "/v1/subprocessors")).json()
    assert (found["current"], found["upcoming"]["entries"][0]["name"]) == (None, "Some Host")
    for path, body in (("acknowledge", {}), ("object", {"reason_code": "contract"})):
        answer = await api.call(platform, "POST", f"/v1/subprocessors/{path}", json={"version": 1, **body})
        assert answer.status_code == 200, answer.text
    answered = (await api.call(platform, "GET", "/v1/subprocessors")).json()["answer"]
    assert answered["reason_code"] == "contract"
    assert answered["acknowledged_at"] is not None
    unknown = await api.call(platform, "POST", "/v1/subprocessors/acknowledge", json={"version": 2})
    assert unknown.status_code == 404
    assert json.loads(unknown.content)["code"] == "not_found"
