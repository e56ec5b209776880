"""Checkpoints as text: C2SP tlog-checkpoint (c2sp.org/tlog-checkpoint) in a signed note (c2sp.org/signed-note).

likeness/ten_0199b3…                      origin: one log per tenant
4711                                      tree size
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=   root hash
<blank line>
— likeness/ten_0199b3… base64(key id ‖ Ed25519 signature over the three lines above)

key id = SHA-256(key name ‖ 0x0A ‖ 0x01 ‖ public key)[:4]; the key's name is the origin
"""

import base64
import hashlib
from typing import Protocol
from uuid import UUID

from core.ids import Prefix, public

_ED25519 = b"\x01"


class Signer(Protocol):
    """What signs checkpoints. public_key: 32 bytes."""

    @property
    def public_key(self) -> bytes:
        """The Ed25519 public key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        ...


def origin(tenant_id: UUID) -> str:
    """The name of a tenant's log."""
    return f"likeness/{public(Prefix.TENANT, tenant_id)}"


def key_id(name: str, public_key: bytes) -> bytes:
    """The 4 bytes that name a key in a signature line."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def verifier_key(name: str, public_key: bytes) -> str:
    """The key in the one-line form that log tools take: `name+hex(key id)+base64(0x01 ‖ public key)`."""
    return f"{name}+{key_id(name, public_key).hex()}+{base64.b64encode(_ED25519 + public_key).decode()}"


def checkpoint_text(name: str, *, size: int, root_hash: bytes) -> str:
    """The text that is signed, with its final newline."""
    return f"{name}\n{size}\n{base64.b64encode(root_hash).decode()}\n"


def sign(text: str, *, name: str, signer: Signer) -> str:
    """The signed note."""
    blob = key_id(name, signer.public_key) + signer.sign(text.encode())
    return f"{text}\n— {name} {base64.b64encode(blob).decode()}\n"


def signature_bytes(signed: str) -> bytes:
    """The 68 bytes of a signed note's only signature line: key id, then signature."""
    return base64.b64decode(signed.rstrip("\n").rsplit(" ", 1)[1])
