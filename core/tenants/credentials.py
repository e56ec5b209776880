"""The text of an API key: `lk_live_<id>_<secret><checksum>`.

id: 32 hexadecimal digits, the row's UUID. secret: 256 random bits in base 62, 43 characters. checksum: CRC-32 of
everything before it, in base 62, 6 characters: a typo, or a key cut short, is refused without asking the database,
and a leaked key can be told from chance by a scanner (the format of GitHub's tokens).
"""

import hashlib
import re
import secrets
import string
import zlib
from dataclasses import dataclass
from uuid import UUID

from core.errors import CredentialInvalid
from core.tenants.models import Mode

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
_TEXT = re.compile(
    rf"lk_(live|test)_([0-9a-f]{{32}})_([0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)


@dataclass(frozen=True)
class Credential:
    """A key as read from text. `secret_hash` is what is stored and compared."""

    key_id: UUID
    mode: Mode
    secret_hash: bytes


def mint(key_id: UUID, mode: Mode) -> tuple[str, bytes]:
    """A fresh key for this row: its text, shown once, and the hash to store."""
    secret = _base62(secrets.randbits(256), _SECRET_LENGTH)
    body = f"lk_{mode.value}_{key_id.hex}_{secret}"
    return body + _checksum(body), _hash(secret)


def read(text: str) -> Credential:
    """Read a key's text. Raises `CredentialInvalid` when it has not the form, or the checksum does not hold."""
    found = _TEXT.fullmatch(text)
    if found is None or _checksum(text[:-_CHECKSUM_LENGTH]) != found[4]:
        raise CredentialInvalid
    return Credential(key_id=UUID(hex=found[2]), mode=Mode(found[1]), secret_hash=_hash(found[3]))


def _hash(secret: str) -> bytes:
    # The secret has 256 bits of entropy, so a plain hash cannot be searched and needs no stretching.
    return hashlib.sha256(secret.encode()).digest()


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
