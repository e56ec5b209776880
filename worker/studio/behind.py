"""Colours that stand behind a person and are nowhere on them: a word of the photo's own on what the matte leaves open.

The segmentation is unsure where a thing in the room touches the person, and the closed-form energy joins what has an
even colour. What speaks against such a pixel is that its colour is found in the sure background close by and on no sure
part of the person about there, as in robust matting (Wang and Cohen, 2007). It only ever speaks for the background, and
only where both are plain: a hair's mixed colour is near neither.
"""

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from worker.studio.vision import Picture, Plane, plane

_FINE = 2  # colours are compared on every second pixel
_AROUND = 0.8  # of the eyes' distance: how far from what is open colours are looked for
_SAMPLES, _NEIGHBOURS = 4000, 3
# What a distance of one eyes' distance costs, in hundredths of CIELAB units / 100: the background must be close by.
_FAR_PERSON, _FAR_BACKGROUND = 0.03, 0.10
# From the first to the second distance of colours (CIELAB / 100) it is nobody's, or not the background's.
_NOBODYS = (0.10, 0.18)
_BACKGROUNDS = (0.04, 0.08)


def behind(picture: Picture, trimap: npt.NDArray[np.float64], apart: float) -> Plane:
    """How plainly each open pixel belongs to what is behind the person.

    Args:
        picture: uint8 [H, W, 3], sRGB.
        trimap: float64 [H, W], 1 person, 0 background, 0.5 open.
        apart: the eyes' distance, px.

    Returns:
        float32 [H, W], 0 (nothing can be said) .. 1; 0 wherever it is not open.
    """
    height, width = trimap.shape
    known = trimap[::_FINE, ::_FINE]
    rows, columns = known.shape
    small = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    colours = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3) / 100
    y, x = (each.ravel() * (_FINE / apart) for each in np.mgrid[:rows, :columns])
    is_open = known == 0.5  # noqa: PLR2004 - the value of what is open
    reach = max(1, round(_AROUND * apart / _FINE))
    near = cv2.distanceTransform((~is_open).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) <= reach
    asked = np.flatnonzero(is_open)

    def distances(among: npt.NDArray[np.bool_], far: float) -> npt.NDArray[np.float64]:
        found = np.flatnonzero(among & near)
        if not len(found):
            return np.full(len(asked), np.inf)
        found = found[:: -(-len(found) // _SAMPLES)]  # evenly, and the same each time

        def described(places: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
            return np.column_stack([colours[places], far * x[places], far * y[places]])

        apart_by, _ = cKDTree(described(found)).query(described(asked), k=[*range(1, _NEIGHBOURS + 1)])
        return np.asarray(apart_by.mean(axis=1), np.float64)

    nobodys = _between(distances(known == 1, _FAR_PERSON), *_NOBODYS)
    backgrounds = 1 - _between(distances(known == 0, _FAR_BACKGROUND), *_BACKGROUNDS)
    said = np.zeros(rows * columns, np.float32)
    said[asked] = nobodys * backgrounds
    spread = cv2.resize(said.reshape(rows, columns), (width, height), interpolation=cv2.INTER_LINEAR)
    return plane(np.where(trimap == 0.5, spread, 0))  # noqa: PLR2004 - the value of what is open


def _between(values: npt.NDArray[np.float64], low: float, high: float) -> npt.NDArray[np.float64]:
    """0 at the lower bound and below, 1 at the upper and above."""
    return np.clip((values - low) / (high - low), 0, 1)
