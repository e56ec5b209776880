from uuid import uuid4

from tests import scenes
from tests.api.conftest import Api

BODY = {
    "name": "acme-blue",
    "title": "Acme blue",
    "description": "Our blue.",
    "backdrop": "plain",
    "palette": ["#1d3f74"],
}


async def test_a_platform_publishes_a_style_and_alone_sees_it(api: Api) -> None:
    mine, theirs = await scenes.a_platform(api.parts), await scenes.a_platform(api.parts)
    key = {"Idempotency-Key": uuid4().hex}
    first = await api.call(mine, "POST", "/v1/styles", json=BODY, headers=key)
    again = await api.call(mine, "POST", "/v1/styles", json=BODY, headers=key)
    assert first.status_code == again.status_code == 201, first.text
    assert first.json() == again.json()
    assert (first.json()["version"], first.json()["source"]) == (1, "brand")
    names = [
        {style["name"] for style in (await api.call(platform, "GET", "/v1/styles")).json()["data"]}
        for platform in (mine, theirs)
    ]
    assert names[0] - names[1] == {"acme-blue"}
    assert len(names[1]) >= 12


async def test_a_style_with_too_few_colours_is_refused_by_name(api: Api) -> None:
    platform = await scenes.a_platform(api.parts)
    answer = await api.call(
        platform,
        "POST",
        "/v1/styles",
        json=BODY | {"backdrop": "paper"},
        headers={"Idempotency-Key": uuid4().hex},
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert answer.json()["errors"][0]["field"] == "palette"


async def test_new_clothes_are_refused_before_anything_is_made(api: Api) -> None:
    platform = await scenes.a_platform(api.parts)
    _, photo_id = await scenes.a_ready_person(api.parts, platform)
    for more in ({}, {"dry_run": True}):
        answer = await api.call(
            platform,
            "POST",
            "/v1/headshots",
            json={"photo_id": f"pho_{photo_id.hex}", "styles": ["studio-grey"], "attire": "formal", **more},
            headers={"Idempotency-Key": uuid4().hex},
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "attire_needs_full_model")
