"""The text of an API key."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CredentialInvalid
from core.tenants import credentials
from core.tenants.models import Mode


@given(st.uuids(), st.sampled_from(Mode))
def test_a_minted_key_reads_back_as_itself(key_id: UUID, mode: Mode) -> None:
    text, secret_hash = credentials.mint(key_id, mode)
    read = credentials.read(text)
    assert (read.key_id, read.mode, read.secret_hash) == (key_id, mode, secret_hash)
    assert text.startswith(f"lk_{mode.value}_")


@given(st.data())
def test_one_changed_character_is_refused(data: st.DataObject) -> None:
    text, _ = credentials.mint(uuid4(), Mode.LIVE)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda letter: letter != text[place]))
    with pytest.raises(CredentialInvalid):
        credentials.read(text[:place] + other + text[place + 1 :])


@pytest.mark.parametrize("text", ["", "lk_live_", "Bearer x", "lk_live_" + "0" * 32 + "_" + "a" * 49])
def test_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(CredentialInvalid):
        credentials.read(text)


def test_two_keys_never_share_a_secret() -> None:
    key_id = uuid4()
    assert credentials.mint(key_id, Mode.LIVE)[1] != credentials.mint(key_id, Mode.LIVE)[1]
