"""Links that open one asset for a few minutes, without a credential.

A token is base64url, unpadded, of 73 bytes:

    version 1 (1) | tenant (16) | asset (16) | expiry, Unix seconds, big-endian (8) | MAC (32)

The MAC is the keyed index of the tenant over asset and expiry, under a field name of its own, so it is worth nothing
anywhere else. Nothing is stored: a link dies at its expiry, or with the asset.
"""

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.clock import now
from core.errors import CredentialExpired, NotFound
from core.keyring.service import Keyring

LONGEST = timedelta(minutes=15)

_VERSION = 1
_LAYOUT = struct.Struct(">B16s16sQ")
_MAC_BYTES = 32
_FIELD = "asset-link"


class LinkExpired(CredentialExpired):
    code = "link_expired"
    title = "This link has expired."
    remedy = "Ask for a fresh one with POST /v1/assets/{id}/link."


@dataclass(frozen=True)
class Link:
    """What a link opens, and until when. It is a claim until `verify` has held its MAC against it."""

    tenant_id: UUID
    asset_id: UUID
    expires_at: datetime
    mac: bytes


async def sign(keyring: Keyring, *, tenant_id: UUID, asset_id: UUID, lifetime: timedelta) -> tuple[str, datetime]:
    """A token and the moment of its end. `lifetime` is at most `LONGEST`; more is a ValueError."""
    if not timedelta(0) < lifetime <= LONGEST:
        raise ValueError("a link lives for at most fifteen minutes")
    expiry = int((now() + lifetime).timestamp())
    head = _LAYOUT.pack(_VERSION, tenant_id.bytes, asset_id.bytes, expiry)
    token = base64.urlsafe_b64encode(head + await _mac(keyring, tenant_id, asset_id, expiry))
    return token.rstrip(b"=").decode(), datetime.fromtimestamp(expiry, UTC)


def read(token: str) -> Link:
    """What a token claims. Raises `NotFound` when it has another form, `LinkExpired` after its end."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise NotFound from None
    if len(raw) != _LAYOUT.size + _MAC_BYTES or raw[0] != _VERSION:
        raise NotFound
    _, tenant, asset, expiry = _LAYOUT.unpack(raw[: _LAYOUT.size])
    if expiry <= now().timestamp():
        raise LinkExpired
    return Link(
        tenant_id=UUID(bytes=tenant),
        asset_id=UUID(bytes=asset),
        expires_at=datetime.fromtimestamp(min(expiry, (now() + LONGEST).timestamp()), UTC),
        mac=raw[_LAYOUT.size :],
    )


async def verify(keyring: Keyring, link: Link) -> None:
    """Raise `NotFound` unless we signed exactly this. The tenant must exist: ask before."""
    expected = await _mac(keyring, link.tenant_id, link.asset_id, int(link.expires_at.timestamp()))
    if not hmac.compare_digest(expected, link.mac):
        raise NotFound


async def _mac(keyring: Keyring, tenant_id: UUID, asset_id: UUID, expiry: int) -> bytes:
    return await keyring.blind_index(tenant_id, _FIELD, f"{asset_id.hex}.{expiry}")
