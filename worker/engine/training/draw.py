"""Backdrops drawn by procedure: the pictures that the shipped model is trained on.

Everything is computed in linear light over the unit square, so a scene is the same picture at any size: light falls
off in photographic stops, defocus is a disc-shaped kernel, highlights roll off softly. No grain, no sensor, no person.
The median of every finished plate is the colour that its caption names (for a gradient between two colours, the two
ends are), so what a caption promises can be measured.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.engine.training.grammar import Kind, Light, Mood, Scene, srgb

Field: TypeAlias = NDArray[np.floating[Any]]
_EVEN_ODDS = 0.5
_REFERENCE = 64  # the size at which colours are balanced, whatever the size drawn
_DIRECTIONS: Mapping[Light, tuple[float, float]] = MappingProxyType(
    {
        Light.LEFT: (-1.0, 0.0),
        Light.RIGHT: (1.0, 0.0),
        Light.ABOVE: (0.0, -1.0),
        Light.UPPER_LEFT: (-0.71, -0.71),
        Light.UPPER_RIGHT: (0.71, -0.71),
        Light.EVEN: (0.0, 0.0),
    }
)


@dataclass(frozen=True, slots=True)
class Plate:
    """A drawn backdrop and what is true of it.

    Attributes:
        picture: float32 [size, size, 3], sRGB in 0..1.
        caption: the canonical caption.
        colour: sRGB in 0..1, the median of the picture (the lit end of a gradient between two colours).
        light: unit vector (x to the right, y down) to where the light comes from; (0, 0) when it is even.
    """

    picture: NDArray[np.float32]
    caption: str
    colour: tuple[float, float, float]
    light: tuple[float, float]


def draw(scene: Scene, *, seed: int, size: int) -> Plate:
    """Draw one scene; the same scene and seed give the same picture, at any size the same composition."""
    canvas = _Canvas(scene, np.random.default_rng(seed), size)
    linear = _PAINTERS[scene.kind](canvas)
    picture = linear if scene.kind is Kind.GRADIENT and scene.accent else _balance(linear, srgb(scene.colour))
    return Plate(_encode(_shoulder(picture)), scene.caption, srgb(scene.colour), _DIRECTIONS[scene.light])


class _Canvas:
    """The unit square at one size, with the scene's own random choices and its light."""

    def __init__(self, scene: Scene, chance: np.random.Generator, size: int) -> None:
        self.scene = scene
        self.chance = chance
        self.size = size
        axis = (np.arange(size, dtype=np.float32) + 0.5) / size
        self.x, self.y = np.meshgrid(axis, axis)
        self.toward = _DIRECTIONS[scene.light]
        self.dramatic = scene.mood is Mood.DRAMATIC

    def between(self, low: float, high: float) -> float:
        return float(self.chance.uniform(low, high))

    def colour(self, name: str | None = None) -> Field:
        return _decode(np.array(srgb(name or self.scene.colour), np.float32))

    def ramp(self, *, soft: float = 0.7, dramatic: float = 1.3) -> Field:
        """The key light's falloff, as a factor: so many stops from the near edge to the far one, give or take."""
        stops = (dramatic if self.dramatic else soft) * self.between(0.85, 1.15)
        along = (self.x - 0.5) * self.toward[0] + (self.y - 0.5) * self.toward[1]
        return np.exp2(stops * along).astype(np.float32)

    def pool(self, radius: float, *, drift: float) -> Field:
        """A round pool of light, 0..1, behind the head, pulled toward the light by `drift`."""
        cx = 0.5 + drift * self.toward[0] + self.between(-0.03, 0.03)
        cy = 0.42 + drift * self.toward[1] + self.between(-0.03, 0.03)
        squared = (self.x - cx) ** 2 + ((self.y - cy) * self.between(0.85, 1.0)) ** 2
        return np.exp(-squared / (2 * radius**2)).astype(np.float32)

    def corners(self, stops: float) -> Field:
        """A lens's vignette: so many stops lost in the corners."""
        squared = (self.x - 0.5) ** 2 + (self.y - 0.5) ** 2
        return np.exp2(-stops * squared / 0.5).astype(np.float32)

    def clouds(self, cells: int, octaves: int, *, stretch: float = 1.0, gain: float = 0.55) -> Field:
        """Smooth noise of about unit deviation, from `cells` across, each octave twice as fine."""
        total = np.zeros((self.size, self.size), np.float32)
        power = 0.0
        for octave in range(octaves):
            count = cells * 2**octave
            grid = self.chance.standard_normal((max(4, round(count * stretch)), count + 1)).astype(np.float32)
            total += gain**octave * _smooth_resize(grid, self.size)
            power += gain ** (2 * octave)
        return _float(total / (0.6 * np.sqrt(power)))

    def box(self, left: float, top: float, right: float, bottom: float) -> Field:
        """The share of each pixel that a rectangle covers, [size, size, 1]."""
        across = np.clip(self.x * self.size - left * self.size + 0.5, 0, 1)
        across *= np.clip(right * self.size - self.x * self.size + 0.5, 0, 1)
        down = np.clip(self.y * self.size - top * self.size + 0.5, 0, 1)
        down *= np.clip(bottom * self.size - self.y * self.size + 0.5, 0, 1)
        return (across * down)[..., None].astype(np.float32)

    def disc(self, cx: float, cy: float, radius: float, *, edge: float = 0.012) -> Field:
        """A highlight out of focus: an even disc, a touch brighter at its rim, its edge softened over `edge`."""
        distance = np.sqrt((self.x - cx) ** 2 + (self.y - cy) ** 2)
        inside = np.clip((radius - distance) / (2 * edge) + 0.5, 0, 1)
        inside = inside * inside * (3 - 2 * inside)
        return (inside * (0.85 + 0.15 * (distance / radius) ** 2))[..., None].astype(np.float32)

    def defocus(self, picture: Field, radius: float) -> Field:
        """Blur by a disc of that radius, the shape that an open aperture gives, softened as real lenses do."""
        reach = max(1, round(radius * self.size))
        yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        kernel = np.clip(reach + 0.5 - np.hypot(xx, yy), 0, 1).astype(np.float32)
        blurred = cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
        return _float(cv2.GaussianBlur(blurred, (0, 0), max(0.4, radius * self.size * 0.3)))


def _studio(canvas: _Canvas) -> Field:
    glow = canvas.between(0.35, 0.8) + (0.5 if canvas.dramatic else 0.0)
    lift = 1 + glow * canvas.pool(canvas.between(0.28, 0.42), drift=0.14)
    field = lift * canvas.ramp() * canvas.corners(canvas.between(0.3, 0.7) + (0.6 if canvas.dramatic else 0))
    return field[..., None] * canvas.colour()


def _spotlight(canvas: _Canvas) -> Field:
    pool = canvas.pool(canvas.between(0.17, 0.23), drift=0.16)
    strength = (
        canvas.between(1.2, 1.8) * (1.5 if canvas.dramatic else 1.0) * (1.2 - 0.75 * float(canvas.colour().mean()))
    )
    wide = canvas.pool(0.45, drift=0.12)
    field = (0.55 + strength * pool + 0.5 * wide) * canvas.ramp(soft=0.5, dramatic=0.9)
    field = field * canvas.corners(1.4 if canvas.dramatic else 0.7)
    warm = 1 + pool[..., None] * np.array([0.05, 0.0, -0.05], np.float32)
    return field[..., None] * canvas.colour() * warm


def _gradient(canvas: _Canvas) -> Field:
    toward = canvas.toward if any(canvas.toward) else (0.0, -1.0)
    reach = abs(toward[0]) + abs(toward[1])
    along = ((canvas.x - 0.5) * toward[0] + (canvas.y - 0.5) * toward[1]) / reach + 0.5
    along = along + 0.03 * canvas.clouds(2, 1)
    t = np.clip((along - 0.12) / 0.76, 0, 1)
    t = (t * t * (3 - 2 * t))[..., None]
    if canvas.scene.accent is not None:
        near, far = (np.array(srgb(name), np.float32) for name in (canvas.scene.colour, canvas.scene.accent))
        return _decode(t * near + (1 - t) * far)
    stops = 2.6 if canvas.dramatic else 1.5
    if not any(canvas.toward):
        stops *= 0.6
    return np.exp2(stops * (t - 0.5)) * canvas.colour()


def _window(canvas: _Canvas) -> Field:
    side = canvas.toward[0] or (1.0 if canvas.between(0, 1) < _EVEN_ODDS else -1.0) * 0.3
    lit = np.zeros((canvas.size, canvas.size, 1), np.float32)
    width, height, gap = canvas.between(0.15, 0.2), canvas.between(0.2, 0.27), canvas.between(0.035, 0.05)
    left = 0.5 + 0.22 * float(np.sign(side)) * min(1.0, abs(side) * 1.4) - width - gap / 2
    top = canvas.between(0.06, 0.14)
    for column in range(2):
        for row in range(3):
            x0, y0 = left + column * (width + gap), top + row * (height + gap)
            lit = np.maximum(lit, canvas.box(x0, y0, x0 + width, y0 + height))
    slant = canvas.between(0.1, 0.3) * -float(np.sign(side))
    shear = np.array([[1, slant, -slant * 0.45 * canvas.size], [0, 1, 0]], np.float32)
    lit = _float(cv2.warpAffine(lit, shear, (canvas.size, canvas.size)))[..., None]
    lit = canvas.defocus(lit, canvas.between(0.022, 0.034))[..., None]
    gain = 1.6 if canvas.dramatic else 0.9
    field = canvas.ramp(soft=0.6, dramatic=1.0) * canvas.corners(0.6)
    return field[..., None] * (1 + gain * lit * np.array([1.06, 1.0, 0.9], np.float32)) * canvas.colour()


def _office(canvas: _Canvas) -> Field:
    wall = canvas.colour()
    room: Field = np.broadcast_to(wall, (canvas.size, canvas.size, 3)) * (0.9 + 0.2 * (1 - canvas.y))[..., None]
    side = canvas.toward[0] or (1.0 if canvas.between(0, 1) < _EVEN_ODDS else -1.0)
    start = 0.62 if side > 0 else -0.02
    day: Field = np.array([0.93, 1.0, 1.06], np.float32) * canvas.between(0.75, 1.0)
    for pane in range(2):
        x0 = start + pane * canvas.between(0.19, 0.21)
        room = _over(room, canvas.box(x0, -0.1, x0 + 0.17, canvas.between(0.6, 0.68)), day)
    desk = canvas.between(0.74, 0.82)
    room = _over(room, canvas.box(-0.1, desk, 1.1, 1.1), wall * 0.45)
    for _ in range(int(canvas.chance.integers(2, 4))):
        x0 = canvas.between(0.0, 0.85)
        tint = wall * canvas.between(0.25, 0.6) * np.array([1.08, 1.0, 0.9], np.float32)
        room = _over(
            room, canvas.box(x0, desk - canvas.between(0.06, 0.26), x0 + canvas.between(0.08, 0.18), 1.1), tint
        )
    plant = np.array([0.10, 0.16, 0.07], np.float32)
    px = 0.12 if side > 0 else 0.88
    for _ in range(5):
        at = (px + canvas.between(-0.07, 0.07), desk - canvas.between(0.02, 0.16))
        room = _over(room, canvas.disc(*at, canvas.between(0.03, 0.06)) * 0.8, plant)
    room = canvas.defocus(room.astype(np.float32), canvas.between(0.045, 0.06))
    for _ in range(int(canvas.chance.integers(2, 5))):
        at = (canvas.between(0.1, 0.9), canvas.between(0.05, 0.3))
        lamp = canvas.disc(*at, canvas.between(0.03, 0.045)) * canvas.between(0.15, 0.4)
        room = room + lamp * np.array([1.0, 0.8, 0.5], np.float32)
    return room * canvas.ramp(soft=0.5, dramatic=1.0)[..., None]


def _city(canvas: _Canvas) -> Field:
    base = canvas.colour()
    sky = np.exp2(0.9 * (0.45 - canvas.y))[..., None] * base
    buildings = _float(sky)
    x0 = -0.1
    while x0 < 1.0:
        width = canvas.between(0.12, 0.28)
        roof = canvas.between(0.25, 0.6)
        buildings = _over(buildings, canvas.box(x0, roof, x0 + width, 1.1), base * canvas.between(0.45, 0.9))
        x0 += width * canvas.between(0.9, 1.4)
    town: Field = canvas.defocus(buildings, 0.045)
    warm = canvas.colour(canvas.scene.accent) if canvas.scene.accent else np.array([1.0, 0.55, 0.2], np.float32)
    warm = warm / warm.max()
    cool = np.array([0.6, 0.8, 1.0], np.float32)
    radius = canvas.between(0.03, 0.05)
    light = (0.25 + 0.9 * float(base.max())) * (1.5 if canvas.dramatic else 1.0)
    for _ in range(int(canvas.chance.integers(14, 26))):
        tint = warm if canvas.between(0, 1) < (0.95 if canvas.scene.accent else 0.75) else cool
        at = (canvas.between(0, 1), float(np.clip(canvas.chance.normal(0.62, 0.17), 0.2, 1)))
        town = town + canvas.disc(*at, radius * canvas.between(0.7, 1.25)) * tint * light * canvas.between(0.15, 0.8)
    return town * canvas.ramp(soft=0.6, dramatic=1.1)[..., None]


def _park(canvas: _Canvas) -> Field:
    base = canvas.colour()
    leaves = np.exp2(0.5 * canvas.clouds(4, 3))[..., None]
    hue = 0.10 * canvas.clouds(3, 2)[..., None] * np.array([1.0, 0.2, -0.6], np.float32)
    scene: Field = _float(leaves * (1 + hue) * base)
    for _ in range(int(canvas.chance.integers(0, 3))):
        x0, width = canvas.between(0.02, 0.95), canvas.between(0.03, 0.07)
        scene = _over(
            scene, canvas.box(x0, -0.1, x0 + width, 1.1) * 0.75, base * np.array([0.5, 0.4, 0.35], np.float32)
        )
    scene = canvas.defocus(scene * np.exp2(0.7 * (0.5 - canvas.y))[..., None].astype(np.float32), 0.035)
    sun = base / base.max() * 0.5 + np.array([0.5, 0.48, 0.36], np.float32)
    glint = (0.2 + 0.8 * float(base.max())) * (1.4 if canvas.dramatic else 1.0)
    radius = canvas.between(0.028, 0.05)
    for _ in range(int(canvas.chance.integers(10, 22))):
        cx = canvas.chance.normal(0.5 + 0.25 * canvas.toward[0], 0.28)
        cy = canvas.chance.normal(0.32, 0.2)
        lit = canvas.disc(float(cx), float(cy), radius * canvas.between(0.6, 1.2)) * canvas.between(0.1, 0.5)
        scene = scene + lit * sun * glint
    return scene * canvas.ramp(soft=0.7, dramatic=1.2)[..., None]


def _canvas(canvas: _Canvas) -> Field:
    broad = canvas.clouds(3, 4, stretch=0.8, gain=0.6)
    strokes = canvas.clouds(6, 2, stretch=1.8)
    depth = 0.42 if canvas.dramatic else 0.3
    field = np.exp2(depth * broad + 0.1 * strokes) * canvas.ramp() * canvas.corners(1.3 if canvas.dramatic else 0.8)
    field = field * (1 + 0.4 * canvas.pool(0.35, drift=0.12))
    hue = 0.035 * canvas.clouds(3, 2)[..., None] * np.array([1.0, 0.0, -1.0], np.float32)
    return field[..., None] * (1 + hue) * canvas.colour()


_PAINTERS: Mapping[Kind, Callable[[_Canvas], Field]] = MappingProxyType(
    {
        Kind.STUDIO: _studio,
        Kind.SPOTLIGHT: _spotlight,
        Kind.GRADIENT: _gradient,
        Kind.WINDOW: _window,
        Kind.OFFICE: _office,
        Kind.CITY: _city,
        Kind.PARK: _park,
        Kind.CANVAS: _canvas,
    }
)


def _over(below: Field, cover: Field, colour: Field) -> Field:
    return (below * (1 - cover) + cover * colour).astype(np.float32)


def _balance(linear: Field, colour: tuple[float, float, float]) -> Field:
    """Scale each channel until the median of the finished picture is the colour named."""
    small = cv2.resize(linear, (_REFERENCE, _REFERENCE), interpolation=cv2.INTER_AREA)
    target = _decode(np.array(colour, np.float32))
    gain = np.ones(3, np.float32)
    for _ in range(4):
        middle = np.median(_shoulder(small * gain).reshape(-1, 3), axis=0)
        gain *= np.clip(target / np.maximum(middle, 1e-4), 0.25, 4.0)
    return linear * gain


def _shoulder(linear: Field) -> Field:
    """Roll highlights off above 0.7 so that nothing clips, as film does."""
    over = np.maximum(linear - 0.7, 0)
    return np.where(over > 0, 0.7 + 0.3 * (1 - np.exp(-over / 0.3)), linear).astype(np.float32)


def _smooth_resize(grid: Field, size: int) -> Field:
    """Cubic upsampling aligned to the unit square, the same field at any size."""
    rows, columns = grid.shape
    y = (np.arange(size, dtype=np.float32) + 0.5) / size * (rows - 3) + 1
    x = (np.arange(size, dtype=np.float32) + 0.5) / size * max(columns - 3, 1) + min(1, columns - 3)
    mx, my = np.meshgrid(x, y)
    return _float(cv2.remap(grid, mx, my, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101))


def _decode(encoded: Field) -> Field:
    """From sRGB to linear light (IEC 61966-2-1)."""
    low = encoded / 12.92
    return np.where(encoded <= 0.04045, low, ((encoded + 0.055) / 1.055) ** 2.4).astype(np.float32)  # noqa: PLR2004 - IEC 61966-2-1


def _encode(linear: Field) -> Field:
    """From linear light to sRGB (IEC 61966-2-1)."""
    low = linear * 12.92
    high = 1.055 * np.maximum(linear, 1e-6) ** (1 / 2.4) - 0.055
    return np.clip(np.where(linear <= 0.0031308, low, high), 0, 1).astype(np.float32)  # noqa: PLR2004 - IEC 61966-2-1


def _float(array: object) -> Field:
    return np.asarray(array, dtype=np.float32)
