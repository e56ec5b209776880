"""Standard Webhooks signatures (https://github.com/standard-webhooks/standard-webhooks, specification 1.0.0).

The signed text is `<webhook-id>.<webhook-timestamp>.<body>`; each secret gives one `v1,<base64 HMAC-SHA-256>`, and
while a secret rotates the header holds one for each, separated by a space. The last one, `v1a,<base64 Ed25519>`, is of
the deployment's own key, published under `/.well-known/likeness/keys`: it needs no shared secret, so that it can be
checked by whoever the message is shown to. The id stays the same over all tries, so that a receiver can tell a
repetition; the timestamp is that of the try, so that an old one cannot be replayed.
"""

import base64
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core.keyring.signing_keys import SigningKey

_PREFIX = "whsec_"
_SECRET_BYTES = 32  # the specification asks for 24 to 64


def new_secret() -> bytes:
    """A fresh random secret of 32 bytes."""
    return secrets.token_bytes(_SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """The secret as a receiver is given it: `whsec_<base64>`."""
    return _PREFIX + base64.b64encode(secret).decode()


def body(event_type: str, *, at: datetime, data: Mapping[str, Any]) -> bytes:
    """The body: type, timestamp of the event (RFC 3339, UTC), and its thin data."""
    moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = {"type": event_type, "timestamp": moment, "data": data}
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def headers(
    message_id: str, *, at: datetime, payload: bytes, with_secrets: Sequence[bytes], with_key: SigningKey
) -> dict[str, str]:
    """The three headers of one try. Raises ValueError without a secret, or with an id that could be misread."""
    if not with_secrets or "." in message_id:
        raise ValueError("a message is signed with a secret, and its id has no full stop")
    timestamp = str(int(at.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), payload))
    signatures = [("v1", hmac.digest(secret, signed, "sha256")) for secret in with_secrets]
    signatures.append(("v1a", with_key.sign(signed)))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"{version},{base64.b64encode(made).decode()}" for version, made in signatures),
    }
