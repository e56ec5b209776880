"""Sealing: small values in one piece, objects as streams.

Invariants of this file:
- A seal opens only with the same key and the same context; anything else is `SealBroken`, which says no more.
- No byte of clear text leaves before its own tag was checked. The end of a stream is checked too: a stream that was
  cut raises after its last good block, so whoever consumes one must treat what came before as void when it raises.

Small values (keys, personal fields, secrets) are AES-256-GCM with the context as additional data:

    format (1 byte, 0x01) || nonce (12 random bytes) || ciphertext || tag (16 bytes)

Objects are Cobblestone-256 (c2sp.org/chunked-encryption with SHA-512 and AES-256-GCM):

    salt (24 random bytes) || commitment (32 bytes) || chunks of 16 KiB + tag (16 bytes), the last one always shorter
"""

import os
from collections.abc import AsyncIterator, Iterator

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import IntegrityError
from core.keyring.context import Context

KEY_BYTES = 32
_FORMAT = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_VALUE_OVERHEAD = len(_FORMAT) + _NONCE_BYTES + _TAG_BYTES
_BLOCK_BYTES = 1 << 20


class SealBroken(IntegrityError):
    """A seal did not open: wrong key, wrong context, or altered bytes. Which of them is not said, on purpose."""


def new_key() -> bytes:
    """32 bytes from the system's random source."""
    return os.urandom(KEY_BYTES)


def seal_value(cipher: AESGCM, context: bytes, value: bytes) -> bytes:
    """One small value, sealed and bound to its encoded context."""
    nonce = os.urandom(_NONCE_BYTES)
    return _FORMAT + nonce + cipher.encrypt(nonce, value, context)


def open_value(cipher: AESGCM, context: bytes, sealed: bytes) -> bytes:
    """The value in a seal made by `seal_value`. Raises SealBroken."""
    if len(sealed) < _VALUE_OVERHEAD or sealed[:1] != _FORMAT:
        raise SealBroken("not a sealed value")
    nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        return cipher.decrypt(nonce, body, context)
    except InvalidTag:
        raise SealBroken("a sealed value did not open") from None


async def seal_stream(key: bytes, context: Context, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The sealed form of a stream. key: 32 random bytes used for this object alone. Memory does not grow with it."""
    encryptor = Cobblestone256Encryptor(key, context.encode())
    async for chunk in chunks:
        for block in _blocks(chunk):
            if sealed := encryptor.update(block):
                yield sealed
    yield encryptor.finalize()


async def open_stream(key: bytes, context: Context, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The clear text of a sealed stream, block by verified block.

    Raises SealBroken at the first block that does not verify, and at the end when the stream was cut.
    """
    decryptor = Cobblestone256Decryptor(key, context.encode())
    try:
        async for chunk in chunks:
            for block in _blocks(chunk):
                if opened := decryptor.update(block):
                    yield opened
        if opened := decryptor.finalize():
            yield opened
    except InvalidTag:
        raise SealBroken("a sealed object did not open") from None


async def open_all(key: bytes, context: Context, chunks: AsyncIterator[bytes]) -> bytes:
    """The whole clear text, given out only once its last chunk was verified. Raises SealBroken."""
    return b"".join([block async for block in open_stream(key, context, chunks)])


def _blocks(chunk: bytes) -> Iterator[memoryview]:
    """The chunk in views of at most 1 MiB, so that one large chunk neither doubles in memory nor holds the loop."""
    view = memoryview(chunk)
    for start in range(0, len(view), _BLOCK_BYTES):
        yield view[start : start + _BLOCK_BYTES]
