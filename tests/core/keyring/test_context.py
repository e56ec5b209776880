from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.keyring.context import Context, length_prefixed

CONTEXTS = st.builds(
    Context,
    tenant=st.uuids(),
    kind=st.text(min_size=1, max_size=60),
    subject=st.none() | st.uuids(),
    object_id=st.none() | st.uuids(),
    version=st.integers(0, (1 << 64) - 1),
)


@given(CONTEXTS, CONTEXTS)
def test_two_contexts_are_equal_exactly_when_their_encodings_are(one: Context, other: Context) -> None:
    assert (one == other) == (one.encode() == other.encode())


@given(CONTEXTS, st.sampled_from(["tenant", "kind", "subject", "object_id", "version"]), CONTEXTS)
def test_a_change_of_any_one_part_changes_the_encoding(one: Context, part: str, other: Context) -> None:
    changed = Context(**{**vars(one), part: getattr(other, part)})
    assert (changed == one) == (changed.encode() == one.encode())


@given(st.lists(st.binary(max_size=8)), st.lists(st.binary(max_size=8)))
def test_no_two_lists_of_parts_share_an_encoding(one: list[bytes], other: list[bytes]) -> None:
    assert (one == other) == (length_prefixed(*one) == length_prefixed(*other))


def test_the_layout_is_the_documented_one_and_never_changes() -> None:
    context = Context(UUID(int=1), "photo", subject=UUID(int=2), object_id=UUID(int=3), version=4)
    assert context.encode() == (
        b"likeness.context.v1"
        + bytes.fromhex("00000010" + "00" * 15 + "01")
        + bytes.fromhex("00000010" + "00" * 15 + "02")
        + bytes.fromhex("00000010" + "00" * 15 + "03")
        + bytes.fromhex("00000005")
        + b"photo"
        + bytes.fromhex("00000008" + "00" * 7 + "04")
    )


@pytest.mark.parametrize(("kind", "version"), [("", 1), ("x" * 256, 1), ("photo", -1), ("photo", 1 << 64)])
def test_what_the_layout_cannot_hold_is_refused(kind: str, version: int) -> None:
    with pytest.raises(ValueError, match="of a context"):
        Context(UUID(int=1), kind, version=version)
