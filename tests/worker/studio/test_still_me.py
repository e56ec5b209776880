from collections.abc import Callable

import cv2
import numpy as np
import pytest

from worker.studio import encode, still_me
from worker.studio.findings import Refused
from worker.studio.pipeline import Made, Sitting
from worker.studio.vision import Picture, Plane, pixels, plane

EYE, JAW, MOUTH, NOSE = 468, 172, 61, 1
Alter = Callable[[Picture, Sitting], Picture]


def bend(picture: Picture, sitting: Sitting, *, at: int, radius: float, shift: float = 0, zoom: float = 0) -> Picture:
    """Move or enlarge what lies about a point of the mesh; lengths in eyes' distances."""
    apart = sitting.framed.eye_distance
    down, across = np.mgrid[0:1024, 0:1024].astype(np.float32)
    dx, dy = across - sitting.framed.points[at, 0], down - sitting.framed.points[at, 1]
    weight: Plane = np.clip(1 - (dx**2 + dy**2) / (radius * apart) ** 2, 0, 1) ** 2
    from_x = across - weight * (shift * apart + zoom * dx)
    from_y = down - weight * zoom * dy
    return np.asarray(
        cv2.remap(picture, from_x.astype(np.float32), from_y.astype(np.float32), cv2.INTER_CUBIC), np.uint8
    )


def recolour(picture: Picture, sitting: Sitting, lab: tuple[float, float, float]) -> Picture:
    space = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    moved = plane(space + np.array(lab) * sitting.hull[..., None])
    return pixels(255 * np.clip(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB), 0, 1))


def blend_other(picture: Picture, sitting: Sitting, share: float) -> Picture:
    """Another face, its features laid over these: the same face mirrored, which is nobody's."""
    points = sitting.framed.points[[468, 473, 152, 1]]
    mirrored = sitting.framed.points[[473, 468, 152, 1]] * np.array([-1, 1]) + np.array([1023, 0])
    matrix, _ = cv2.estimateAffinePartial2D(mirrored, points)
    other = cv2.warpAffine(np.ascontiguousarray(picture[:, ::-1]), matrix, (1024, 1024))
    weight = share * sitting.hull[..., None]
    return pixels((1 - weight) * picture + weight * other)


ALTERED: dict[str, tuple[Alter, str]] = {
    "larger eyes": (lambda p, s: bend(p, s, at=EYE, radius=0.45, zoom=0.08), "face_altered"),
    "moved jaw": (lambda p, s: bend(p, s, at=JAW, radius=0.8, shift=0.03), "face_altered"),
    "narrower nose": (lambda p, s: bend(p, s, at=NOSE, radius=0.5, zoom=-0.1), "face_altered"),
    "wider mouth": (lambda p, s: bend(p, s, at=MOUTH, radius=0.5, shift=-0.04), "face_altered"),
    "another face, a third": (lambda p, s: blend_other(p, s, 0.33), "face_altered"),
    "another face, half": (lambda p, s: blend_other(p, s, 0.5), "face_altered"),
    "no pores": (
        lambda p, s: np.where(s.hull[..., None], cv2.bilateralFilter(p, 0, 60, 6), p).astype(np.uint8),
        "face_altered",
    ),
    "lighter skin": (lambda p, s: recolour(p, s, (6, 0, 0)), "skin_altered"),
    "redder skin": (lambda p, s: recolour(p, s, (0, 7, 0)), "skin_altered"),
    "yellower skin": (lambda p, s: recolour(p, s, (0, 0, 8)), "skin_altered"),
}


@pytest.mark.parametrize(("alter", "code"), ALTERED.values(), ids=ALTERED)
def test_an_altered_face_is_refused(made: Made, sitting: Sitting, alter: Alter, code: str) -> None:
    picture = encode.decode(made.outputs["square_1024"].data)
    likeness = still_me.measure(alter(picture, sitting), sitting.framed.picture, sitting.framed.points)
    with pytest.raises(Refused) as refused:
        still_me.require_still_me(likeness)
    assert refused.value.code == code


def test_what_the_studio_makes_passes_with_room_to_spare(made: Made) -> None:
    assert made.likeness["flow"] < still_me.FLOW_LIMIT / 2
    assert made.likeness["mesh"] < still_me.MESH_LIMIT
    assert made.likeness["ssim"] > still_me.SSIM_LIMIT + 0.03
    assert made.likeness["skin"] < still_me.SKIN_LIMIT / 2


def test_a_harder_compression_is_still_the_same_person(made: Made, sitting: Sitting) -> None:
    picture = encode.decode(made.outputs["square_1024"].data)
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 70])
    again = encode.decode(data.tobytes())
    still_me.require_still_me(still_me.measure(again, sitting.framed.picture, sitting.framed.points))


def test_a_picture_that_lost_its_face_is_refused(sitting: Sitting) -> None:
    blank = np.full_like(sitting.framed.picture, 128)
    with pytest.raises(Refused):
        still_me.require_still_me(still_me.measure(blank, sitting.framed.picture, sitting.framed.points))
