"""Measures painted backdrops against what their captions promise and against drawn plates.

Colour: CIEDE2000 between the median and the named colour. Light: the angle between the fitted fall of luminance and the
side named. Speckle: what is left of a smooth wall after a wide blur, in 8-bit steps. Repeats: the strongest echo of a
picture's own structure at a distance, 0..1. A drawn plate measured the same way says how good a figure can be.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.engine.training.draw import draw
from worker.engine.training.grammar import COLOURS, NATURAL, Kind, Light, Scene, srgb

Picture = NDArray[np.float32]
Painter = Callable[[Scene, Picture], Picture]
"""A scene and the sketch to begin with to what is painted: sRGB in 0..1, float32 [size, size, 3] both."""

_UNSEEN = 10_009
_SMOOTH = (Kind.STUDIO, Kind.SPOTLIGHT, Kind.GRADIENT)
_SIDES = (Light.LEFT, Light.RIGHT, Light.ABOVE)
_TOWARD = {Light.LEFT: (-1.0, 0.0), Light.RIGHT: (1.0, 0.0), Light.ABOVE: (0.0, -1.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured. Painted figures come with those of drawn plates where a comparison says more."""

    colour_mean: float
    colour_worst: float
    colour_within: float
    colours: dict[str, float]
    light_right: float
    speckle: float
    speckle_drawn: float
    repeats: float
    repeats_drawn: float


def measure(paint: Painter, *, size: int) -> Figures:
    """Measure a painter over every colour, and over kinds and lights. Takes minutes on a CPU.

    It begins each picture with a drawn plate, as the studio has it do; of plates that no batch held.
    """
    colours = {}
    for name in COLOURS:
        scene = Scene(kind=Kind.STUDIO, colour=name)
        picture = paint(scene, draw(scene, seed=_UNSEEN, size=size).picture)
        colours[name] = colour_difference(np.median(picture.reshape(-1, 3), axis=0), srgb(name))
    scenes = [
        Scene(kind=kind, colour=NATURAL.get(kind, ("slate",))[0], light=light) for kind in Kind for light in _SIDES
    ]
    drawn = [draw(scene, seed=_UNSEEN, size=size).picture for scene in scenes]
    painted = [paint(scene, sketch) for scene, sketch in zip(scenes, drawn, strict=True)]
    lit = [light_angle(picture, scene.light) for picture, scene in zip(painted, scenes, strict=True)]
    smooth = [place for place, scene in enumerate(scenes) if scene.kind in _SMOOTH]
    values = np.array(list(colours.values()))
    return Figures(
        colour_mean=float(values.mean()),
        colour_worst=float(values.max()),
        colour_within=float((values <= 6).mean()),  # noqa: PLR2004 (the bound that is promised)
        colours={name: round(value, 1) for name, value in colours.items()},
        light_right=float(np.mean(np.array(lit) <= 45)),  # noqa: PLR2004 (degrees: the right side, no other)
        speckle=float(np.mean([speckle(painted[place]) for place in smooth])),
        speckle_drawn=float(np.mean([speckle(drawn[place]) for place in smooth])),
        repeats=float(np.mean([echo(picture) for picture in painted])),
        repeats_drawn=float(np.mean([echo(picture) for picture in drawn])),
    )


def colour_difference(first: Any, second: Any) -> float:
    """CIEDE2000 (Sharma, Wu, Dalal 2005) between two sRGB colours in 0..1."""
    (l1, a1, b1), (l2, a2, b2) = _lab(first), _lab(second)
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 > 0 else 0.0
    middle_h = (h1 + turn / 2) % 360 if c1 * c2 > 0 else h1 + h2
    middle_l, middle_c = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(np.radians(middle_h - 30))
        + 0.24 * np.cos(np.radians(2 * middle_h))
        + 0.32 * np.cos(np.radians(3 * middle_h + 6))
        - 0.20 * np.cos(np.radians(4 * middle_h - 63))
    )
    by_l = (l2 - l1) / (1 + 0.015 * (middle_l - 50) ** 2 / np.sqrt(20 + (middle_l - 50) ** 2))
    by_c = (c2 - c1) / (1 + 0.045 * middle_c)
    by_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * middle_c * t)
    rotation = -2 * np.sqrt(middle_c**7 / (middle_c**7 + 25.0**7))
    rotation *= np.sin(np.radians(60 * np.exp(-(((middle_h - 275) / 25) ** 2))))
    return float(np.sqrt(by_l**2 + by_c**2 + by_h**2 + rotation * by_c * by_h))


def light_angle(picture: Picture, light: Light) -> float:
    """Degrees between the side named and the side that is brighter, by a plane fitted to log luminance."""
    luminance = np.log2(np.maximum(picture @ np.array([0.299, 0.587, 0.114], np.float32), 1 / 255))
    axis = np.linspace(-1, 1, picture.shape[0])
    across = float((luminance * axis[None, :]).mean())
    down = float((luminance * axis[:, None]).mean())
    x, y = _TOWARD[light]
    length = float(np.hypot(across, down)) or 1.0
    return float(np.degrees(np.arccos(np.clip((across * x + down * y) / length, -1, 1))))


def speckle(picture: Picture) -> float:
    """Root mean square of luma against its own wide blur, away from the border, in steps of 255."""
    luma = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    wide = cv2.GaussianBlur(luma, (0, 0), picture.shape[0] / 32)
    margin = picture.shape[0] // 8
    return float(255 * np.sqrt(np.mean((luma - wide)[margin:-margin, margin:-margin] ** 2)))


def echo(picture: Picture) -> float:
    """The strongest autocorrelation of a picture's structure a quarter to a half of its side away, 0..1."""
    small = cv2.resize(picture @ np.array([0.299, 0.587, 0.114], np.float32), (128, 128), interpolation=cv2.INTER_AREA)
    detail = small - cv2.GaussianBlur(small, (0, 0), 12)
    window = np.hanning(128)
    spectrum = np.abs(np.fft.fft2(detail * window[:, None] * window[None, :], (256, 256))) ** 2
    correlation = np.fft.fftshift(np.fft.ifft2(spectrum).real)
    y, x = np.mgrid[-128:128, -128:128]
    distance = np.hypot(x, y)
    far = correlation[(distance >= 32) & (distance <= 64)]  # noqa: PLR2004 (a quarter and a half of 128)
    return float(max(0.0, far.max()) / correlation.max())


def _lab(colour: Any) -> tuple[float, float, float]:
    """CIE Lab of an sRGB colour, D65 (IEC 61966-2-1, CIE 15)."""
    encoded = np.asarray(colour, dtype=np.float64).reshape(3)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004 - IEC 61966-2-1
    ratios = _TO_XYZ @ linear / _TO_XYZ.sum(axis=1)
    x, y, z = np.where(ratios > 216 / 24389, np.cbrt(ratios), (24389 / 27 * ratios + 16) / 116)
    return float(116 * y - 16), float(500 * (x - y)), float(200 * (y - z))


_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
