"""After an erasure every resource that was the person's answers 410, to reads and to writes."""

from typing import Any

from core.ids import Prefix, parse
from core.rights import erase
from tests.api.conftest import Api
from tests.api.test_isolation import Operation, ask, operations
from tests.api.world import a_world

OF_A_PERSON = {"subject_id", "consent_id", "photo_id", "asset_id", "job_id", "export_id"}
# Erasing again answers with the same tombstone, so that a lost answer can be asked for.
REPEATABLE = {"erase_subject"}


async def _everything_is_gone(api: Api, document: dict[str, Any], *, finished: bool) -> None:
    world = await a_world(api)
    answer = await api.call(world.platform, "DELETE", f"/v1/subjects/{world.ids['subject_id']}")
    assert (answer.status_code, answer.json()["state"]) == (202, "shredded")
    if finished:
        await erase.finish(
            api.parts.database,
            api.parts.store,
            tenant_id=world.platform.tenant_id,
            subject_id=parse(Prefix.SUBJECT, world.ids["subject_id"]),
        )
    for operation in operations(document):
        if operation.path.startswith("/operator/"):
            continue  # operators see ids, states and times alone, and those of an erasure in progress too
        if OF_A_PERSON.intersection(operation.slots) and operation.id not in REPEATABLE:
            answer = await ask(api, world, operation, world.ids)
            assert answer.status_code == 410, (operation.id, answer.text)
            assert answer.json()["code"] == "erased"


async def test_everything_of_an_erased_person_is_gone_at_once(api: Api) -> None:
    document = (await api.http.get("/schema/openapi.json")).json()
    await _everything_is_gone(api, document, finished=False)


async def test_everything_stays_gone_when_the_erasure_is_finished(api: Api) -> None:
    document = (await api.http.get("/schema/openapi.json")).json()
    await _everything_is_gone(api, document, finished=True)


async def test_erasing_again_tells_how_far_it_has_come(api: Api) -> None:
    world = await a_world(api)
    path = f"/v1/subjects/{world.ids['subject_id']}"
    first = await api.call(world.platform, "DELETE", path)
    await erase.finish(
        api.parts.database,
        api.parts.store,
        tenant_id=world.platform.tenant_id,
        subject_id=parse(Prefix.SUBJECT, world.ids["subject_id"]),
    )
    second = await api.call(world.platform, "DELETE", path)
    assert (first.json()["state"], second.json()["state"]) == ("shredded", "erased")
    assert second.json()["objects_deleted"] == 2


async def test_a_link_made_before_the_erasure_opens_nothing_after_it(api: Api) -> None:
    world = await a_world(api)
    link = (await api.call(world.platform, "POST", f"/v1/assets/{world.ids['asset_id']}/link")).json()["url"]
    assert (await api.http.get(link)).status_code == 200
    await api.call(world.platform, "DELETE", f"/v1/subjects/{world.ids['subject_id']}")
    assert (await api.http.get(link)).status_code == 410


async def test_an_erased_photo_answers_gone_and_its_asset_too(api: Api) -> None:
    world = await a_world(api)
    photo = f"/v1/photos/{world.ids['photo_id']}"
    assert (await api.call(world.platform, "DELETE", photo)).status_code == 204
    for path in (photo, f"{photo}/content", f"/v1/assets/{world.ids['asset_id']}/content"):
        assert (await api.call(world.platform, "GET", path)).status_code == 410


def test_the_walk_sees_the_slots_of_a_person() -> None:
    operation = Operation("x", "GET", "/v1/photos/{photo_id}", (), has_body=False)
    assert operation.slots == ["photo_id"]
