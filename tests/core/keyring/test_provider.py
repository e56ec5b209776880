from pathlib import Path

import pytest

from core.errors import KeyProviderUnavailable
from core.keyring.provider import open_provider
from core.settings import KeySettings


async def test_development_makes_its_first_root_key(tmp_path: Path) -> None:
    await open_provider(KeySettings(url=f"file://{tmp_path}/with%20space"), environment="development").health()
    assert (tmp_path / "with space" / "root-1.key").exists()


def test_production_refuses_key_files_unless_told_to_take_them(tmp_path: Path) -> None:
    with pytest.raises(KeyProviderUnavailable, match="LOCAL_IN_PRODUCTION"):
        open_provider(KeySettings(url=f"file://{tmp_path}"), environment="production")


async def test_production_never_makes_a_root_key_by_itself(tmp_path: Path) -> None:
    settings = KeySettings(url=f"file://{tmp_path}", local_in_production=True)
    with pytest.raises(KeyProviderUnavailable, match="no root key"):
        await open_provider(settings, environment="production").health()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["aws-kms://key/1", "vault://transit/likeness", "https://example.org", "file:relative", "/no/scheme", ""]
)
def test_other_places_are_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(KeyProviderUnavailable, match=r"file://"):
        open_provider(KeySettings(url=url), environment="development")
