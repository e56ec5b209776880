"""The sealing format, checked against a second reading of the public specification (c2sp.org/chunked-encryption)."""

import hashlib
import hmac
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from core.keyring.context import Context
from core.keyring.sealing import SealBroken, new_key, open_all, open_stream, open_value, seal_stream, seal_value

CHUNK = 16 * 1024
TAG = 16
HEADER = 24 + 32
KEY = bytes(range(32))
CONTEXT = Context(UUID(int=1), "photo", subject=UUID(int=2), object_id=UUID(int=3), version=4)
OTHERS = [
    replace(CONTEXT, tenant=UUID(int=9)),
    replace(CONTEXT, subject=UUID(int=9)),
    replace(CONTEXT, subject=None),
    replace(CONTEXT, object_id=UUID(int=9)),
    replace(CONTEXT, kind="headshot"),
    replace(CONTEXT, version=5),
    replace(CONTEXT, subject=CONTEXT.object_id, object_id=CONTEXT.subject),
]
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 77]


def hkdf_expand_sha512(prk: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, section 2.3."""
    output, block, counter = b"", b"", 1
    while len(output) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), hashlib.sha512)
        output, counter = output + block, counter + 1
    return output[:length]


def schedule(key: bytes, salt: bytes, context: bytes) -> tuple[bytes, bytes, bytes]:
    info = b"c2sp.org/chunked-encryption@v1+" + b"AEAD_AES_256_GCM" + b"\x00" + salt + context
    derived = hkdf_expand_sha512(key, info, 32 + 12 + 32)
    return derived[:32], derived[32:44], derived[44:]


def nonce_of(base: bytes, number: int) -> bytes:
    return (int.from_bytes(base, "big") ^ number).to_bytes(12, "big")


def independent_seal(key: bytes, salt: bytes, context: bytes, clear: bytes) -> bytes:
    message_key, base, commitment = schedule(key, salt, context)
    pieces = [clear[start : start + CHUNK] for start in range(0, len(clear) + 1, CHUNK)]
    assert len(pieces[-1]) < CHUNK, "the last chunk is always shorter, and may be empty"
    sealed = [AESGCM(message_key).encrypt(nonce_of(base, number), piece, b"") for number, piece in enumerate(pieces)]
    return salt + commitment + b"".join(sealed)


def independent_open(key: bytes, context: bytes, sealed: bytes) -> bytes:
    message_key, base, commitment = schedule(key, sealed[:24], context)
    assert sealed[24:56] == commitment
    body = sealed[56:]
    pieces = [body[start : start + CHUNK + TAG] for start in range(0, len(body), CHUNK + TAG)]
    assert TAG <= len(pieces[-1]) < CHUNK + TAG
    return b"".join(
        AESGCM(message_key).decrypt(nonce_of(base, number), piece, b"") for number, piece in enumerate(pieces)
    )


async def stream(data: bytes, size: int = 5000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def seal(clear: bytes, context: Context = CONTEXT, size: int = 5000) -> bytes:
    return b"".join([block async for block in seal_stream(KEY, context, stream(clear, size))])


async def opened(sealed: bytes, context: Context = CONTEXT, key: bytes = KEY) -> bytes:
    return await open_all(key, context, stream(sealed))


def clear_of(size: int) -> bytes:
    return hashlib.shake_256(size.to_bytes(4, "big")).digest(size)


@pytest.mark.parametrize("size", SIZES)
async def test_what_we_seal_an_independent_reader_of_the_specification_opens(size: int) -> None:
    sealed = await seal(clear_of(size))
    assert len(sealed) == HEADER + size + TAG * (size // CHUNK + 1)
    assert independent_open(KEY, CONTEXT.encode(), sealed) == clear_of(size)


@pytest.mark.parametrize("size", SIZES)
async def test_what_an_independent_writer_of_the_specification_seals_we_open(size: int) -> None:
    sealed = independent_seal(KEY, bytes(range(24)), CONTEXT.encode(), clear_of(size))
    assert await opened(sealed) == clear_of(size)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3 * CHUNK), st.integers(1, 3 * CHUNK), st.integers(1, 3 * CHUNK))
async def test_how_a_stream_is_cut_into_pieces_does_not_matter(size: int, sealing: int, opening: int) -> None:
    sealed = await seal(clear_of(size), size=sealing)
    assert await open_all(KEY, CONTEXT, stream(sealed, opening)) == clear_of(size)


async def test_every_seal_has_its_own_salt() -> None:
    assert (await seal(b"same"))[:24] != (await seal(b"same"))[:24]


REGIONS = {
    "first byte of the salt": 0,
    "last byte of the salt": 23,
    "first byte of the commitment": 24,
    "last byte of the commitment": 55,
    "first byte of the first chunk": HEADER,
    "first tag": HEADER + CHUNK,
    "last byte of the first tag": HEADER + CHUNK + TAG - 1,
    "middle chunk": HEADER + CHUNK + TAG + 100,
    "middle tag": HEADER + 2 * CHUNK + TAG + 3,
    "last chunk": HEADER + 2 * (CHUNK + TAG) + 5,
    "last byte": -1,
}


@pytest.mark.parametrize("place", REGIONS.values(), ids=REGIONS.keys())
async def test_one_flipped_bit_in_any_region_is_refused(place: int) -> None:
    sealed = bytearray(await seal(clear_of(2 * CHUNK + 50)))
    sealed[place] ^= 0x01
    with pytest.raises(SealBroken):
        await opened(bytes(sealed))


@pytest.mark.parametrize("other", OTHERS)
async def test_an_object_opens_in_no_other_context(other: Context) -> None:
    sealed = await seal(b"a face")
    with pytest.raises(SealBroken):
        await opened(sealed, other)


async def test_an_object_opens_under_no_other_key() -> None:
    sealed = await seal(b"a face")
    with pytest.raises(SealBroken):
        await opened(sealed, key=new_key())


@pytest.mark.parametrize("size", [0, CHUNK, 3 * CHUNK + 77])
async def test_an_object_cut_at_or_near_any_boundary_is_refused(size: int) -> None:
    sealed = await seal(clear_of(size))
    boundaries = {0, 24, HEADER, *range(HEADER, len(sealed), CHUNK + TAG)}
    for cut in {boundary + offset for boundary in boundaries for offset in (-1, 0, 1, TAG)} | {len(sealed) - 1}:
        if 0 <= cut < len(sealed):
            with pytest.raises(SealBroken):
                await opened(sealed[:cut])


@pytest.mark.parametrize("size", [10, CHUNK, CHUNK + 10])
async def test_an_object_with_something_appended_is_refused(size: int) -> None:
    sealed = await seal(clear_of(size))
    for more in (b"\x00", bytes(TAG), sealed[HEADER:], sealed):
        with pytest.raises(SealBroken):
            await opened(sealed + more)


async def test_chunks_that_were_swapped_dropped_or_repeated_are_refused() -> None:
    sealed = await seal(clear_of(3 * CHUNK + 5))
    whole = CHUNK + TAG
    head, one, two, rest = (
        sealed[:HEADER],
        *(sealed[HEADER + i * whole :][:whole] for i in (0, 1)),
        sealed[HEADER + 2 * whole :],
    )
    for wrong in (head + two + one + rest, head + one + rest, head + one + one + two + rest):
        with pytest.raises(SealBroken):
            await opened(wrong)


async def test_a_stream_gives_verified_blocks_and_then_tells_of_a_late_failure() -> None:
    clear = clear_of(3 * CHUNK + 5)
    sealed = bytearray(await seal(clear))
    sealed[-1] ^= 0x80
    given_out = b""

    async def consume() -> None:
        nonlocal given_out
        async for block in open_stream(KEY, CONTEXT, stream(bytes(sealed))):
            given_out += block

    with pytest.raises(SealBroken):
        await consume()
    assert given_out == clear[: len(given_out)]
    assert len(given_out) < len(clear)


async def test_a_failure_of_the_source_passes_through_and_seals_nothing_as_whole() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(CHUNK + 1)
        raise ConnectionResetError

    sealed = b""

    async def consume() -> None:
        nonlocal sealed
        async for block in seal_stream(KEY, CONTEXT, broken()):
            sealed += block

    with pytest.raises(ConnectionResetError):
        await consume()
    with pytest.raises(SealBroken):
        await opened(sealed)


async def test_fifty_megabytes_are_sealed_and_opened_in_flat_memory() -> None:
    block = bytes(1 << 20)

    async def clear() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield block

    tracemalloc.start()
    try:
        size = 0
        async for piece in open_stream(KEY, CONTEXT, seal_stream(KEY, CONTEXT, clear())):
            size += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 50 << 20
    assert peak < 8 << 20


@given(st.binary(max_size=200))
def test_a_sealed_value_opens_to_itself(value: bytes) -> None:
    cipher = AESGCM(KEY)
    assert open_value(cipher, CONTEXT.encode(), seal_value(cipher, CONTEXT.encode(), value)) == value


def test_a_sealed_value_with_any_byte_changed_or_missing_is_refused() -> None:
    cipher = AESGCM(KEY)
    sealed = seal_value(cipher, CONTEXT.encode(), b"value")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 0x10
        for wrong in (bytes(changed), sealed[:place], sealed + b"\x00"):
            with pytest.raises(SealBroken):
                open_value(cipher, CONTEXT.encode(), wrong)


@pytest.mark.parametrize("other", OTHERS)
def test_a_sealed_value_opens_in_no_other_context(other: Context) -> None:
    sealed = seal_value(AESGCM(KEY), CONTEXT.encode(), b"value")
    with pytest.raises(SealBroken):
        open_value(AESGCM(KEY), other.encode(), sealed)


def test_the_layout_of_a_sealed_value_is_the_documented_one() -> None:
    sealed = seal_value(AESGCM(KEY), CONTEXT.encode(), b"value")
    assert sealed[:1] == b"\x01"
    assert AESGCM(KEY).decrypt(sealed[1:13], sealed[13:], CONTEXT.encode()) == b"value"
