"""Third stage: which part of every pixel is the person, and what the person's own colour is there.

The segmentation only knows the person roughly. Around its edge a band is left open, wide where there is hair and narrow
along clothes, and closed-form matting (Levin, Lischinski and Weiss, 2008) solves it from the picture's own colours.
Multi-level foreground estimation (Germer et al., 2020) then takes the old background's colour out of the edge.
"""

from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from worker.studio import vision
from worker.studio.find_face import CHIN, face_hull
from worker.studio.frame import MASTER, Framed
from worker.studio.vision import Picture, Plane

WORK = 768
"""Side in px at which the matte is solved; finer costs time and shows nothing more."""

# Half widths of the open band, as shares of the eyes' distance.
_HAIR_OUT, _HAIR_IN = 0.24, 0.16
_CLOTH_OUT, _CLOTH_IN = 0.07, 0.06
# Numba's thread pool must not be entered by two threads at once: it aborts the process.
_one_at_a_time = Lock()


@dataclass(frozen=True, slots=True)
class Matte:
    """The person, cut free.

    Attributes:
        alpha: float32 [1024, 1024], 0..1, how much of the pixel is the person.
        foreground: float32 [1024, 1024, 3], 0..1 sRGB, the person's colour with the old background taken out.
    """

    alpha: Plane
    foreground: Plane


def matte(framed: Framed) -> Matte:
    """Cut the person free of the framed picture.

    Args:
        framed: the master square.
    """
    image = framed.picture.astype(np.float32) / 255
    small = cv2.resize(image, (WORK, WORK), interpolation=cv2.INTER_AREA)
    trimap = draw_trimap(framed)
    with _one_at_a_time:
        rough = _solvers().alpha(small.astype(np.float64), trimap, cg_kwargs={"rtol": 1e-6, "maxiter": 400})
    alpha = cv2.resize(rough.astype(np.float32), (MASTER, MASTER), interpolation=cv2.INTER_CUBIC)
    # Closed form leaves a thin veil over flat colours and never quite closes solid ones; a gentle stretch settles both.
    alpha = np.clip((alpha - 0.04) / 0.92, 0, 1)
    alpha *= framed.inside
    alpha = np.maximum(alpha, face_hull(framed.points, alpha.shape, inset=0.06).astype(np.float32))
    with _one_at_a_time:
        foreground = _solvers().foreground(image, alpha.astype(np.float32))
    return Matte(alpha.astype(np.float32), np.clip(foreground, 0, 1).astype(np.float32))


def draw_trimap(framed: Framed) -> npt.NDArray[np.float64]:
    """Sure person 1, sure background 0, open 0.5.

    Args:
        framed: the master square.

    Returns:
        float64 [768, 768].
    """
    scale = WORK / MASTER
    apart = framed.eye_distance * scale
    mask = cv2.resize(_person(framed.picture), (WORK, WORK), interpolation=cv2.INTER_LINEAR)
    # Hair ends and clothes begin somewhere about the chin; the band narrows over half an eyes' distance below it.
    chin = float(framed.points[CHIN, 1]) * scale
    cloth = np.clip((np.arange(WORK) - chin + 0.4 * apart) / (0.5 * apart), 0, 1)[:, None] > 0.5  # noqa: PLR2004 - half way
    solid, empty = (mask > 0.85).astype(np.uint8), (mask < 0.15).astype(np.uint8)  # noqa: PLR2004 - the mask's own slope
    inner = np.where(cloth, _shrink(solid, _CLOTH_IN * apart), _shrink(solid, _HAIR_IN * apart))
    outer = np.where(cloth, _shrink(empty, _CLOTH_OUT * apart), _shrink(empty, _HAIR_OUT * apart))
    trimap = np.full((WORK, WORK), 0.5)
    trimap[outer > 0] = 0.0
    trimap[inner > 0] = 1.0
    hull = cv2.resize(face_hull(framed.points, (MASTER, MASTER), inset=0.06).astype(np.uint8), (WORK, WORK))
    trimap[hull > 0] = 1.0
    return trimap


def warm() -> None:
    """Load the matting code, compiled at its first use ever (half a minute), and run it once."""
    image = np.random.default_rng(0).random((32, 32, 3))
    trimap = np.full((32, 32), 0.5)
    trimap[:8], trimap[24:] = 0.0, 1.0
    with _one_at_a_time:
        alpha = _solvers().alpha(image, trimap)
        _solvers().foreground(image.astype(np.float32), alpha.astype(np.float32))


@dataclass(frozen=True, slots=True)
class _Solvers:
    alpha: Any
    foreground: Any


@cache
def _solvers() -> _Solvers:
    # Importing pymatting compiles it or loads what was compiled: seconds that only a working studio should spend.
    from pymatting import estimate_alpha_cf, estimate_foreground_ml

    return _Solvers(estimate_alpha_cf, estimate_foreground_ml)


def _person(picture: Picture) -> Plane:
    """The mask of the whole square, with its upper part seen again from nearby where hair needs it."""
    whole = vision.person_mask(picture)
    near = vision.person_mask(picture[: MASTER * 5 // 8, MASTER * 3 // 16 : MASTER * 13 // 16])
    fade = np.zeros_like(whole)
    fade[: MASTER * 9 // 16, MASTER // 4 : MASTER * 3 // 4] = 1
    fade = cv2.GaussianBlur(fade, (0, 0), MASTER / 48)
    closer = whole.copy()
    closer[: MASTER * 5 // 8, MASTER * 3 // 16 : MASTER * 13 // 16] = near
    return (fade * closer + (1 - fade) * whole).astype(np.float32)


def _shrink(mask: npt.NDArray[np.uint8], radius: float) -> npt.NDArray[np.uint8]:
    size = 2 * max(round(radius), 1) + 1
    return cv2.erode(
        mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), borderType=cv2.BORDER_REPLICATE
    ).astype(np.uint8)
