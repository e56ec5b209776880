"""Fifth stage: what stands behind the person.

Every backdrop is drawn in linear light, as light adds up: paper and canvas under a lamp, rooms and parks as coloured
shapes thrown out of focus by a round aperture. The same style and seed give the same picture to the bit. A fine film
grain, laid on last, keeps the smooth falls of light from banding in eight bits.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from core.headshots.styles import Backdrop, Style
from worker.studio.frame import MASTER
from worker.studio.light import to_linear, to_srgb
from worker.studio.vision import Picture, Plane, plane

GRAIN = 0.9
"""Standard deviation of the film grain, steps of 255."""

_DRAWN = 512  # px; what is out of focus needs no more
_Rng = np.random.Generator
_Colours = npt.NDArray[np.float32]  # float32 [n, 3], linear light


def draw(style: Style, *, seed: int) -> Plane:
    """Draw the style's own backdrop, without grain.

    Args:
        style: which look.
        seed: which of its many pictures.

    Returns:
        float32 [1024, 1024, 3], 0..1 sRGB.
    """
    rng = np.random.default_rng(seed)
    colours = to_linear(plane([_rgb(colour) for colour in style.palette]) / np.float32(255))
    picture = _PAINTERS[style.backdrop](colours, style, rng)
    if picture.shape[0] != MASTER:
        picture = plane(cv2.resize(picture, (MASTER, MASTER), interpolation=cv2.INTER_CUBIC))
    return to_srgb(picture)


def sketch(drawn: Plane, size: int) -> Picture:
    """What a diffusion model starts from: the style's own backdrop, so that a team's pictures stay alike.

    Args:
        drawn: float32 [1024, 1024, 3], 0..1 sRGB.
        size: side in px that the model paints.

    Returns:
        uint8 [size, size, 3] sRGB.
    """
    return np.round(255 * cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA)).astype(np.uint8)


def from_painted(painted: Picture) -> Plane:
    """Bring a diffusion model's picture to the master's size and calm its speckle.

    Args:
        painted: uint8 [H, W, 3] sRGB, any size.

    Returns:
        float32 [1024, 1024, 3], 0..1 sRGB.
    """
    calm = cv2.bilateralFilter(painted, 7, 18, 3)
    large = cv2.resize(calm.astype(np.float32) / 255, (MASTER, MASTER), interpolation=cv2.INTER_CUBIC)
    return np.clip(large, 0, 1).astype(np.float32)


def with_grain(backdrop: Plane, *, seed: int) -> Plane:
    """Lay film grain over a backdrop: of one colour, a little soft, alike in lights and shades.

    Args:
        backdrop: float32 [1024, 1024, 3], 0..1 sRGB.
        seed: of the grain.

    Returns:
        float32 [1024, 1024, 3], 0..1 sRGB.
    """
    grain = np.random.default_rng([seed, 1]).standard_normal((MASTER, MASTER), np.float32)
    grain = plane(cv2.GaussianBlur(grain, (0, 0), 0.6))
    grain *= np.float32(GRAIN / 255) / grain.std()
    return plane(np.clip(backdrop + grain[..., None], 0, 1))


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _grid(size: int) -> tuple[Plane, Plane]:
    """X and y of every pixel, -1..1: y grows downwards."""
    steps = np.linspace(-1, 1, size, dtype=np.float32)
    across, down = np.meshgrid(steps, steps)
    return across, down


def _cloud(rng: _Rng, cells: int, size: int) -> Plane:
    """Smooth noise of about that many lumps a side: float32 [size, size], mean 0, about -1..1."""
    coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    fine = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return plane(0.6 * (fine - fine.mean()))


def _ramp(colours: _Colours, place: Plane) -> Plane:
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


def _lamp_side(style: Style) -> tuple[float, float]:
    """Where the style's key light is, as x and y of `_grid`."""
    angle = np.radians(style.light.azimuth)
    return float(np.cos(angle)), float(-np.sin(angle))


def _paper(colours: _Colours, style: Style, rng: _Rng) -> Plane:
    """A seamless paper roll: a pool of light behind the shoulders, leaning to the key light, falling to the corners."""
    across, down = _grid(MASTER)
    lamp_x, lamp_y = _lamp_side(style)
    shift = rng.uniform(-0.05, 0.05, 2)
    x = across - np.float32(0.22 * lamp_x + shift[0])
    y = down - np.float32(0.05 + 0.18 * lamp_y + shift[1])
    # The fall of a soft box: an ellipse, flat in the middle and even outwards.
    fall = 1 - 1 / (1 + 0.55 * x * x + 0.45 * y * y) ** 1.5
    fall += 0.06 * (1 - np.cos(np.pi / 2 * np.clip(down, 0, 1)))
    fall += 0.010 * _cloud(rng, 4, MASTER)
    return _ramp(colours, plane(1.35 * fall))


def _spotlight(colours: _Colours, style: Style, rng: _Rng) -> Plane:
    """A dark wall with one soft-edged pool of light beside the head."""
    across, down = _grid(MASTER)
    lamp_x, _ = _lamp_side(style)
    shift = rng.uniform(-0.04, 0.04, 2)
    x = across - np.float32(0.30 * lamp_x + shift[0])
    y = down + np.float32(0.10 + shift[1])
    distance = np.hypot(0.95 * x, y)
    pool = np.exp(-((distance / 0.62) ** 2.2))
    vignette = np.clip(np.hypot(across, down) / 1.5, 0, 1) ** 1.6
    wall = colours[1] * (1 - vignette)[..., None] + colours[2] * vignette[..., None]
    # A plastered wall is never quite even.
    plaster = 1 + 0.05 * _cloud(rng, 5, MASTER) + 0.025 * _cloud(rng, 16, MASTER)
    return plane((wall + (colours[0] - colours[1]) * pool[..., None]) * plaster[..., None])


def _canvas(colours: _Colours, style: Style, rng: _Rng) -> Plane:
    """Hand-painted canvas: overlapping washes, brushed about a brighter middle, a trace of weave under the paint."""
    across, down = _grid(MASTER)
    bend_x, bend_y = (26 * _cloud(rng, 5, MASTER) + 14 * _cloud(rng, 18, MASTER) for _ in range(2))
    washes = sum(weight * _cloud(rng, cells, MASTER) for cells, weight in ((5, 0.8), (10, 0.6), (22, 0.42), (48, 0.22)))
    places_x, places_y = np.meshgrid(np.arange(MASTER, dtype=np.float32), np.arange(MASTER, dtype=np.float32))
    paint = cv2.remap(
        np.asarray(washes, np.float32),
        (places_x + bend_x).astype(np.float32),
        (places_y + bend_y).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    lamp_x, lamp_y = _lamp_side(style)
    x, y = across - np.float32(0.2 * lamp_x), down - np.float32(0.15 * lamp_y)
    fall = 1 - np.exp(-0.85 * (0.9 * x * x + 0.75 * y * y))
    picture = _ramp(colours, 0.16 + 0.80 * fall - 0.15 * paint)
    # The sitter's lens is focused on the eyes: the weave is only just there.
    across_threads, down_threads = (rng.standard_normal((MASTER, MASTER)).astype(np.float32) for _ in range(2))
    weave = plane(cv2.GaussianBlur(across_threads, (0, 0), sigmaX=3.2, sigmaY=1.4))
    weave = weave + plane(cv2.GaussianBlur(down_threads, (0, 0), sigmaX=1.4, sigmaY=3.2))
    return plane(picture * (1 + 0.010 * weave / weave.std())[..., None])


def _out_of_focus(picture: Plane, radius: float) -> Plane:
    """What a round aperture makes of a picture: every point becomes an even disc of that radius in px."""
    reach = int(np.ceil(radius)) + 1
    steps = np.arange(-reach, reach + 1, dtype=np.float32)
    disc = np.clip(radius + 0.5 - np.hypot(*np.meshgrid(steps, steps)), 0, 1).astype(np.float32)
    return cv2.filter2D(picture, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT_101).astype(np.float32)


def _sheet(colour: npt.NDArray[np.float32] | Plane, size: int = _DRAWN) -> Plane:
    return np.broadcast_to(np.asarray(colour, np.float32), (size, size, 3)).copy()


def _box(picture: Plane, left: float, top: float, right: float, bottom: float, colour: npt.NDArray[np.float32]) -> None:
    """Fill a rectangle given in shares of the picture's side."""
    size = picture.shape[0]
    low, high = (round(left * size), round(top * size)), (round(right * size) - 1, round(bottom * size) - 1)
    cv2.rectangle(picture, low, high, colour.tolist(), -1)


def _discs(
    picture: Plane,
    rng: _Rng,
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


def _window(colours: _Colours, style: Style, rng: _Rng) -> Plane:
    """An office far out of focus: a tall window on the key light's side, a wall, shelves, a plant, lamps."""
    daylight, wall, furniture, plant, lamp = colours
    across, down = _grid(_DRAWN)
    room = _sheet(wall * 0.75)
    room *= (1 - 0.16 * down - 0.12 * across)[..., None]
    # The window: bright panes over a hazy view, framed by thin mullions.
    right = 0.46 + rng.uniform(-0.03, 0.03)
    _box(room, -0.2, -0.1, right, 0.86, daylight * 1.1)
    _box(room, -0.2, 0.60, right, 0.86, 0.55 * daylight + 0.25 * plant)
    for x in rng.uniform(0, right - 0.06, 5):
        _box(room, x, rng.uniform(0.44, 0.62), x + rng.uniform(0.04, 0.10), 0.86, daylight * rng.uniform(0.5, 0.8))
    for mullion in (0.10, 0.28, right):
        _box(room, mullion - 0.010, -0.1, mullion + 0.010, 0.86, wall * 0.40)
    _box(room, -0.2, 0.27, right, 0.285, wall * 0.40)
    _box(room, -0.2, 0.84, right + 0.015, 0.88, wall * 0.9)
    # Shelves and what stands on them, on the far side.
    _box(room, 0.68, 0.28, 1.1, 1.1, furniture * 0.8)
    for shelf in (0.32, 0.48, 0.64, 0.80):
        _box(room, 0.70, shelf, 1.1, shelf + 0.13, furniture * 0.42)
        x = 0.71
        while x < 1.0:
            wide = float(rng.uniform(0.012, 0.05))
            tint = wall if rng.random() < 0.6 else (furniture, plant, lamp)[rng.integers(3)]  # noqa: PLR2004 - mostly pale
            _box(room, x, shelf + rng.uniform(0.01, 0.06), x + wide, shelf + 0.13, tint * rng.uniform(0.4, 0.9))
            x += wide + float(rng.uniform(0.003, 0.03))
    _box(room, -0.1, 0.92, 1.1, 1.1, furniture * 0.55)
    # A plant by the sill, nearer than the wall.
    leaves = rng.normal((0.60, 0.66), (0.045, 0.10), (70, 2))
    room = _leaves(room, leaves, rng.uniform(6, 15, 70), plant * rng.uniform(0.3, 1.0, (70, 1)).astype(np.float32))
    room = cv2.GaussianBlur(_out_of_focus(room, 19), (0, 0), 3.5).astype(np.float32)
    lamps = np.column_stack([rng.uniform(0.58, 0.96, 5), rng.uniform(0.05, 0.19, 5)])
    room = _discs(
        room, rng, lamps, rng.uniform(19, 27, 5), 0.32 * lamp * rng.uniform(0.5, 1.0, (5, 1)).astype(np.float32)
    )
    # Veiling glare: the window's light spills over everything.
    room += 0.10 * cv2.GaussianBlur(room, (0, 0), 60)
    picture = cv2.GaussianBlur(room, (0, 0), 2.0).astype(np.float32)
    mirrored = picture[:, ::-1] if _lamp_side(style)[0] > 0 else picture
    return np.ascontiguousarray(mirrored / max(float(np.percentile(mirrored, 99.5)), 1.0))


def _leaves(picture: Plane, places: npt.NDArray[np.float64], radii: npt.NDArray[np.float64], colours: Plane) -> Plane:
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


def _foliage(colours: _Colours, style: Style, rng: _Rng) -> Plane:
    """A park far out of focus: masses of leaves, brighter above, a clearing on the key light's side, glints of sun."""
    glint, lit, leaf, shade, trunk = colours
    across, down = _grid(_DRAWN)
    lamp_x, _ = _lamp_side(style)
    depth = 0.5 + 0.40 * _cloud(rng, 3, _DRAWN) + 0.22 * _cloud(rng, 7, _DRAWN) + 0.30 * down - 0.15 * lamp_x * across
    park = _ramp(np.stack([lit, leaf, shade]), depth)
    for _ in range(3):
        x, wide = rng.uniform(0, 1), rng.uniform(0.02, 0.05)
        _box(park, x, -0.1, x + wide, rng.uniform(0.7, 1.1), trunk * 1.3)
    count = 200
    places = np.column_stack([rng.uniform(-0.05, 1.05, count), rng.beta(1.2, 1.0, count) * 1.05])
    tones = np.stack([lit, leaf, leaf, shade])[rng.integers(0, 4, count)] * rng.uniform(0.7, 1.1, (count, 1))
    park = _leaves(park, places, rng.uniform(8, 26, count), tones.astype(np.float32))
    park = cv2.GaussianBlur(_out_of_focus(park, 26), (0, 0), 6).astype(np.float32)
    clearing = np.exp(-(((across - 0.55 * lamp_x) / 0.55) ** 2) - ((down + 0.45) / 0.65) ** 2)
    park += 0.30 * clearing[..., None] * (0.6 * glint + 0.4 * lit)
    # Far glints are many and faint, near ones few and large.
    for count, low, high, most in ((70, 12, 20, 0.30), (26, 22, 36, 0.34)):
        near_light = rng.normal((0.5 + 0.25 * lamp_x, 0.26), (0.30, 0.20), (count, 2))
        strength = most * rng.beta(1.2, 3.0, (count, 1)).astype(np.float32)
        tint = np.where(rng.random((count, 1)) < 0.5, glint, lit).astype(np.float32)  # noqa: PLR2004 - sun and leaf alike
        park = _discs(park, rng, near_light, rng.uniform(low, high, count), strength * tint)
    park = cv2.GaussianBlur(park, (0, 0), 2.0).astype(np.float32)
    return np.asarray(park * (1 - 0.28 * np.clip(down, 0, 1))[..., None], np.float32)


def _city(colours: _Colours, style: Style, rng: _Rng) -> Plane:
    """A city at dusk far out of focus: sky, a warm horizon, dark blocks, and lights as round discs."""
    sky, haze, block, warm, cool = colours
    _, down = _grid(_DRAWN)
    lamp_x, _ = _lamp_side(style)
    city = _ramp(np.stack([sky * 0.5, sky * 0.8, haze, 0.5 * (haze + block), block]), plane((down + 1.05) / 2))
    for _ in range(12):
        x, wide, top = rng.uniform(-0.1, 1.0), rng.uniform(0.08, 0.2), rng.uniform(0.26, 0.60)
        _box(city, x, top, x + wide, 1.1, block * rng.uniform(0.8, 1.9))
    # Windows that no longer show one by one.
    count = 260
    places = np.column_stack([rng.uniform(0, 1, count), rng.uniform(0.36, 1.0, count)])
    for x, y in places:
        _box(city, x, y, x + 0.012, y + 0.012, (warm if rng.random() < 0.7 else cool) * rng.uniform(0.4, 1.6))  # noqa: PLR2004 - most lamps are warm
    city = cv2.GaussianBlur(_out_of_focus(city, 26), (0, 0), 6).astype(np.float32)
    for count, low, high, most in ((46, 11, 19, 0.55), (22, 22, 36, 0.45)):
        places = np.column_stack([rng.uniform(-0.03, 1.03, count), 0.34 + 0.60 * rng.beta(1.5, 1.5, count)])
        tint = np.where(rng.random((count, 1)) < 0.75, warm, cool).astype(np.float32)  # noqa: PLR2004 - most lamps are warm
        strength = 0.04 + most * rng.beta(1.1, 3.2, (count, 1)).astype(np.float32)
        strength *= 1 + 0.35 * lamp_x * (2 * places[:, :1].astype(np.float32) - 1)
        city = _discs(city, rng, places, rng.uniform(low, high, count), strength * tint)
    city += 0.12 * cv2.GaussianBlur(city, (0, 0), 40)
    return cv2.GaussianBlur(city, (0, 0), 2.0).astype(np.float32)


_PAINTERS: Mapping[Backdrop, Callable[[_Colours, Style, _Rng], Plane]] = MappingProxyType(
    {
        Backdrop.PAPER: _paper,
        Backdrop.SPOTLIGHT: _spotlight,
        Backdrop.CANVAS: _canvas,
        Backdrop.WINDOW: _window,
        Backdrop.FOLIAGE: _foliage,
        Backdrop.CITY: _city,
    }
)
