"""The invisible mark, laid over everything but the face.

Faint where the picture is calm, stronger where hair, cloth or a busy backdrop hide it; nothing at all inside the locked
face. Whether it can be read is proved on the encoded file: a picture that cannot carry it is refused, never delivered
without.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from core.provenance.watermark import find_in_place, fits, texture
from worker.studio.findings import Refused
from worker.studio.vision import Picture

STRENGTH = 0.85
"""Standard deviation of the texture on a calm backdrop at 1024 px, in levels of 255."""
_CALM, _BUSY = 0.65, 2.6  # least and most of that, by how lively the place is
_LIVELINESS = 0.12
_SMALLER = 0.35
_FEATHER = 9  # px


@dataclass(frozen=True, slots=True)
class Stamp:
    """An invisible mark to lay: its 8 bytes, and the deployment's watermark key."""

    mark: bytes
    key: bytes = field(repr=False)


def lay(picture: Picture, stamp: Stamp, hull: npt.NDArray[np.bool_]) -> Picture:
    """Lay the mark over a picture.

    Args:
        picture: uint8 [H, W, 3] sRGB.
        stamp: what to lay.
        hull: bool [H, W], the locked face, which is left as it is.

    Returns:
        uint8 [H, W, 3] sRGB, equal to `picture` inside the hull.

    Raises:
        Refused: the picture is too small.
    """
    high, wide = picture.shape[:2]
    if not fits(wide, high):
        raise unmarkable()
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), 4)
    # Rounding may leave the mean square of a flat place a little below zero.
    lively = np.sqrt(np.maximum(cv2.blur(detail * detail, (17, 17)), 0))
    # A small picture's texture is finer, and suffers more from whatever is done to it.
    strength = STRENGTH * (1024 / max(high, wide)) ** _SMALLER * np.clip(_CALM + _LIVELINESS * lively, _CALM, _BUSY)
    near_face = cv2.dilate(hull.astype(np.uint8), np.ones((_FEATHER, _FEATHER), np.uint8))
    free = 1 - cv2.blur(near_face.astype(np.float32), (_FEATHER, _FEATHER))
    added = texture(stamp.mark, stamp.key, width=wide, height=high) * strength * free
    marked = np.clip(np.rint(picture + added[..., None]), 0, 255).astype(np.uint8)
    return np.where(hull[..., None], picture, marked)


def require_readable(picture: Picture, stamp: Stamp) -> None:
    """Check that a decoded file carries the mark. Raises `Refused` where it does not.

    Args:
        picture: uint8 [H, W, 3] sRGB.
        stamp: what was laid.
    """
    found = find_in_place(picture, stamp.key)
    if found is None or found.mark != stamp.mark:
        raise unmarkable()


def unmarkable() -> Refused:
    """The refusal of a picture that cannot carry the mark."""
    return Refused(
        "not_markable", "This picture is too small or too plain to carry the mark that says how it was made."
    )
