"""The promise: every pixel inside the face is the person's own, graded and otherwise untouched.

What is delivered is compared with the framed photo put through the same recipe once more, by a path that knows nothing
of matte, backdrop or model. Checked on every picture, and it raises: a broken lock must never leave the worker.
"""

import numpy as np
import numpy.typing as npt

from core.errors import IntegrityError
from worker.studio.find_face import face_hull
from worker.studio.frame import Framed
from worker.studio.light import Recipe, relight
from worker.studio.vision import Picture, pixels, plane

INSET = 0.08
"""How far inside the mesh's oval the lock begins, in eyes' distances: the oval may run along the very outline."""

TOLERANCE = 1
"""Steps of 255 that a pixel may differ by before encoding: rounding, and nothing else."""

ENCODED_MEAN, ENCODED_P99 = 2.5, 12.0
"""Steps of 255 that JPEG may add inside the face: mean, and 99th percentile."""


class FaceLockBroken(IntegrityError):
    """A pixel of the face is not the person's own. The picture must not be delivered."""


def hull_of(framed: Framed) -> npt.NDArray[np.bool_]:
    """The locked pixels of the master square: bool [1024, 1024]."""
    return face_hull(framed.points, framed.picture.shape, inset=INSET)


def own_pixels(framed: Framed, recipe: Recipe) -> Picture:
    """The framed photo with nothing but the recipe applied: uint8 [1024, 1024, 3] sRGB, what the lock compares with."""
    return pixels(np.round(255 * relight(plane(framed.picture / np.float32(255)), recipe)))


def require_own_face(composite: Picture, own: Picture, hull: npt.NDArray[np.bool_]) -> None:
    """Check a picture before it is encoded.

    Args:
        composite: uint8 [H, W, 3] sRGB.
        own: uint8 [H, W, 3], from `own_pixels`.
        hull: bool [H, W], the locked pixels.

    Raises:
        FaceLockBroken: some pixel differs by more than `TOLERANCE`, or there is nothing to lock.
    """
    difference = _difference(composite, own, hull)
    if difference.max() > TOLERANCE:
        raise FaceLockBroken(f"{(difference.max(axis=1) > TOLERANCE).mean():.2%} of the face differ")


def require_own_face_encoded(decoded: Picture, own: Picture, hull: npt.NDArray[np.bool_]) -> None:
    """Check an output as its reader will see it, after JPEG.

    Args:
        decoded: uint8 [H, W, 3] sRGB.
        own: uint8 [H, W, 3], `own_pixels` cut and resized as the output was.
        hull: bool [H, W], cut and resized likewise.

    Raises:
        FaceLockBroken: the face differs by more than an encoder explains, or there is nothing to lock.
    """
    difference = _difference(decoded, own, hull)
    if difference.mean() > ENCODED_MEAN or np.percentile(difference, 99) > ENCODED_P99:
        raise FaceLockBroken(f"mean difference {difference.mean():.2f} of 255 after encoding")


def _difference(one: Picture, other: Picture, hull: npt.NDArray[np.bool_]) -> npt.NDArray[np.int16]:
    if one.shape != other.shape or not hull.any():
        raise FaceLockBroken("there is no face to compare")
    return np.abs(one[hull].astype(np.int16) - other[hull].astype(np.int16))
