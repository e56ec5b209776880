"""Signed links: what we signed opens, and nothing else."""

from datetime import timedelta
from uuid import uuid4

import pytest

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import NotFound
from core.storage import links
from core.storage.links import LinkExpired
from tests.scenes import a_platform


async def test_what_was_signed_reads_back_and_verifies(parts: Parts) -> None:
    tenant_id, asset_id = (await a_platform(parts)).tenant_id, uuid4()
    token, ends = await links.sign(
        parts.keyring, tenant_id=tenant_id, asset_id=asset_id, lifetime=timedelta(minutes=15)
    )
    link = links.read(token)
    assert (link.tenant_id, link.asset_id, link.expires_at) == (tenant_id, asset_id, ends)
    await links.verify(parts.keyring, link)


async def test_a_link_ends_when_it_says(parts: Parts) -> None:
    tenant_id = (await a_platform(parts)).tenant_id
    token, ends = await links.sign(parts.keyring, tenant_id=tenant_id, asset_id=uuid4(), lifetime=timedelta(seconds=5))
    with frozen_at(ends - timedelta(seconds=1)):
        links.read(token)
    with frozen_at(ends), pytest.raises(LinkExpired):
        links.read(token)


async def test_a_link_of_one_tenant_is_none_of_another(parts: Parts) -> None:
    mine, theirs, asset_id = (await a_platform(parts)).tenant_id, (await a_platform(parts)).tenant_id, uuid4()
    lifetime = timedelta(minutes=1)
    link = links.read((await links.sign(parts.keyring, tenant_id=mine, asset_id=asset_id, lifetime=lifetime))[0])
    for changed in (
        links.Link(theirs, link.asset_id, link.expires_at, link.mac),
        links.Link(mine, uuid4(), link.expires_at, link.mac),
        links.Link(mine, link.asset_id, link.expires_at + timedelta(seconds=1), link.mac),
        links.Link(mine, link.asset_id, link.expires_at, bytes(32)),
    ):
        with pytest.raises(NotFound):
            await links.verify(parts.keyring, changed)


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(seconds=-1), timedelta(minutes=15, seconds=1)])
async def test_no_link_is_signed_for_longer_than_fifteen_minutes(parts: Parts, lifetime: timedelta) -> None:
    with pytest.raises(ValueError, match="fifteen minutes"):
        await links.sign(parts.keyring, tenant_id=uuid4(), asset_id=uuid4(), lifetime=lifetime)


@pytest.mark.parametrize("token", ["", "x", "A" * 98, "é", "AQ==", "." * 98])
def test_text_of_another_form_is_no_link(token: str) -> None:
    with pytest.raises(NotFound):
        links.read(token)


def test_an_expiry_far_ahead_is_read_as_at_most_fifteen_minutes() -> None:
    import base64
    import struct

    raw = struct.pack(">B16s16sQ", 1, bytes(16), bytes(16), 2**63) + bytes(32)
    link = links.read(base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
    assert link.expires_at <= now() + links.LONGEST
