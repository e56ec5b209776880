"""Whose exports are taken in: those that a key of ours signed, and those of issuers whose keys this deployment holds.

Keys are never fetched: a file names the issuer, and who names is no proof. Whoever runs the service puts the other's
published key set into a file and says whose it is.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core.errors import ExportAltered, ExportUntrusted, IntegrityError
from core.keyring.signing_keys import SigningKeys, thumbprint
from core.portability.manifest import signed_bytes

_KEY_BYTES = 32


async def trusted_keys(signing: SigningKeys, anchors: Mapping[str, Path]) -> dict[tuple[str | None, str], bytes]:
    """Public keys by (issuer, name of the key). Our own are good whatever our address was: their issuer is None.

    Raises `IntegrityError` for a file of anchors that cannot be read.
    """
    found: dict[tuple[str | None, str], bytes] = {
        (None, key.key_id): key.public_key for key in await signing.published()
    }
    for issuer, path in anchors.items():
        try:
            keys = json.loads(path.read_bytes())["keys"]
            for key in keys:
                public = base64.urlsafe_b64decode(key["x"] + "=")
                if len(public) == _KEY_BYTES and key.get("crv") == "Ed25519":
                    found[issuer.rstrip("/"), thumbprint(public)] = public
        except (OSError, ValueError, KeyError, TypeError, binascii.Error) as error:
            raise IntegrityError("a file of trusted keys cannot be read") from error
    return found


def require_trusted(manifest: Mapping[str, Any], keys: Mapping[tuple[str | None, str], bytes]) -> str:
    """The name of the key that signed. Raises `ExportUntrusted` for a stranger's, `ExportAltered` if it is not so."""
    signature = manifest.get("signature")
    if not isinstance(signature, dict) or signature.get("alg") != "Ed25519":
        raise ExportUntrusted
    name, issuer = str(signature.get("kid")), str(manifest.get("issuer"))
    key = keys.get((None, name)) or keys.get((issuer.rstrip("/"), name))
    if key is None:
        raise ExportUntrusted
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(
            bytes.fromhex(str(signature.get("value"))), signed_bytes(manifest)
        )
    except (InvalidSignature, ValueError, TypeError):
        raise ExportAltered from None
    return name
