"""A platform's own visible mark: its logo in a corner, readable on light and on dark, and never on the face.

Contrast is WCAG's ratio of luminances. Where the logo does not stand out by itself from what lies around its outline,
a soft rim is laid around it: white or near black, whichever is quieter before that backdrop and yet apart from
the logo. The rim covers as much as readability asks, however faint the logo was asked to be.
"""

from dataclasses import dataclass, field
from typing import Final, Self

import cv2
import numpy as np
import numpy.typing as npt

from core.headshots.models import VisibleMark
from core.headshots.visible_marks import Place
from core.intake.clean import CleanLogo
from worker.studio.findings import Refused
from worker.studio.light import to_linear
from worker.studio.vision import Picture, Plane, plane

CONTRAST: Final = 3.0
"""The least ratio of luminances between a logo and what is around it: WCAG 2.2, 1.4.11, for graphics."""
_MARGIN: Final = 0.035  # of the picture's shorter side
_UNLIKE: Final = 0.25  # the share of the outline that may lie below `CONTRAST` before a rim is laid
_RIM_COVER: Final = 0.9
_AMPLY: Final = 1.2  # what a rim's soft slope takes away from its contrast
_WHITE, _DARK = 250.0, 12.0
_HALF: Final = 0.18  # luminance of a middle grey
_SMALLER, _TRIES = 0.85, 12
_SOLID: Final = 0.5
_WEIGHTS: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True, slots=True)
class Logo:
    """A logo, where it stands, and how much it covers.

    Attributes:
        colours: uint8 [h, w, 3] sRGB.
        cover: float32 [h, w], 0..1.
        place: the corner.
        width: the longer side, as a share of the picture's shorter side.
        opacity: 0..1.
    """

    colours: Picture = field(repr=False)
    cover: Plane = field(repr=False)
    place: Place
    width: float
    opacity: float

    @classmethod
    def of(cls, row: VisibleMark, logo: CleanLogo) -> Self:
        """The logo of a published mark."""
        samples = np.frombuffer(logo.samples, np.uint8).reshape(logo.height, logo.width, 4)
        return cls(
            colours=samples[..., :3],
            cover=plane(samples[..., 3] / np.float32(255)),
            place=Place(row.place),
            width=row.width,
            opacity=row.opacity,
        )


def lay(picture: Picture, logo: Logo, hull: npt.NDArray[np.bool_]) -> tuple[Picture, Plane]:
    """Lay a logo over a picture.

    Args:
        picture: uint8 [H, W, 3] sRGB.
        logo: what to lay.
        hull: bool [H, W], the locked face, which is left as it is; the logo gets smaller rather than touch it.

    Returns:
        uint8 [H, W, 3] sRGB, and how much the mark covers of each pixel, rim included: float32 [H, W], 0..1.

    Raises:
        Refused: no corner of that picture is free of the face.
    """
    colours, cover, (top, left) = _placed(logo, hull)
    high, wide = cover.shape
    under = picture[top : top + high, left : left + wide].astype(np.float32)
    rim, tone = _rim(under, colours, cover, opacity=logo.opacity, side=min(picture.shape[:2]))
    laid = under + rim[..., None] * (tone - under)
    strength = (cover * logo.opacity)[..., None]
    laid = laid + strength * (colours - laid)
    marked = picture.copy()
    marked[top : top + high, left : left + wide] = np.clip(np.rint(laid), 0, 255).astype(np.uint8)
    covered = np.zeros(picture.shape[:2], np.float32)
    covered[top : top + high, left : left + wide] = 1 - (1 - rim) * (1 - strength[..., 0])
    # The rim's soft end may reach further than the logo itself.
    covered[hull] = 0
    return np.where(hull[..., None], picture, marked), covered


def contrast(one: Plane, other: Plane) -> Plane:
    """WCAG's contrast of two colours: 1 for the same, 21 for black and white.

    Args:
        one: float [..., 3], levels of 255 sRGB.
        other: as `one`.
    """
    first, second = (_luminance(colours) + np.float32(0.05) for colours in (one, other))
    return plane(np.maximum(first, second) / np.minimum(first, second))


def _placed(logo: Logo, hull: npt.NDArray[np.bool_]) -> tuple[Plane, Plane, tuple[int, int]]:
    """The logo in its size, with room for its rim around it, and where its top left corner goes."""
    high, wide = hull.shape
    short = min(high, wide)
    margin = round(_MARGIN * short)
    room = _reach(short) * 2
    share = logo.width
    for _ in range(_TRIES):
        scale = share * short / max(logo.cover.shape)
        size = max(round(logo.cover.shape[1] * scale), 1), max(round(logo.cover.shape[0] * scale), 1)
        left = margin if logo.place in {Place.TOP_LEFT, Place.BOTTOM_LEFT} else wide - margin - size[0]
        top = margin if logo.place in {Place.TOP_LEFT, Place.TOP_RIGHT} else high - margin - size[1]
        box = (max(top - room, 0), max(left - room, 0), top + size[1] + room, left + size[0] + room)
        if not hull[box[0] : box[2], box[1] : box[3]].any():
            break
        share *= _SMALLER
    else:
        raise Refused("no_room_for_mark", "The face leaves no corner free for the visible mark.")
    # Colours are shrunk as they show: what covers nothing must not bleed into the edge.
    shrinking = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    weighted = np.dstack([logo.colours * logo.cover[..., None], logo.cover]).astype(np.float32)
    sized = cv2.resize(weighted, size, interpolation=shrinking)
    cover = np.clip(sized[..., 3], 0, 1)
    colours = np.clip(sized[..., :3] / np.maximum(sized[..., 3:], 1e-3), 0, 255)
    around = ((top - box[0], box[2] - top - size[1]), (left - box[1], box[3] - left - size[0]))
    around = (
        (around[0][0], min(around[0][1], high - top - size[1])),
        (around[1][0], min(around[1][1], wide - left - size[0])),
    )
    return (
        plane(np.pad(colours, (*around, (0, 0)), mode="edge")),
        plane(np.pad(cover, around)),
        (box[0], box[1]),
    )


def _rim(under: Plane, colours: Plane, cover: Plane, *, opacity: float, side: int) -> tuple[Plane, float]:
    """How much a rim covers, float32 [h, w], and its grey level; nothing where the logo stands out by itself."""
    reach = _reach(side)
    solid = (cover >= _SOLID).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inner = (solid > 0) & (
        cv2.erode(solid, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0) == 0
    )
    outer = (cv2.dilate(solid, kernel) > 0) & (solid == 0)
    if not inner.any() or not outer.any():
        return plane(np.zeros_like(cover)), 0.0
    # Each place of the outline against what the backdrop is just there.
    around = (
        cv2.blur(under * outer[..., None], kernel.shape)
        / np.maximum(cv2.blur(outer.astype(np.float32), kernel.shape), 1e-3)[..., None]
    )
    shown = colours + (1 - opacity) * (around - colours)
    edge, ground = plane(shown[inner]), plane(around[inner])
    if float((contrast(edge, ground) < CONTRAST).mean()) <= _UNLIKE:
        return plane(np.zeros_like(cover)), 0.0
    # The tone that is nearer to the backdrop looks quieter; it is taken if the logo stands out from it.
    nearer, other = (_WHITE, _DARK) if float(np.median(_luminance(ground))) > _HALF else (_DARK, _WHITE)
    apart = {tone: float(np.median(contrast(edge, plane(np.full_like(edge, tone))))) for tone in (nearer, other)}
    tone = nearer if apart[nearer] >= _AMPLY * CONTRAST else max(apart, key=lambda level: apart[level])
    grown = cv2.dilate(np.where(cover > 0.05, cover, 0), kernel)  # noqa: PLR2004 (the faintest fringe grows no rim)
    soft = cv2.GaussianBlur(grown, (0, 0), max(reach / 3, 0.6))
    # Around the logo and not below it, where it would shine through a faint one.
    return plane(np.clip(np.maximum(soft, grown * 0.6), 0, 1) * _RIM_COVER * (1 - cover)), tone


def _reach(side: int) -> int:
    """How far a rim goes beyond the logo, px."""
    return max(round(side / 200), 2)


def _luminance(colours: Plane) -> Plane:
    linear = to_linear(plane(colours / np.float32(255)))
    return plane(linear @ _WEIGHTS)
