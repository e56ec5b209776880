"""Fifth stage: what stands behind the person.

Every backdrop is drawn in linear light, as light adds up: paper and canvas under a lamp, rooms and parks as coloured
shapes thrown out of focus by a round aperture. The same style and seed give the same picture to the bit. A fine film
grain, laid on last, keeps the smooth falls of light from banding in eight bits.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np

from core.headshots.styles import CATALOGUE, Backdrop, Style
from worker.studio import places, surfaces
from worker.studio.frame import MASTER
from worker.studio.light import to_linear, to_srgb
from worker.studio.optics import Colours, Rng
from worker.studio.vision import Picture, Plane, plane

GRAIN = 0.9
"""Standard deviation of the film grain, steps of 255."""

_PLACES = frozenset({Backdrop.WINDOW, Backdrop.FOLIAGE, Backdrop.CITY, Backdrop.SUNLIT, Backdrop.OFFICE})


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


def stays_close(style: Style) -> bool:
    """Whether a model must stay close to what is drawn: there are things to be known again, or a tenant's colours."""
    return style.backdrop in _PLACES or style.name not in CATALOGUE


def repainted(style: Style) -> bool:
    """Whether a diffusion model is asked for it: one colour from edge to edge is that colour, and no model is."""
    return style.backdrop is not Backdrop.PLAIN


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


_PAINTERS: Mapping[Backdrop, Callable[[Colours, Style, Rng], Plane]] = MappingProxyType(
    {
        Backdrop.PAPER: surfaces.paper,
        Backdrop.SPOTLIGHT: surfaces.spotlight,
        Backdrop.CANVAS: surfaces.canvas,
        Backdrop.WINDOW: places.window,
        Backdrop.FOLIAGE: places.foliage,
        Backdrop.CITY: places.city,
        Backdrop.PLAIN: surfaces.plain,
        Backdrop.GRADIENT: surfaces.gradient,
        Backdrop.SUNLIT: surfaces.sunlit,
        Backdrop.OFFICE: places.office,
    }
)
