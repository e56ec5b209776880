"""One-time codes by RFC 6238: six digits, SHA-1, 30 seconds, which is what every authenticator app reads.

A code is good in its own step and in those before and after it, and once: a step at or before the last one used opens
nothing. Recovery codes are for whoever lost the device; each has 80 random bits and is good once.
"""

import base64
import hashlib
import hmac
import re
import secrets
from datetime import datetime

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

ISSUER = "Likeness"
RECOVERY_CODES = 8
_STEP_SECONDS = 30
_DRIFT = 1
_SECRET_BYTES = 20
_CODE = re.compile(r"[0-9]{6}")
_RECOVERY = re.compile(r"[A-Z2-7]{16}")


def new_secret() -> bytes:
    """A shared secret of 160 bits (RFC 4226, section 4)."""
    return secrets.token_bytes(_SECRET_BYTES)


def uri(secret: bytes, account: str) -> str:
    """What an authenticator app reads, as a picture or by hand."""
    return _totp(secret).get_provisioning_uri(account, ISSUER)


def text(secret: bytes) -> str:
    """The secret as people type it where no picture can be read."""
    return base64.b32encode(secret).decode()


def matching_step(secret: bytes, code: str, *, after: int, moment: datetime) -> int | None:
    """The time step that this code belongs to, if it is near and later than `after`; else None."""
    if not _CODE.fullmatch(code):
        return None
    current = int(moment.timestamp()) // _STEP_SECONDS
    for step in range(current - _DRIFT, current + _DRIFT + 1):
        if step > after and _is(secret, code, step):
            return step
    return None


def code_at(secret: bytes, moment: datetime) -> str:
    """The code that an authenticator shows at that moment."""
    return _totp(secret).generate(int(moment.timestamp())).decode()


def new_recovery_codes() -> tuple[list[str], list[str]]:
    """Fresh codes, shown once, and the hashes that are stored."""
    plain = [base64.b32encode(secrets.token_bytes(10)).decode() for _ in range(RECOVERY_CODES)]
    return ["-".join(code[at : at + 4] for at in range(0, 16, 4)) for code in plain], [_hash(code) for code in plain]


def without_recovery_code(stored: list[str], code: str) -> list[str] | None:
    """The hashes that are left once this recovery code is used; None when it is none of them."""
    plain = code.upper().replace("-", "").replace(" ", "")
    if not _RECOVERY.fullmatch(plain):
        return None
    given = _hash(plain)
    left = [one for one in stored if not hmac.compare_digest(one, given)]
    return left if len(left) < len(stored) else None


def _is(secret: bytes, code: str, step: int) -> bool:
    try:
        _totp(secret).verify(code.encode(), step * _STEP_SECONDS)
    except InvalidToken:
        return False
    return True


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, 6, SHA1(), _STEP_SECONDS, enforce_key_length=True)  # noqa: S303 (RFC 6238's own, inside an HMAC)


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
