"""The manifest of an export: what is in the file, signed, so that anyone can check it and nobody can change it.

It is JSON in canonical form (RFC 8785, here: sorted names, no spaces, whole numbers) and a newline. What is signed is
the format's name, a newline, and the canonical form of everything but the signature. `infra/verify_export.py` checks
it and says how; it shares no line with this module.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.keyring.signing_keys import SigningKey
from core.portability.archive import Entry
from core.portability.contents import FORMAT

NAME: Final = "manifest.json"
JSON: Final = "application/json"


def manifest_of(
    facts: Mapping[str, Any], entries: Sequence[Entry], *, left_out: Sequence[Mapping[str, str]], key: SigningKey
) -> bytes:
    """The signed manifest. facts: whose export this is, from where, of when."""
    said = {
        "format": FORMAT,
        **facts,
        "entries": [
            {"name": one.name, "media_type": one.media_type, "bytes": one.bytes, "sha256": one.sha256}
            for one in entries
        ],
        "left_out": [dict(one) for one in left_out],
    }
    signature = key.sign(signed_bytes(said))
    return canonical({**said, "signature": {"alg": "Ed25519", "kid": key.key_id, "value": signature.hex()}}) + b"\n"


def signed_bytes(said: Mapping[str, Any]) -> bytes:
    """What the signature is over: everything but itself."""
    return FORMAT.encode() + b"\n" + canonical({name: value for name, value in said.items() if name != "signature"})


def canonical(value: Mapping[str, Any]) -> bytes:
    """RFC 8785 for ASCII names and whole numbers, which is all that a manifest holds."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
