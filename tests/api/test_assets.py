"""Assets: streamed, ranged, linked for minutes."""

from datetime import timedelta

import pytest

from core.clock import frozen_at, now
from tests.api.conftest import Api
from tests.api.world import a_world
from tests.scenes import Platform, a_person, a_photo, consents

CONTENT = bytes(range(256)) * 400


async def _asset(api: Api, platform: Platform) -> str:
    subject_id = await a_person(api.parts, platform)
    await consents(api.parts, platform, subject_id)
    photo_id = await a_photo(api.parts, platform, subject_id, data=CONTENT)
    photo = (await api.call(platform, "GET", f"/v1/photos/pho_{photo_id.hex}")).json()
    return f"/v1/assets/{photo['asset_id']}"


RANGES = {
    "bytes=0-0": (206, CONTENT[:1]),
    "bytes=0-": (206, CONTENT),
    "bytes=16380-16390": (206, CONTENT[16380:16391]),
    "bytes=70000-": (206, CONTENT[70000:]),
    "bytes=-5": (206, CONTENT[-5:]),
    "bytes=-999999": (206, CONTENT),
    "bytes=102399-999999": (206, CONTENT[-1:]),
    "bytes=102400-": (416, None),
    "bytes=-0": (416, None),
    "bytes=5-2": (200, CONTENT),
    "bytes=0-1,4-5": (200, CONTENT),
    "bytes=-": (200, CONTENT),
    "pages=1-2": (200, CONTENT),
}


async def test_ranges_give_the_bytes_that_they_name(api: Api, platform: Platform) -> None:
    path = await _asset(api, platform)
    for header, (status, expected) in RANGES.items():
        answer = await api.call(platform, "GET", f"{path}/content", headers={"Range": header})
        assert answer.status_code == status, header
        if expected is not None:
            assert answer.content == expected, header
            assert answer.headers["content-length"] == str(len(expected))
        if status == 206:
            assert answer.headers["content-range"].endswith(f"/{len(CONTENT)}")


async def test_the_content_has_a_tag_and_is_never_kept(api: Api, platform: Platform) -> None:
    path = await _asset(api, platform)
    whole = await api.call(platform, "GET", f"{path}/content")
    tag = whole.headers["etag"]
    assert (whole.content, whole.headers["cache-control"]) == (CONTENT, "no-store")
    unchanged = await api.call(platform, "GET", f"{path}/content", headers={"If-None-Match": f'"x", {tag}'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    for condition, status in ((tag, 206), ('"another"', 200)):
        headers = {"Range": "bytes=0-1", "If-Range": condition}
        assert (await api.call(platform, "GET", f"{path}/content", headers=headers)).status_code == status


async def test_a_link_opens_one_asset_without_a_credential_until_it_ends(api: Api, platform: Platform) -> None:
    path = await _asset(api, platform)
    made = (await api.call(platform, "POST", f"{path}/link", json={"expires_in": 60})).json()
    opened = await api.http.get(made["url"])
    assert (opened.status_code, opened.content) == (200, CONTENT)
    assert opened.headers["cache-control"] == "no-store"
    assert opened.headers["referrer-policy"] == "no-referrer"
    with frozen_at(now() + timedelta(seconds=61)):
        ended = await api.http.get(made["url"])
        assert (ended.status_code, ended.json()["code"]) == (401, "link_expired")


@pytest.mark.parametrize("seconds", [0, -1, 901, "long"])
async def test_a_link_lives_for_fifteen_minutes_at_most(api: Api, platform: Platform, seconds: object) -> None:
    path = await _asset(api, platform)
    answer = await api.call(platform, "POST", f"{path}/link", json={"expires_in": seconds})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "expires_in")


async def test_no_altered_link_opens_anything(api: Api) -> None:
    world, other = await a_world(api), await a_world(api)
    url = (await api.call(world.platform, "POST", f"/v1/assets/{world.ids['asset_id']}/link")).json()["url"]
    root, _, token = url.rpartition("/")
    assert (await api.http.get(url)).status_code == 200
    altered = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(0, 97, 3)]
    their_url = (await api.call(other.platform, "POST", f"/v1/assets/{other.ids['asset_id']}/link")).json()["url"]
    altered += [token[:22] + their_url.rpartition("/")[2][22:], token[:-1], token + "A", "x", "%00", token[::-1]]
    for text in altered:
        answer = await api.http.get(f"{root}/{text}")
        assert answer.status_code in ({400} if text == "%00" else {401, 404}), text  # NUL gets no farther than the edge


async def test_an_asset_past_its_term_is_gone_before_the_sweep_comes(api: Api, platform: Platform) -> None:
    path = await _asset(api, platform)
    with frozen_at(now() + timedelta(days=8)):
        for name in (path, f"{path}/content"):
            assert (await api.call(platform, "GET", name)).status_code == 410
