"""Second stage: the eye-levelled head-and-shoulders square.

Portrait rules: eyes level and about a third from the top, head just under half of the height, a little air above the
crown. Beyond the photo's edge there is nothing of the person to show, so where the person touches an edge the crop
comes closer instead of inventing shoulders. Air beyond the edge costs nothing: it becomes backdrop.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from worker.studio.find_face import CHIN, LEFT_IRIS, RIGHT_IRIS, Face
from worker.studio.vision import Picture, Plane, Points

MASTER = 1024
"""Side of the master square, px."""

MARGIN = 96
"""Px of the photo kept around the master square: the matte must see what lies beyond an edge to cut well along it."""

HEAD_IDEAL, HEAD_CLOSEST = 0.46, 0.72  # share of the square's height from chin to crown
AIR_ABOVE = (0.09, 0.07, 0.05, 0.03, 0.0, -0.02)  # share of the square above the crown; hair cut by the photo gets none
INVENTED_NONE = 0.0005  # share of the square that may be person beyond the photo's edge and still count as none
INVENTED_MOST = 0.02  # more than this cannot be hidden: the photo is refused
_REACH = 10.0  # eyes' distances around the eyes: no square reaches further
_GRID = 128  # sample points a side when a crop is tried


@dataclass(frozen=True, slots=True)
class Framed:
    """The master square, before any light.

    Attributes:
        picture: uint8 [1024, 1024, 3] sRGB: the person's own pixels, resampled once.
        context: uint8 [1216, 1216, 3] sRGB: the same with its margin on every side.
        inside: bool [1024, 1024], true where the pixel comes from the photo; elsewhere its edge is repeated.
        points: float32 [478, 2], the face mesh in px of the square.
        scale: px of the square per px of the photo; above 1 it was enlarged.
        invented: share 0..1 of the square that shows person beyond the photo's edge.
    """

    picture: Picture
    context: Picture
    inside: npt.NDArray[np.bool_]
    points: Points
    scale: float
    invented: float

    @property
    def eye_distance(self) -> float:
        """Between the iris centres, px of the square."""
        return float(np.linalg.norm(self.points[LEFT_IRIS] - self.points[RIGHT_IRIS]))


@dataclass(frozen=True, slots=True)
class Crop:
    """Where the square lies: `matrix` float64 [2, 3] takes px of the photo to px of the square."""

    matrix: npt.NDArray[np.float64]
    invented: float

    @property
    def scale(self) -> float:
        """Px of the square per px of the photo."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))


def neighbourhood(picture: Picture, face: Face) -> tuple[Picture, Face]:
    """The part of the photo that any square could show, so that a huge photo costs no more than a fitting one.

    Args:
        picture: uint8 [H, W, 3] sRGB.
        face: the face in px of `picture`.

    Returns:
        uint8 [h, w, 3], and the face in its px.
    """
    middle = face.points[[LEFT_IRIS, RIGHT_IRIS], :2].mean(axis=0)
    left, top = np.floor(middle - _REACH * face.eye_distance).astype(int).clip(0)
    right, bottom = np.ceil(middle + _REACH * face.eye_distance).astype(int)
    shift = np.array([left, top, 0], np.float32)
    box = replace(face.box, x=face.box.x - left, y=face.box.y - top)
    return picture[top:bottom, left:right], Face(box, face.points - shift)


def choose_crop(face: Face, person: Plane) -> Crop:
    """The loosest square, up to the ideal, in which no person has to be invented; else the one that invents least.

    Args:
        face: the face, in px of the photo.
        person: float32 [H, W], 0..1: the photo's person mask.
    """
    eyes = face.points[[LEFT_IRIS, RIGHT_IRIS], :2].astype(np.float64)
    middle = eyes.mean(axis=0)
    along = (eyes[1] - eyes[0]) / max(float(np.linalg.norm(eyes[1] - eyes[0])), 1e-6)
    # Rows of `turn` are the levelled axes: right along the eyes, down from them.
    turn = np.array([[along[0], along[1]], [-along[1], along[0]]])
    levelled = (face.points[:, :2] - middle) @ turn.T
    chin = float(levelled[CHIN, 1])
    crown, sideways = _crown(face, person, middle, turn)
    head = chin - crown
    best: Crop | None = None
    for share in np.arange(HEAD_IDEAL, HEAD_CLOSEST + 0.001, 0.02):
        side = head / share
        for air in AIR_ABOVE:
            corner = np.array([sideways - side / 2, crown - air * side])
            scale = MASTER / side
            matrix = np.hstack([scale * turn, (-scale * (turn @ middle + corner))[:, None]])
            crop = Crop(matrix, _invented(matrix, person))
            if crop.invented <= INVENTED_NONE:
                return crop
            if best is None or crop.invented < best.invented:
                best = crop
    assert best is not None  # noqa: S101 - both loops run at least once
    return best


def frame(picture: Picture, face: Face, crop: Crop) -> Framed:
    """Cut the square out of the photo, resampling once.

    Shrinking averages whole areas first, so nothing aliases; enlarging is Lanczos, which adds nothing.

    Args:
        picture: uint8 [H, W, 3] sRGB.
        face: the face in px of `picture`.
        crop: from `choose_crop`.
    """
    matrix = crop.matrix
    if crop.scale < 1:
        picture = cv2.resize(picture, None, fx=crop.scale, fy=crop.scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
        matrix = matrix @ np.diag([1 / crop.scale, 1 / crop.scale, 1.0])
    matrix = matrix + np.array([[0, 0, MARGIN], [0, 0, MARGIN]])
    size = (MASTER + 2 * MARGIN, MASTER + 2 * MARGIN)
    context = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    whole = np.full(picture.shape[:2], 255, np.uint8)
    covered = cv2.warpAffine(whole, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    middle = (slice(MARGIN, MARGIN + MASTER), slice(MARGIN, MARGIN + MASTER))
    return Framed(
        picture=np.ascontiguousarray(context[middle]).astype(np.uint8),
        context=context.astype(np.uint8),
        inside=covered[middle] > 250,  # noqa: PLR2004 - whole pixels alone
        points=(face.points[:, :2] @ crop.matrix[:, :2].T + crop.matrix[:, 2]).astype(np.float32),
        scale=crop.scale,
        invented=crop.invented,
    )


def _crown(
    face: Face, person: Plane, middle: npt.NDArray[np.float64], turn: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Where the crown lies above the eyes' line (negative: up) and the head's middle beside it, px levelled."""
    apart = face.eye_distance
    wide, high = np.meshgrid(np.arange(-2.4, 2.4, 0.05) * apart, np.arange(-3.6, 0.0, 0.05) * apart)
    grid = np.stack([wide, high], axis=-1)
    seen, inside = _sample(person, grid @ turn + middle)
    hair = (seen > 0.5) & inside  # noqa: PLR2004 - more likely person than not
    rows = np.nonzero(hair.sum(axis=1) >= 4)[0]  # noqa: PLR2004 - a fifth of the eyes' distance: a head, not a stray hair
    crown = float(grid[rows[0], 0, 1]) if len(rows) else -1.9 * apart
    # No skull ends below this, whatever the mask says.
    crown = min(crown, -1.35 * apart)
    oval = (face.points[:, :2] - middle) @ turn.T
    face_middle = float((oval[:, 0].min() + oval[:, 0].max()) / 2)
    head_middle = float(wide[hair].mean()) if hair.any() else face_middle
    return crown, (face_middle + head_middle) / 2


def _sample(person: Plane, places: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """The mask at places given in px of the photo, clamped to its edge, and whether each place lies inside."""
    high, wide = person.shape
    x, y = places[..., 0], places[..., 1]
    inside = (x >= 0) & (y >= 0) & (x <= wide - 1) & (y <= high - 1)
    return person[y.clip(0, high - 1).astype(int), x.clip(0, wide - 1).astype(int)], inside


def _invented(matrix: npt.NDArray[np.float64], person: Plane) -> float:
    """Share of the square beyond the photo where the photo's nearest edge shows person."""
    steps = (np.arange(_GRID) + 0.5) * MASTER / _GRID
    square = np.stack(np.meshgrid(steps, steps), axis=-1)
    back = np.linalg.inv(matrix[:, :2])
    seen, inside = _sample(person, (square - matrix[:, 2]) @ back.T)
    return float(((seen > 0.3) & ~inside).mean())  # noqa: PLR2004 - better too careful than a smear
