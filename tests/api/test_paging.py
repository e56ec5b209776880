"""Pages: newest first, each thing once, with cursors that only we can make sense of."""

from contextlib import suppress
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import paging
from core.errors import CursorInvalid
from tests.api.conftest import Api
from tests.scenes import Platform, a_person


async def test_pages_show_everything_once_newest_first(api: Api, platform: Platform) -> None:
    made = [f"sub_{(await a_person(api.parts, platform)).hex}" for _ in range(5)]
    seen: list[str] = []
    params: dict[str, str | int] = {"limit": 2}
    while True:
        page = (await api.call(platform, "GET", "/v1/subjects", params=params)).json()
        seen += [one["id"] for one in page["data"]]
        assert len(page["data"]) <= 2
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == made[::-1]


@pytest.mark.parametrize("limit", [0, -1, 101, "many"])
async def test_a_limit_out_of_range_is_refused(api: Api, platform: Platform, limit: str) -> None:
    answer = await api.call(platform, "GET", "/v1/subjects", params={"limit": limit})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "limit")


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "AQ" * 12, "=" * 4])
async def test_a_cursor_that_is_not_ours_is_refused(api: Api, platform: Platform, cursor: str) -> None:
    answer = await api.call(platform, "GET", "/v1/subjects", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


def test_a_cursor_comes_back_as_it_went() -> None:
    last = uuid4()
    assert paging.decode(paging.encode(last)) == last


@given(st.text(max_size=64))
def test_no_text_breaks_the_reading_of_a_cursor(text: str) -> None:
    with suppress(CursorInvalid):
        paging.decode(text)
