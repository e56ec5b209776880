"""Ids at the edge."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import NotFound
from core.ids import Prefix, new_id, parse, public


@given(st.sampled_from(Prefix), st.uuids())
def test_an_id_reads_back_as_itself(prefix: Prefix, value: UUID) -> None:
    assert parse(prefix, public(prefix, value)) == value


@given(st.text(max_size=60))
def test_any_other_text_names_nothing(text: str) -> None:
    with pytest.raises(NotFound):
        parse(Prefix.SUBJECT, text)


def test_an_id_in_the_wrong_place_names_nothing() -> None:
    with pytest.raises(NotFound):
        parse(Prefix.PHOTO, public(Prefix.SUBJECT, uuid4()))


def test_new_ids_are_version_7_and_grow() -> None:
    made = [new_id() for _ in range(100)]
    assert {one.version for one in made} == {7}
    assert made == sorted(made)
    assert len(set(made)) == 100
