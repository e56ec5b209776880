"""The invisible mark: 64 bits in the brightness of a picture, laid over it as a faint keyed texture.

The picture is thought of as at most 512 px on its longer side and covered by tiles of 128 × 128 px. Each tile is one
real texture whose Fourier coefficients in a ring of middle frequencies all have the same size; the key chooses their
phases. Some are a beacon, by which place, scale and rotation are found again; each of the others carries one bit, as
its sign, of a Reed-Solomon code word over the mark.

To read, the picture is whitened and its spectrum is sampled at the ring, for every scale and rotation that is looked
for: power alone, which knows no place, picks the likely ones; there the beacon's phases say where the tile begins, and
how sure that is.

What a false find takes: for any picture that does not know the key, the phases between it and the beacon are uniform
and independent, so the statistic z of one place obeys P(z ≥ t) ≤ exp(-t²/2) whatever the picture shows (each term is
the cosine of a uniform phase, whose moment generating function I₀(s) is at most exp(s²/4)). Times the places looked at,
`BEACON` keeps it under 1e-6 per picture; the code then refuses nearly every random word again.

Loaded in the worker, the sandboxed reader and the verify command only. Arrays are numpy's; lengths are pixels.
"""

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from reedsolo import RSCodec

Plane = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

MARK_BYTES: Final = 8
SIDE: Final = 512
"""The longer side at which pictures are marked and read."""
TILE: Final = 128
SMALLEST: Final = 200
"""The longer side below which nothing is marked or looked for."""
BEACON: Final = 7.7
"""The least z of the beacon. exp(-7.7²/2) times the places looked at (see `places`) is under 1e-6."""

_RING = (8.0, 22.0)  # cycles a tile: wavelengths of 5.8 to 16 px at 512 px
_BEACON_SHARE = 0.35
_PARITY_BYTES = 8
_CODED_BITS = 8 * (MARK_BYTES + _PARITY_BYTES)
_SPECTRUM = 2 * SIDE
_PEAKS = 2 * TILE
_VOUCHED = 5.0
# The scales and rotations (degrees) looked for, and how many of them are looked at closely.
_SCALES = np.exp(np.arange(np.log(0.62), np.log(1.04), 0.004))
_TURNS = np.radians(np.arange(-6.0, 6.01, 0.25))
_CLOSE = 60
_DECODED = 6  # of those, how many are decoded at most


@dataclass(frozen=True, slots=True)
class Found:
    """A mark that was read.

    Attributes:
        mark: the 64 bits.
        z: of the beacon, see the module.
        scale: of the picture against the one that was marked, when both are brought to 512 px; below 1 for a crop.
        degrees: by which it was turned.
        corrected: bits of the code word's 128 that were not as read.
    """

    mark: bytes
    z: float
    scale: float
    degrees: float
    corrected: int


@dataclass(frozen=True)
class _Carrier:
    """The keyed ring. points: int [n, 2] as (row, column) in cycles a tile, half of the plane; phases: complex [n].

    beacon: how many of them, from the first on, are the beacon. bits: int [n - beacon], the bit that each one carries.
    """

    points: npt.NDArray[np.int64]
    phases: npt.NDArray[np.complex128]
    beacon: int
    bits: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Look:
    """One place looked at. at: scale and turn in radians; start: of a tile, in half pixels."""

    values: npt.NDArray[np.complex128]
    at: tuple[float, float]
    z: float
    start: tuple[int, int]


def places() -> int:
    """How many places one picture is looked at in: those near enough to be likely, times every start of a tile."""
    return _CLOSE * _PEAKS**2


def fits(width: int, height: int) -> bool:
    """Whether a picture of that size can be marked."""
    return max(width, height) >= SMALLEST and min(width, height) >= SMALLEST // 2


def texture(mark: bytes, key: bytes, *, width: int, height: int) -> Plane:
    """The texture of a mark for a picture of that size.

    Args:
        mark: 8 bytes.
        key: the deployment's watermark key.
        width: px.
        height: px.

    Returns:
        float32 [height, width], mean 0, standard deviation 1.
    """
    carrier = _carrier(key)
    signs = np.ones(len(carrier.points))
    signs[carrier.beacon :] = 1.0 - 2.0 * _encode(mark)[carrier.bits]
    spectrum = np.zeros((TILE, TILE), np.complex128)
    values = carrier.phases * signs
    rows, columns = carrier.points.T
    spectrum[rows % TILE, columns % TILE] = values
    spectrum[-rows % TILE, -columns % TILE] = np.conj(values)
    tile = np.fft.ifft2(spectrum).real
    tile /= tile.std()
    scale = SIDE / max(width, height)
    wide, high = width * scale, height * scale
    # One tile more than is needed on every side, so that resizing knows what lies beyond the edge.
    sheet = np.tile(tile, (int(high) // TILE + 3, int(wide) // TILE + 3)).astype(np.float32)
    box = (TILE, TILE, TILE + wide, TILE + high)
    stretched = Image.fromarray(sheet).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return np.asarray(stretched, np.float32)


def find(picture: Picture, key: bytes) -> Found | None:
    """Read the mark of a picture, upright or nearly so, whole or cropped.

    Args:
        picture: uint8 [H, W, 3] sRGB, or [H, W] of brightness.
        key: the deployment's watermark key.

    Returns:
        The mark, or None where there is none to be sure of.
    """
    if not fits(picture.shape[1], picture.shape[0]):
        return None
    carrier = _carrier(key)
    spectrum = _spectrum(_whitened(_small(picture)))
    looks = [_look(spectrum, carrier, at) for at in _likely(np.abs(spectrum) ** 2, carrier)]
    for look in sorted(looks, key=lambda look: look.z, reverse=True)[:_DECODED]:
        found = _decoded(look, carrier)
        if found is not None:
            return found
    return None


def find_in_place(picture: Picture, key: bytes) -> Found | None:
    """As `find`, for a picture that was neither cropped nor turned: ten times as fast, so that every file is proved."""
    if not fits(picture.shape[1], picture.shape[0]):
        return None
    carrier = _carrier(key)
    plane = _whitened(_small(picture))
    high, wide = (-(-length // TILE) * TILE for length in plane.shape)
    room = np.zeros((high, wide), np.float32)
    room[: plane.shape[0], : plane.shape[1]] = plane
    folded = room.reshape(high // TILE, TILE, wide // TILE, TILE).sum(axis=(0, 2))
    rows, columns = carrier.points.T
    values = np.fft.fft2(folded)[rows % TILE, columns % TILE] * np.conj(carrier.phases)
    return _decoded(_looked(values, carrier, (1.0, 0.0)), carrier)


def beacon_strength(picture: Picture, key: bytes) -> float:
    """The largest z of the beacon over all places that `find` looks at: for measuring how rare false finds are."""
    carrier = _carrier(key)
    spectrum = _spectrum(_whitened(_small(picture)))
    return max(_look(spectrum, carrier, at).z for at in _likely(np.abs(spectrum) ** 2, carrier))


def _encode(mark: bytes) -> npt.NDArray[np.int64]:
    word = bytes(RSCodec(_PARITY_BYTES).encode(mark))
    return np.unpackbits(np.frombuffer(word, np.uint8)).astype(np.int64)


@lru_cache(maxsize=8)
def _carrier(key: bytes) -> _Carrier:
    top = int(_RING[1])
    rows, columns = np.mgrid[0 : top + 1, -top : top + 1]
    radius = np.hypot(rows, columns)
    half = (radius >= _RING[0]) & (radius <= _RING[1]) & ((rows > 0) | (columns > 0))
    points = np.stack([rows[half], columns[half]], axis=1).astype(np.int64)
    count = len(points)
    # SHAKE rather than a generator of numpy's, whose streams may change between versions.
    stream = hashlib.shake_256(b"likeness.watermark.1" + key).digest(12 * count)
    order = np.argsort(np.frombuffer(stream[: 8 * count], "<u8"), kind="stable")
    angles = np.frombuffer(stream[8 * count :], "<u4") / 2**32 * 2 * np.pi
    beacon = round(_BEACON_SHARE * count)
    bits = np.arange(count - beacon) % _CODED_BITS
    return _Carrier(points[order], np.exp(1j * angles), beacon, bits)


def _small(picture: Picture) -> Plane:
    """Brightness, at 512 px on the longer side."""
    image = Image.fromarray(picture).convert("L")
    factor = SIDE / max(image.size)
    size = (max(round(image.width * factor), 1), max(round(image.height * factor), 1))
    if size == image.size:
        return np.asarray(image, np.float32)
    resampling = Image.Resampling.BOX if factor <= 0.5 else Image.Resampling.BICUBIC  # noqa: PLR2004 (halves or less)
    plane: Plane = np.asarray(Image.fromarray(np.asarray(image, np.float32)).resize(size, resampling), np.float32)
    return plane


def _whitened(plane: Plane) -> Plane:
    """Without the picture's own large forms, and equally lively everywhere."""
    detail = plane - _blurred(_blurred(plane, 9), 9)
    # Rounding may leave the mean square of a flat place a little below zero.
    lively = np.sqrt(np.maximum(_blurred(detail**2, 17), 0)) + 0.8
    whitened: Plane = np.clip(detail / lively, -2.5, 2.5).astype(np.float32)
    return whitened


def _blurred(plane: Plane, window: int) -> Plane:
    """The mean over a square of `window` px (odd), edges repeated."""
    reach = window // 2
    padded = np.pad(plane, reach + 1, mode="edge").astype(np.float64)[:-1, :-1]
    total = padded.cumsum(0).cumsum(1)
    summed = total[window:, window:] - total[:-window, window:] - total[window:, :-window] + total[:-window, :-window]
    mean: Plane = (summed / window**2).astype(np.float32)
    return mean


def _spectrum(plane: Plane) -> npt.NDArray[np.complex128]:
    """The spectrum [1024, 1024], as if the picture's middle were the origin."""
    high, wide = plane.shape
    room = np.zeros((_SPECTRUM, _SPECTRUM), np.float32)
    room[:high, :wide] = plane
    middled = np.roll(room, (-(high // 2), -(wide // 2)), axis=(0, 1))
    return np.asarray(np.fft.fft2(middled), np.complex128)


def _frequencies(carrier: _Carrier, scale: float, turn: float) -> npt.NDArray[np.float64]:
    """Where the ring lies in the spectrum, in its bins, when the picture is scaled and turned: float [n, 2]."""
    cosine, sine = np.cos(turn), np.sin(turn)
    rows, columns = carrier.points.T * (_SPECTRUM / TILE * scale)
    return np.stack([cosine * rows - sine * columns, sine * rows + cosine * columns], axis=1)


def _likely(power: npt.NDArray[np.float64], carrier: _Carrier) -> list[tuple[float, float]]:
    """The scales and turns whose ring holds the most power against its neighbourhood, as it stands first of all."""
    level = _blurred(power.astype(np.float32), 17) + 1e-9
    relative = np.minimum(power / level, 6.0).astype(np.float32)
    scores = np.empty((len(_SCALES), len(_TURNS)))
    for i, scale in enumerate(_SCALES):
        for j, turn in enumerate(_TURNS):
            at = np.rint(_frequencies(carrier, scale, turn)).astype(np.int64)
            scores[i, j] = relative[at[:, 0], at[:, 1]].sum()
    best = np.argsort(scores, axis=None)[::-1][: _CLOSE - 1]
    rows, columns = np.unravel_index(best, scores.shape)
    return [(1.0, 0.0), *((float(_SCALES[i]), float(_TURNS[j])) for i, j in zip(rows, columns, strict=True))]


def _sampled(
    spectrum: npt.NDArray[np.complex128], carrier: _Carrier, scale: float, turn: float
) -> npt.NDArray[np.complex128]:
    """The spectrum at the ring, bilinear between bins: complex [n], against the carrier's phases."""
    at = _frequencies(carrier, scale, turn)
    low = np.floor(at).astype(np.int64)
    part = at - low
    value = np.zeros(len(at), np.complex128)
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - down - part[:, 0]) * np.abs(1 - right - part[:, 1])
            value += weight * spectrum[low[:, 0] + down, low[:, 1] + right]
    return value * np.conj(carrier.phases)


def _look(spectrum: npt.NDArray[np.complex128], carrier: _Carrier, at: tuple[float, float]) -> _Look:
    return _looked(_sampled(spectrum, carrier, at[0], at[1]), carrier, at)


def _looked(values: npt.NDArray[np.complex128], carrier: _Carrier, at: tuple[float, float]) -> _Look:
    """The best start of a tile. Only the beacon's phases count, so that no strong line of a picture can shout."""
    count = carrier.beacon
    unit = values[:count] / (np.abs(values[:count]) + 1e-12)
    room = np.zeros((_PEAKS, _PEAKS), np.complex128)
    room[carrier.points[:count, 0] % _PEAKS, carrier.points[:count, 1] % _PEAKS] = unit
    sums = np.fft.ifft2(room).real * _PEAKS**2
    row, column = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return _Look(values, at, float(sums[row, column] / np.sqrt(count / 2)), (int(row), int(column)))


def _decoded(look: _Look, carrier: _Carrier) -> Found | None:
    if look.z < BEACON:
        return None
    along = 2 * np.pi / _PEAKS * (carrier.points @ np.array(look.start))
    placed = (look.values * np.exp(1j * along)).real[carrier.beacon :]
    decoded = _decode(np.bincount(carrier.bits, placed, _CODED_BITS).astype(np.float64))
    if decoded is None:
        return None
    return Found(decoded[0], look.z, look.at[0], float(np.degrees(look.at[1])), decoded[1])


def _decode(sums: npt.NDArray[np.float64]) -> tuple[bytes, int] | None:
    """The mark of the likeliest code word for these sums (negative: 1), and how many bits were not as read.

    Ordered statistics decoding (Fossorier and Lin, 1995) of order 2: the 64 surest independent bits, with none, one or
    two of them turned over, each say what the other 64 must be; the word that agrees best with all 128 is taken. The
    other 64 then vouch for it: their agreement is of unit variance for a wrong word, and must reach `_VOUCHED`.
    """
    hard = (sums < 0).astype(np.int64)
    rows, surest = _systematic(np.argsort(-np.abs(sums), kind="stable"))
    first = hard[surest] @ rows % 2
    single = np.vstack([np.zeros((1, len(rows)), np.int64), np.eye(len(rows), dtype=np.int64)]) @ rows
    one, two = np.triu_indices(len(single))
    words = (first + single[one] + single[two]) % 2
    best = words[int(np.argmax((1 - 2 * words) @ sums))]
    others = np.setdiff1d(np.arange(_CODED_BITS), surest)
    vouched = ((1 - 2 * best[others]) @ sums[others]) / (np.sqrt((sums[others] ** 2).sum()) + 1e-12)
    if vouched < _VOUCHED:
        return None
    return np.packbits(best).tobytes()[:MARK_BYTES], int((best != hard).sum())


def _systematic(order: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The code's generator as the identity on the first independent bits of an order: (int [64, 128], those)."""
    rows = _generator().copy()
    chosen: list[int] = []
    for column in order:
        row = len(chosen)
        if row == len(rows):
            break
        ones = np.flatnonzero(rows[row:, column]) + row
        if not len(ones):
            continue
        rows[[row, ones[0]]] = rows[[ones[0], row]]
        others = np.flatnonzero(rows[:, column])
        rows[others[others != row]] ^= rows[row]
        chosen.append(int(column))
    return rows, np.array(chosen)


@cache
def _generator() -> npt.NDArray[np.int64]:
    """The generator of the code over bits, int [64, 128]: a Reed-Solomon code is linear over them as well."""
    return np.stack([_encode(np.packbits(unit).tobytes()) for unit in np.eye(8 * MARK_BYTES, dtype=np.uint8)])
