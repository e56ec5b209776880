import stat
from pathlib import Path

import pytest

from core.errors import KeyProviderUnavailable
from core.keyring.local import LocalKeyFile
from core.keyring.provider import Wrapped
from core.keyring.sealing import SealBroken, new_key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def provider(folder: Path) -> LocalKeyFile:
    local = LocalKeyFile(folder)
    local.add_version()
    return local


async def test_a_wrapped_key_opens_with_its_context_alone(provider: LocalKeyFile) -> None:
    key = new_key()
    wrapped = await provider.wrap(key, context=b"one")
    assert key not in wrapped.data
    assert await provider.unwrap(wrapped, context=b"one") == key
    with pytest.raises(SealBroken):
        await provider.unwrap(wrapped, context=b"two")


async def test_an_altered_wrap_is_refused(provider: LocalKeyFile) -> None:
    wrapped = await provider.wrap(new_key(), context=b"one")
    for place in range(8, len(wrapped.data)):
        data = bytearray(wrapped.data)
        data[place] ^= 1
        with pytest.raises(SealBroken):
            await provider.unwrap(Wrapped(wrapped.version, bytes(data)), context=b"one")


def test_keys_and_their_folder_are_for_their_owner_alone(provider: LocalKeyFile, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [(path.name, stat.S_IMODE(path.stat().st_mode), path.stat().st_size) for path in folder.iterdir()] == [
        ("root-1.key", 0o600, 32)
    ]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
async def test_a_key_file_that_others_may_touch_is_refused(provider: LocalKeyFile, folder: Path, mode: int) -> None:
    (folder / "root-1.key").chmod(mode)
    with pytest.raises(KeyProviderUnavailable, match="0600"):
        await provider.wrap(new_key(), context=b"")


async def test_a_short_key_file_is_refused(provider: LocalKeyFile, folder: Path) -> None:
    (folder / "root-1.key").write_bytes(bytes(31))
    with pytest.raises(KeyProviderUnavailable, match="damaged"):
        await provider.health()


async def test_rotation_keeps_old_wraps_readable_until_their_version_is_destroyed(
    provider: LocalKeyFile, folder: Path
) -> None:
    key = new_key()
    old = await provider.wrap(key, context=b"c")
    assert provider.add_version() == 2
    assert await provider.unwrap(old, context=b"c") == key
    new = await provider.rewrap(old, context=b"c")
    assert new.version == 2
    await provider.destroy_version(1)
    assert not (folder / "root-1.key").exists()
    assert await provider.unwrap(new, context=b"c") == key
    with pytest.raises(KeyProviderUnavailable):
        await provider.unwrap(old, context=b"c")


async def test_the_newest_version_cannot_be_destroyed(provider: LocalKeyFile) -> None:
    with pytest.raises(ValueError, match="newest"):
        await provider.destroy_version(1)
    await provider.health()


async def test_a_root_key_made_anew_is_told_from_an_altered_wrap(provider: LocalKeyFile, folder: Path) -> None:
    wrapped = await provider.wrap(new_key(), context=b"c")
    (folder / "root-1.key").unlink()
    provider.ensure_version()
    with pytest.raises(KeyProviderUnavailable, match="not the one"):
        await provider.unwrap(wrapped, context=b"c")


async def test_a_folder_that_went_away_is_unavailable_and_not_made_again(provider: LocalKeyFile, folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(KeyProviderUnavailable):
        await provider.wrap(new_key(), context=b"")
    assert not folder.exists()


def test_a_root_key_is_never_written_over(provider: LocalKeyFile, folder: Path) -> None:
    before = (folder / "root-1.key").read_bytes()
    provider.ensure_version()
    assert provider.add_version() == 2
    assert (folder / "root-1.key").read_bytes() == before
