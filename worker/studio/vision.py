"""The three small models that look at a photo: where faces are, their mesh, and which pixels are the person.

They ship inside mediapipe (no download) and take a few milliseconds each. A mediapipe object must not be used by two
threads at once, so each is built once and stands behind a lock. They run in static mode: nothing carries over from one
photo to the next.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
Points = npt.NDArray[np.float32]

SHORT_EDGE, LONG_EDGE = 960, 4096
"""Largest short and long edge in px at which faces are looked for."""

_loading = Lock()


def plane(values: npt.ArrayLike) -> Plane:
    """As float32: what OpenCV and arithmetic give back is typed no closer than a number."""
    return np.asarray(values, np.float32)


def pixels(values: npt.ArrayLike) -> Picture:
    """As uint8, likewise."""
    return np.asarray(values, np.uint8)


@dataclass(frozen=True, slots=True)
class Box:
    """A face found: top left corner and size in px of the picture searched, and the detector's score 0..1."""

    x: float
    y: float
    width: float
    height: float
    score: float

    def overlap(self, other: "Box") -> float:
        """Intersection over the smaller area, 0..1."""
        wide = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        high = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        smaller = min(self.width * self.height, other.width * other.height)
        return max(wide, 0.0) * max(high, 0.0) / smaller if smaller > 0 else 0.0


class _Model:
    """One mediapipe solution behind a lock, kept quiet until `settled` says that its graph has said its piece."""

    def __init__(self, solution: Any, settled: Callable[[Any], bool] = bool) -> None:
        self._solution = solution
        self._lock = Lock()
        self._has_settled = settled
        self._quiet = True

    def __call__(self, picture: Picture) -> Any:
        with self._lock, _quiet() if self._quiet else nullcontext():
            result = self._solution.process(np.ascontiguousarray(picture))
            self._quiet = self._quiet and not self._has_settled(result)
            return result


@dataclass(frozen=True, slots=True)
class _Models:
    near: _Model
    far: _Model
    mesh: _Model
    person: _Model


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what C++ writes to the error stream into the void: mediapipe's start-up chatter has no other switch."""
    sys.stderr.flush()
    kept = os.dup(2)
    void = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(void, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(void)


@cache
def _built() -> _Models:
    with _quiet():
        import mediapipe

        solutions = mediapipe.solutions
        models = _Models(
            near=_Model(solutions.face_detection.FaceDetection(model_selection=0, min_detection_confidence=0.5)),
            far=_Model(solutions.face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.5)),
            mesh=_Model(
                solutions.face_mesh.FaceMesh(
                    static_image_mode=True, max_num_faces=1, refine_landmarks=True, min_detection_confidence=0.3
                ),
                # Its second graph runs, and complains once, at the first face alone.
                settled=lambda result: bool(result.multi_face_landmarks),
            ),
            person=_Model(solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)),
        )
        # The graphs speak once, at their first picture.
        blank = np.zeros((64, 64, 3), np.uint8)
        for model in (models.near, models.far, models.mesh, models.person):
            model(blank)
    return models


def models() -> _Models:
    """The models, built at first use; about half a second then."""
    with _loading:
        return _built()


def find_faces(picture: Picture) -> list[Box]:
    """All faces, largest first.

    Args:
        picture: uint8 [H, W, 3] sRGB. Searched whole, and in overlapping squares when the whole shows none.
    """
    high, wide = picture.shape[:2]
    shrink = min(1.0, SHORT_EDGE / min(high, wide), LONG_EDGE / max(high, wide))
    small = _shrunk(picture, shrink)
    found = _detect(small, 0, 0)
    if not found:
        for left, top, side in _tiles(small.shape[1], small.shape[0]):
            found += _detect(small[top : top + side, left : left + side], left, top)
    kept: list[Box] = []
    for box in sorted(found, key=lambda box: -box.score):
        if all(box.overlap(other) < 0.4 for other in kept):  # noqa: PLR2004 - the same face seen by two detectors
            kept.append(box)
    scaled = [Box(b.x / shrink, b.y / shrink, b.width / shrink, b.height / shrink, b.score) for b in kept]
    return sorted(scaled, key=lambda box: -box.width * box.height)


def _shrunk(picture: Picture, factor: float) -> Picture:
    if factor == 1:
        return picture
    return pixels(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))


def _tiles(wide: int, high: int) -> Iterator[tuple[int, int, int]]:
    """Left, top and side of squares that cover the picture, each overlapping the next by half."""
    short, long = min(wide, high), max(wide, high)
    side = short if long > 1.8 * short else round(0.62 * short)
    for top in sorted({*range(0, high - side, max(side // 2, 1)), high - side}):
        for left in sorted({*range(0, wide - side, max(side // 2, 1)), wide - side}):
            yield left, top, side


def _detect(picture: Picture, left: int, top: int) -> list[Box]:
    high, wide = picture.shape[:2]
    if min(high, wide) < 16:  # noqa: PLR2004 - smaller than any face a detector knows
        return []
    boxes = []
    for model in (models().near, models().far):
        for face in model(picture).detections or ():
            area = face.location_data.relative_bounding_box
            boxes.append(
                Box(
                    area.xmin * wide + left,
                    area.ymin * high + top,
                    area.width * wide,
                    area.height * high,
                    face.score[0],
                )
            )
    return boxes


def face_mesh(picture: Picture, box: Box) -> Points | None:
    """The 478 points of the mediapipe mesh of the face in `box`, irises included.

    Args:
        picture: uint8 [H, W, 3] sRGB.
        box: where the face is.

    Returns:
        float32 [478, 3]: x and y in px of `picture`, z in px (smaller is nearer). None when no mesh fits.
    """
    edge = max(box.width, box.height) * 2.0
    centre_x, centre_y = box.x + box.width / 2, box.y + box.height / 2
    scale = min(1.0, 512 / edge)
    side = max(int(edge * scale), 48)
    grow = side / edge
    crop = cv2.warpAffine(
        picture,
        np.array([[grow, 0, side / 2 - grow * centre_x], [0, grow, side / 2 - grow * centre_y]], np.float64),
        (side, side),
        flags=cv2.INTER_AREA if grow < 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    faces = models().mesh(pixels(crop)).multi_face_landmarks
    if not faces:
        return None
    points = np.array([(p.x * side, p.y * side, p.z * side) for p in faces[0].landmark], np.float32)
    points /= np.float32(grow)
    points[:, 0] += np.float32(centre_x - edge / 2)
    points[:, 1] += np.float32(centre_y - edge / 2)
    return points


def person_mask(picture: Picture) -> Plane:
    """How sure the segmentation is that a pixel belongs to a person.

    Args:
        picture: uint8 [H, W, 3] sRGB.

    Returns:
        float32 [H, W], 0..1. Its own resolution is 256 px, so edges are soft at larger sizes.
    """
    high, wide = picture.shape[:2]
    shrink = min(1.0, SHORT_EDGE / max(high, wide))
    small = _shrunk(picture, shrink)
    mask = np.asarray(models().person(small).segmentation_mask, np.float32)
    return mask if shrink == 1 else cv2.resize(mask, (wide, high), interpolation=cv2.INTER_LINEAR).astype(np.float32)
