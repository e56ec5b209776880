"""The deployment's signing keys."""

import asyncio
import base64
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.bootstrap import Parts
from core.errors import KeyProviderUnavailable
from core.keyring.signing_keys import thumbprint


def _verify(public_key: bytes, signature: bytes, message: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)


async def test_whoever_comes_first_makes_the_key_and_all_sign_with_it(parts: Parts) -> None:
    keys = await asyncio.gather(*(parts.keyring.signing.active() for _ in range(4)))
    assert len({key.public_key for key in keys}) == 1
    (published,) = await parts.keyring.signing.published()
    assert (published.public_key, published.key_id) == (keys[0].public_key, keys[0].key_id)
    _verify(published.public_key, keys[1].sign(b"said"), b"said")
    with pytest.raises(InvalidSignature):
        _verify(published.public_key, keys[1].sign(b"said"), b"other")


async def test_a_retired_key_stays_published_and_its_private_half_is_gone(parts: Parts) -> None:
    old = await parts.keyring.signing.active()
    new = await parts.keyring.signing.rotate()
    assert (await parts.keyring.signing.active()).key_id == new.key_id != old.key_id
    published = await parts.keyring.signing.published()
    assert [(key.key_id, key.retired_at is None) for key in published] == [(new.key_id, True), (old.key_id, False)]
    async with parts.database.keys.connect() as connection:
        wrapped = await connection.execute(text("SELECT wrapped FROM keystore.signing_key ORDER BY version"))
        assert [row.wrapped is None for row in wrapped] == [True, False]


async def test_without_the_root_key_nothing_is_signed(parts: Parts, tmp_path: Path) -> None:
    await parts.keyring.signing.active()
    (tmp_path / "keys" / "root-1.key").unlink()
    with pytest.raises(KeyProviderUnavailable):
        await parts.keyring.signing.active()


async def test_listing_the_public_keys_opens_no_private_one(parts: Parts, tmp_path: Path) -> None:
    key = await parts.keyring.signing.active()
    (tmp_path / "keys" / "root-1.key").unlink()
    assert [published.key_id for published in await parts.keyring.signing.published()] == [key.key_id]


@pytest.mark.parametrize("engine", ["app", "systems"])
async def test_only_the_key_stores_role_sees_signing_keys(parts: Parts, engine: str) -> None:
    with pytest.raises(DBAPIError):
        async with getattr(parts.database, engine).connect() as connection:
            await connection.execute(text("SELECT * FROM keystore.signing_key"))


def test_the_thumbprint_of_the_rfc() -> None:
    """RFC 8037, appendix A.3."""
    public_key = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert thumbprint(public_key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
