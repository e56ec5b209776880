"""The deployment's own keys: in the key store, sealed, and out of reach of every other role."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from core.bootstrap import Parts
from core.keyring.deployment_keys import DEPLOYMENT, DeploymentKeys, DeploymentPurpose
from core.keyring.sealing import SealBroken
from core.keyring.service import Keyring

WATERMARK = DeploymentPurpose.WATERMARK


async def test_the_first_of_many_adders_wins_and_all_take_its_key(parts: Parts) -> None:
    keys = DeploymentKeys(parts.database, parts.keyring)
    assert await keys.newest(WATERMARK) is None
    added = await asyncio.gather(
        *(keys.add(WATERMARK, 1, certificate=None, secret=bytes([number]) * 32) for number in range(4))
    )
    assert len({key.sealed_key for key in added}) == 1
    assert await keys.open(added[0]) in {bytes([number]) * 32 for number in range(4)}


async def test_a_sealed_key_opens_in_no_other_place(parts: Parts) -> None:
    keys = DeploymentKeys(parts.database, parts.keyring)
    first = await keys.add(WATERMARK, 1, certificate=None, secret=b"k" * 32)
    assert b"k" * 32 not in first.sealed_key
    await keys.add(WATERMARK, 2, certificate=None, secret=b"l" * 32)
    async with parts.database.keystore(DEPLOYMENT) as session:
        query = text("SELECT sealed_key FROM keystore.deployment_key WHERE version = 2")
        moved = (await (await session.connection()).execute(query)).scalar_one()
    with pytest.raises(SealBroken):
        await parts.keyring.open_secret(DEPLOYMENT, "provenance:watermark:1", moved)


@pytest.mark.parametrize("role", ["app", "systems"])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM keystore.deployment_key",
        "INSERT INTO keystore.deployment_key (purpose, version, certificate, sealed_key) VALUES ('root', 9, 'x', 'x')",
    ],
)
async def test_no_other_role_reads_the_keys_or_adds_an_anchor(parts: Parts, role: str, statement: str) -> None:
    async with getattr(parts.database, role).connect() as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(text(statement))


async def test_the_key_role_itself_changes_and_deletes_no_key(parts: Parts) -> None:
    await DeploymentKeys(parts.database, parts.keyring).add(WATERMARK, 1, certificate=None, secret=b"k" * 32)
    for statement in ("UPDATE keystore.deployment_key SET sealed_key = 'x'", "DELETE FROM keystore.deployment_key"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with parts.database.keystore(DEPLOYMENT) as session:
                await (await session.connection()).execute(text(statement))


async def test_rotating_the_deployments_own_keks_keeps_its_keys_open(parts: Parts, keyring: Keyring) -> None:
    keys = DeploymentKeys(parts.database, keyring)
    added = await keys.add(WATERMARK, 1, certificate=None, secret=b"k" * 32)
    await keyring.rotate_tenant(DEPLOYMENT)
    assert await keys.open(added) == b"k" * 32
