"""What backdrops are made of: places, smooth noise, ramps of colour, and what a round aperture does to them.

Everything is in linear light, as light adds up.
"""

import cv2
import numpy as np
import numpy.typing as npt

from core.headshots.styles import Style
from worker.studio.vision import Plane, plane

DRAWN = 512
"""Px; what is out of focus needs no more."""

Rng = np.random.Generator
Colours = npt.NDArray[np.float32]
"""float32 [n, 3], linear light."""


def grid(size: int) -> tuple[Plane, Plane]:
    """X and y of every pixel, -1..1: y grows downwards."""
    steps = np.linspace(-1, 1, size, dtype=np.float32)
    across, down = np.meshgrid(steps, steps)
    return across, down


def cloud(rng: Rng, cells: int, size: int) -> Plane:
    """Smooth noise of about that many lumps a side: float32 [size, size], mean 0, about -1..1."""
    coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    fine = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return plane(0.6 * (fine - fine.mean()))


def ramp(colours: Colours, place: Plane) -> Plane:
    """Colours along a line: 0 is the first, 1 the last.

    Blended in cube-root light, which is about even to the eye, and rounded where one colour meets the next: a kink in a
    slow fall of light shows as a ring.
    """
    steps, reach = 1024, 160
    knots = np.linspace(0, steps, len(colours))
    places = np.arange(-3 * reach, steps + 3 * reach + 1)
    straight = [np.interp(places, knots, channel) for channel in np.cbrt(colours).T]
    # Beyond its ends the line goes on in the same direction, so that rounding does not flatten the ends.
    first, last = np.clip(-places, 0, None), np.clip(places - steps, 0, None)
    ends = np.diff(np.cbrt(colours), axis=0)[[0, -1]] * (len(colours) - 1) / steps
    line = np.stack(straight, axis=-1) - first[:, None] * ends[0] + last[:, None] * ends[1]
    rounded = cv2.GaussianBlur(line, (1, 6 * reach + 1), sigmaX=1, sigmaY=reach)[3 * reach : -3 * reach]
    table = plane(np.clip(rounded, 0, None) ** 3)
    exact = np.clip(place, 0, 1) * steps
    low = np.minimum(exact.astype(np.int32), steps - 1)
    part = (exact - low)[..., None]
    return plane((1 - part) * table[low] + part * table[low + 1])


def lamp_side(style: Style) -> tuple[float, float]:
    """Where the style's key light is, as x and y of `grid`."""
    angle = np.radians(style.light.azimuth)
    return float(np.cos(angle)), float(-np.sin(angle))


def out_of_focus(picture: Plane, radius: float) -> Plane:
    """What a round aperture makes of a picture: every point becomes an even disc of that radius in px."""
    reach = int(np.ceil(radius)) + 1
    steps = np.arange(-reach, reach + 1, dtype=np.float32)
    disc = np.clip(radius + 0.5 - np.hypot(*np.meshgrid(steps, steps)), 0, 1).astype(np.float32)
    return cv2.filter2D(picture, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT_101).astype(np.float32)


def sheet(colour: npt.NDArray[np.float32] | Plane, size: int = DRAWN) -> Plane:
    """One colour everywhere: float32 [size, size, 3]."""
    return np.broadcast_to(np.asarray(colour, np.float32), (size, size, 3)).copy()


def box(picture: Plane, left: float, top: float, right: float, bottom: float, colour: npt.NDArray[np.float32]) -> None:
    """Fill a rectangle given in shares of the picture's side."""
    size = picture.shape[0]
    low, high = (round(left * size), round(top * size)), (round(right * size) - 1, round(bottom * size) - 1)
    cv2.rectangle(picture, low, high, colour.tolist(), -1)


def discs(
    picture: Plane,
    rng: Rng,
    places: npt.NDArray[np.float64],
    radii: npt.NDArray[np.float64],
    light: npt.NDArray[np.float32],
) -> Plane:
    """Add points of light as a lens shows them: soft-edged discs, a shade brighter at the rim, narrowed off-centre.

    Args:
        picture: float32 [N, N, 3], linear light.
        rng: for what differs from disc to disc.
        places: float64 [n, 2], x and y in shares of the side.
        radii: float64 [n], px.
        light: float32 [n, 3], linear light that each adds.
    """
    size = picture.shape[0]
    for (x, y), radius, glow in zip(places * size, radii, light, strict=True):
        reach = int(radius) + 3
        left, top = int(x) - reach, int(y) - reach
        columns = np.arange(max(left, 0), min(left + 2 * reach, size))
        rows = np.arange(max(top, 0), min(top + 2 * reach, size))
        if not len(columns) or not len(rows):
            continue
        dx, dy = np.meshgrid(columns - x, rows - y)
        # Off the axis the lens barrel cuts the disc: the cat's eye of real bokeh.
        off_x, off_y = x / size - 0.5, y / size - 0.5
        cut = np.hypot(dx + 0.5 * off_x * radius, dy + 0.5 * off_y * radius)
        edge = np.clip((radius - np.maximum(np.hypot(dx, dy), cut)) / 3.0, 0, 1)
        rim = 0.88 + 0.12 * (np.hypot(dx, dy) / radius) ** 3
        strength = (edge * rim * rng.uniform(0.75, 1.0)).astype(np.float32)
        picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += strength[..., None] * glow
    return picture


def leaves(picture: Plane, places: npt.NDArray[np.float64], radii: npt.NDArray[np.float64], colours: Plane) -> Plane:
    """Cover with soft round clumps, one over the other; `places` in shares of the side, `radii` in px."""
    size = picture.shape[0]
    across, down = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    for (x, y), radius, colour in zip(places * size, radii, colours, strict=True):
        reach = int(2 * radius) + 2
        rows = slice(max(int(y) - reach, 0), max(min(int(y) + reach, size), 0))
        columns = slice(max(int(x) - reach, 0), max(min(int(x) + reach, size), 0))
        distance = np.hypot(across[rows, columns] - x, down[rows, columns] - y) / radius
        cover = (0.85 * np.clip(1.35 - distance, 0, 0.7) / 0.7)[..., None]
        picture[rows, columns] = (1 - cover) * picture[rows, columns] + cover * colour
    return picture
