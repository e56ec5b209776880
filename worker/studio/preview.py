"""A preview of a style: its backdrop, a drawn head and shoulders, the visible mark, and PREVIEW across all of it.

The head is one shape in two greys, lit from the side that the style's light comes from. It has no face, no skin and no
hair, so that nobody could take it for somebody.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from core.headshots.styles import Light, Style
from worker.studio import backdrop, encode, logo, mark
from worker.studio.frame import MASTER
from worker.studio.logo import Logo
from worker.studio.vision import Plane, plane

TEXT: Final = "PREVIEW"
SEED: Final = 7
_SHADE, _LIT = 0.38, 0.66  # sRGB levels of the drawn head
_SUPERSAMPLED: Final = 2
_HALF: Final = 127
_CLEARANCE: Final = 25  # px
_STRENGTH: Final = 0.55


def draw(style: Style, laid: Logo | None) -> bytes:
    """Draw the preview of a style. The same style and logo give the same bytes.

    Args:
        style: which look.
        laid: the visible mark that its headshots would carry.

    Returns:
        a JPEG of 1024 × 1024 px.
    """
    behind = backdrop.draw(style, seed=SEED)
    cover, head = _silhouette()
    person = _shaded(cover, style.light)
    mixed = cover[..., None] * person + (1 - cover[..., None]) * behind
    picture = np.round(255 * backdrop.with_grain(plane(np.clip(mixed, 0, 1)), seed=SEED)).astype(np.uint8)
    kept = cover > 0
    if laid is not None:
        picture, covered = logo.lay(picture, laid, head)
        # Nothing is written through the logo, nor close to it.
        kept |= cv2.dilate((covered > 0).astype(np.uint8), np.ones((_CLEARANCE, _CLEARANCE), np.uint8)) > 0
    return encode.encode(mark.mark(picture, kept, text=TEXT, strength=_STRENGTH)).data


def _silhouette() -> tuple[Plane, npt.NDArray[np.bool_]]:
    """How much the drawn person covers, float32 [1024, 1024], and where the head is, bool [1024, 1024]."""
    side = MASTER * _SUPERSAMPLED
    head, body = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)

    def at(x: float, y: float) -> tuple[int, int]:
        return round(x * side), round(y * side)

    cv2.ellipse(head, at(0.5, 0.35), at(0.128, 0.155), 0, 0, 360, 255, -1)
    cv2.ellipse(head, at(0.5, 0.425), at(0.112, 0.15), 0, 0, 360, 255, -1)
    cv2.fillPoly(body, [np.array([at(0.428, 0.48), at(0.572, 0.48), at(0.58, 0.68), at(0.42, 0.68)], np.int32)], 255)
    # Shoulders: half an ellipse that runs out of the picture.
    cv2.ellipse(body, at(0.5, 1.06), at(0.43, 0.465), 0, 180, 360, 255, -1)
    # Softened and cut at half, every corner where two shapes meet becomes a curve.
    whole = cv2.GaussianBlur(np.maximum(head, body), (0, 0), side / 90)
    sharp = np.where(whole > _HALF, 255, 0).astype(np.uint8)
    cover = cv2.resize(sharp, (MASTER, MASTER), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    inner = cv2.resize(head, (MASTER, MASTER), interpolation=cv2.INTER_AREA) > _HALF
    return plane(cv2.GaussianBlur(cover, (0, 0), 0.8)), inner


def _shaded(cover: Plane, light: Light) -> Plane:
    """The drawn person's own grey, brighter where the light comes from: float32 [1024, 1024, 3], 0..1 sRGB."""
    # The blurred cover is a height: high in the middle, falling to the outline. Light falls on its slopes.
    height = cv2.GaussianBlur(cover, (0, 0), MASTER / 22) + cv2.GaussianBlur(cover, (0, 0), MASTER / 9)
    down, right = np.gradient(height)
    turn = np.radians(light.azimuth)
    facing = np.sin(turn) * down - np.cos(turn) * right
    lit = np.clip(0.5 + 0.5 * facing / np.percentile(np.abs(facing), 99), 0, 1)
    grey = cv2.GaussianBlur(plane(_SHADE + (_LIT - _SHADE) * lit), (0, 0), 6)
    return plane(np.repeat(grey[..., None], 3, axis=2))
