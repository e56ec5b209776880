"""Sixth stage: the person in front of the backdrop."""

import numpy as np
import numpy.typing as npt

from worker.studio import light
from worker.studio.matte import Matte
from worker.studio.vision import Picture, Plane


def compose(matte: Matte, lit: Plane, backdrop: Plane, *, wrap: float, hull: npt.NDArray[np.bool_]) -> Picture:
    """Set the person before the backdrop.

    Args:
        matte: the person, cut free.
        lit: float32 [1024, 1024, 3], 0..1 sRGB: the matte's foreground after grading.
        backdrop: float32 [1024, 1024, 3], 0..1 sRGB, grain included.
        wrap: 0..0.5, the style's light wrap.
        hull: bool [1024, 1024], the face: it gets no light wrap and stays whole.

    Returns:
        uint8 [1024, 1024, 3] sRGB.
    """
    person = light.wrap(lit, backdrop, matte.alpha, amount=wrap, keep=hull)
    alpha = np.where(hull, 1.0, matte.alpha)[..., None]
    mixed = alpha * person + (1 - alpha) * backdrop
    return np.round(255 * np.clip(mixed, 0, 1)).astype(np.uint8)
