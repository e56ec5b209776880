"""Fourth stage: a gentle grading, the same rule for every pixel of the person, face included.

Three things only: white balance towards neutral, exposure, and the slow fall of the style's key light across the frame.
All are bounded. The skin's own lightness decides nothing: exposure is judged by the brightest parts of the whole scene,
so nobody's skin is made lighter or darker towards a target, and white balance may not move the skin past its budget.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from core.headshots.styles import Light
from worker.studio.find_face import face_hull
from worker.studio.frame import MASTER, Framed
from worker.studio.vision import Plane, plane

SKIN_BUDGET = 4.0
"""The largest change of the skin's median colour that white balance may make, CIEDE2000."""

_BALANCE_MOST = 0.08  # largest relative gain of a channel, linear light
_BALANCE_SLACK = 0.10  # a relative cast up to this is left alone
_EXPOSURE_MOST = 0.8  # stops
_WHITES, _WHITES_DIM = 0.85, 0.65  # luma that the scene's whites are lifted to, and below which they need it


@dataclass(frozen=True, slots=True)
class Recipe:
    """What grading does, in linear light.

    Attributes:
        gains: of red, green and blue, about 1.
        stops: exposure.
        azimuth: where the key light comes from, degrees as in `Light`.
        strength: relative change at the frame's edge, 0..0.1.
    """

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    stops: float = 0.0
    azimuth: float = 90.0
    strength: float = 0.0


def plan(framed: Framed, light: Light) -> Recipe:
    """The grading that this picture needs under that light.

    Args:
        framed: the master square.
        light: the style's key light.
    """
    recipe = Recipe(gains=_balance(framed))
    face = framed.picture[face_hull(framed.points, framed.picture.shape, inset=0.05)]
    skin = np.median(face, axis=0).astype(np.float32) / 255
    while (moved := skin_shift(skin, _graded(skin, recipe))) > SKIN_BUDGET:
        keep = 0.9 * SKIN_BUDGET / moved
        red, green, blue = (1 + (gain - 1) * keep for gain in recipe.gains)
        recipe = replace(recipe, gains=(red, green, blue))
    return replace(recipe, stops=_exposure(framed), azimuth=light.azimuth, strength=light.strength)


def relight(picture: Plane, recipe: Recipe) -> Plane:
    """Grade a picture.

    Args:
        picture: float32 [1024, 1024, 3], 0..1 sRGB.
        recipe: from `plan`.

    Returns:
        float32 [1024, 1024, 3], 0..1 sRGB. Nothing clips: gains bend towards white instead of running into it.
    """
    return _graded(picture, recipe, key=_key_light(recipe)[..., None])


def wrap(picture: Plane, backdrop: Plane, alpha: Plane, *, amount: float, keep: npt.NDArray[np.bool_]) -> Plane:
    """Let the backdrop's light bend around the outline, as it does around a real head in front of a real wall.

    Args:
        picture: float32 [1024, 1024, 3], the person, 0..1 sRGB.
        backdrop: float32 [1024, 1024, 3], 0..1 sRGB.
        alpha: float32 [1024, 1024], 0..1.
        amount: 0..0.5, how much at the very edge.
        keep: bool [1024, 1024], pixels that stay as they are: the face.

    Returns:
        float32 [1024, 1024, 3], 0..1 sRGB.
    """
    reach = MASTER / 90
    rim = np.clip(1 - cv2.GaussianBlur(alpha, (0, 0), reach), 0, 1)
    calm = cv2.GaussianBlur((~keep).astype(np.float32), (0, 0), reach)
    weight = (amount * rim * calm)[..., None]
    small = cv2.resize(backdrop, (MASTER // 4, MASTER // 4), interpolation=cv2.INTER_AREA)
    glow = cv2.resize(cv2.GaussianBlur(small, (0, 0), MASTER / 100), (MASTER, MASTER))
    # Light adds: a screen blend brightens and never darkens, so a dark backdrop leaves no dirty rim.
    return plane(np.where(keep[..., None], picture, 1 - (1 - picture) * (1 - weight * glow)))


def to_linear(srgb: Plane) -> Plane:
    """Take sRGB 0..1 to linear light (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)  # noqa: PLR2004 - the standard's


def to_srgb(linear: Plane) -> Plane:
    """Take linear light 0..1 to sRGB (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)  # noqa: PLR2004 - the standard's


def skin_shift(one: Plane, other: Plane) -> float:
    """CIEDE2000 between two sRGB colours, float32 [3], 0..1 (Sharma, Wu and Dalal, 2005)."""
    (l1, a1, b1), (l2, a2, b2) = (
        cv2.cvtColor(colour.reshape(1, 1, 3).astype(np.float32), cv2.COLOR_RGB2LAB)[0, 0].astype(np.float64)
        for colour in (one, other)
    )
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    delta_l, delta_c, delta_h = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    mean_l, mean_c, mean_h = (l1 + l2) / 2, (c1 + c2) / 2, (h1 + turn / 2) % 360
    t = (
        1
        - 0.17 * np.cos(np.radians(mean_h - 30))
        + 0.24 * np.cos(np.radians(2 * mean_h))
        + 0.32 * np.cos(np.radians(3 * mean_h + 6))
        - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    )
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    swing = (
        -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((mean_h - 275) / 25) ** 2))))
    )
    lightness, chroma, hue = delta_l / s_l, delta_c / s_c, delta_h / s_h
    return float(np.sqrt(lightness**2 + chroma**2 + hue**2 + swing * chroma * hue))


def _exposure(framed: Framed) -> float:
    """Stops that bring the whites of an underexposed scene up; 0 for a scene that has its whites."""
    luma = cv2.cvtColor(framed.context, cv2.COLOR_RGB2GRAY)
    whites = max(float(np.percentile(luma, 99.7)) / 255, 0.02)
    if whites >= _WHITES_DIM:
        return 0.0
    # Luma is about the 1/2.2 power of linear light.
    return min(2.2 * float(np.log2(_WHITES / whites)), _EXPOSURE_MOST)


def _balance(framed: Framed) -> tuple[float, float, float]:
    """Gains towards neutral by shades of grey (Finlayson and Trezzi, 2004), bounded.

    Strong colours (an orange suit, a red flag) say nothing about the light, so only pale pixels vote.
    """
    small = cv2.resize(framed.picture, (128, 128), interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32) / 255
    high, low = small.max(axis=1), small.min(axis=1)
    pale = small[(high - low < 0.25) & (high < 0.98) & (high > 0.2)]  # noqa: PLR2004 - neither clipped nor black
    if len(pale) < 0.05 * len(small):
        return (1.0, 1.0, 1.0)
    norms = (to_linear(pale).astype(np.float64) ** 6).mean(axis=0) ** (1 / 6)
    cast = norms.mean() / np.maximum(norms, 1e-4) - 1
    # A slight cast is as likely the wall's own colour as the lamp's: what is within tolerance stays as it was shot.
    beyond = np.sign(cast) * np.clip(np.abs(cast) - _BALANCE_SLACK, 0, _BALANCE_MOST)
    gains = 1 + beyond
    gains /= gains @ np.array([0.2126, 0.7152, 0.0722])
    return float(gains[0]), float(gains[1]), float(gains[2])


def _key_light(recipe: Recipe) -> Plane:
    """The key light's slow fall: float32 [1024, 1024] about 1, from 1 + strength near the light to 1 - strength."""
    steps = np.linspace(-1, 1, MASTER)
    angle = np.radians(recipe.azimuth)
    towards = np.clip(np.cos(angle) * steps[None] - np.sin(angle) * steps[:, None], -1, 1)
    return plane(1 + recipe.strength * np.sin(np.pi / 2 * towards))


def _graded(srgb: Plane, recipe: Recipe, *, key: Plane | float = 1.0) -> Plane:
    gain = np.asarray(recipe.gains, np.float32) * np.float32(2**recipe.stops) * key
    linear = to_linear(srgb)
    # Above 1 the gain bends into white: slope `gain` in the shadows, and 1 stays 1.
    bent = 1 - (1 - linear) ** np.maximum(gain, 1)
    return to_srgb(np.where(gain > 1, bent, linear * gain).astype(np.float32))
