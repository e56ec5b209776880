"""A platform publishes its logo, and sees what a style with it would come to."""

from uuid import uuid4

import pytest

from core.headshots import previews
from core.ids import Prefix, parse
from tests import scenes
from tests.api.conftest import Api
from tests.api.test_styles import BODY
from tests.worker.studio.logos import a_logo_file


def headers() -> dict[str, str]:
    return {"Content-Type": "image/png", "Idempotency-Key": uuid4().hex}


async def test_a_platform_publishes_a_mark_once_and_alone_sees_it(api: Api) -> None:
    mine, theirs = await scenes.a_platform(api.parts), await scenes.a_platform(api.parts)
    key, where = headers(), "/v1/visible-marks?name=acme&place=top_left&width=0.2&opacity=0.8"
    first, again = [await api.call(mine, "POST", where, content=a_logo_file(), headers=key) for _ in range(2)]
    assert first.status_code == 201, first.text
    assert first.json() == again.json()
    expected = {"name": "acme", "version": 1, "place": "top_left", "width": 0.2, "opacity": 0.8}
    assert expected.items() <= first.json().items()
    assert (first.json()["logo_width"], first.json()["logo_height"]) == (400, 160)
    listed = [(await api.call(one, "GET", "/v1/visible-marks")).json()["data"] for one in (mine, theirs)]
    assert listed == [[first.json()], []]
    second = await api.call(mine, "POST", "/v1/visible-marks?name=acme", content=a_logo_file(), headers=headers())
    assert second.json()["version"] == 2


@pytest.mark.parametrize(
    ("query", "body", "status", "code"),
    [
        ("name=acme", b"<svg/>", 415, "photo_type_unsupported"),
        ("name=acme&width=0.9", None, 422, "validation_failed"),
        ("name=acme&place=middle", None, 422, "validation_failed"),
        ("name=Acme%20Inc", None, 422, "validation_failed"),
        ("", None, 422, "validation_failed"),
    ],
)
async def test_what_is_no_mark_is_refused_by_name(
    api: Api, query: str, body: bytes | None, status: int, code: str
) -> None:
    platform = await scenes.a_platform(api.parts)
    answer = await api.call(
        platform, "POST", f"/v1/visible-marks?{query}", content=body or a_logo_file(), headers=headers()
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_a_style_names_its_mark_and_its_preview_is_given_once_it_is_drawn(api: Api) -> None:
    platform = await scenes.a_platform(api.parts)
    await api.call(platform, "POST", "/v1/visible-marks?name=acme", content=a_logo_file(), headers=headers())
    style = await api.call(platform, "POST", "/v1/styles", json=BODY | {"mark": "acme"})
    assert style.json()["mark"] == {"name": "acme", "version": 1}
    unknown = await api.call(platform, "POST", "/v1/styles", json=BODY | {"mark": "other"})
    assert (unknown.status_code, unknown.json()["code"], unknown.json()["marks"]) == (422, "unknown_mark", ["acme"])
    asked = await api.call(platform, "POST", "/v1/style-previews", json={"style": "acme-blue"})
    assert (asked.status_code, asked.json()["state"]) == (202, "pending")
    place = asked.headers["location"]
    early = await api.call(platform, "GET", f"{place}/content")
    assert (early.status_code, early.json()["code"]) == (409, "state_conflict")
    preview_id = parse(Prefix.PREVIEW, asked.json()["id"])
    async with api.parts.database.tenant(platform.tenant_id) as session:
        order = await previews.order(session, preview_id)
        assert order is not None
        assert order.mark is not None
        await previews.keep(session, api.parts.store, preview_id=preview_id, picture=b"\xff\xd8 drawn")
    drawn = await api.call(platform, "GET", f"{place}/content")
    assert (drawn.content, drawn.headers["content-type"]) == (b"\xff\xd8 drawn", "image/jpeg")
    assert (await api.call(platform, "GET", place)).json()["state"] == "ready"
    for body, code in (({"style": "none-such"}, "unknown_style"), ({"style": "sage", "mark": "x"}, "unknown_mark")):
        answer = await api.call(platform, "POST", "/v1/style-previews", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
