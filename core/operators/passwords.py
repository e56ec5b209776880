"""Operators' passwords: Argon2id with the second recommendation of RFC 9106, section 4 (64 MiB, three passes).

A stored hash says its own parameters, so raising them here leaves the old ones readable. Checking an account that is
not there costs the same as checking one that is. At most two are computed at once, so that nobody fills the memory.
"""

import asyncio
import functools
import secrets

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from core.operators.errors import PasswordWeak

SHORTEST, LONGEST = 12, 256
_DIFFERENT = 6
_MEMORY_KIB, _PASSES, _LANES = 64 * 1024, 3, 4
_at_once = asyncio.Semaphore(2)
# The hash of a password that nobody knows.
_NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def require_strong(password: str, *about: str | None) -> None:
    """Raise `PasswordWeak`. about: words that everybody knows of its owner."""
    known = [word for text in about if text for word in text.casefold().replace("@", " ").split()]
    left = functools.reduce(lambda rest, word: rest.replace(word, ""), known, password.casefold())
    guessable = len(set(password)) < _DIFFERENT or len(left) < SHORTEST // 2
    if guessable or not SHORTEST <= len(password) <= LONGEST:
        raise PasswordWeak


async def digest(password: str) -> str:
    """The password's hash, in the PHC string format."""
    async with _at_once:
        return await asyncio.to_thread(_derive, password.encode())


async def matches(password: str, stored: str | None) -> bool:
    """Whether this is the password. Without a stored hash the work is done all the same, and the answer is no."""
    async with _at_once:
        found = await asyncio.to_thread(_verify, password.encode(), stored or _NOBODYS)
    return found and stored is not None


def _derive(password: bytes) -> str:
    kdf = Argon2id(salt=secrets.token_bytes(16), length=32, iterations=_PASSES, lanes=_LANES, memory_cost=_MEMORY_KIB)
    return kdf.derive_phc_encoded(password)


def _verify(password: bytes, stored: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password, stored)
    except InvalidKey:
        return False
    return True
