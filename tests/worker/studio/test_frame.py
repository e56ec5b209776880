import cv2
import numpy as np
import pytest

from worker.studio import vision
from worker.studio.find_face import CHIN, LEFT_IRIS, RIGHT_IRIS, find_face
from worker.studio.frame import INVENTED_MOST, MASTER, Framed, choose_crop, frame, neighbourhood
from worker.studio.pipeline import Sitting
from worker.studio.vision import Picture


def framed(picture: Picture) -> Framed:
    _, face = find_face(picture)
    assert face is not None
    near, face = neighbourhood(picture, face)
    return frame(near, face, choose_crop(face, vision.person_mask(near)))


def test_the_square_follows_the_rules_of_a_portrait(sitting: Sitting) -> None:
    left, right = sitting.framed.points[[LEFT_IRIS, RIGHT_IRIS]]
    assert sitting.framed.picture.shape == (MASTER, MASTER, 3)
    assert abs(float(left[1] - right[1])) < 1.5
    assert 0.28 * MASTER < (left[1] + right[1]) / 2 < 0.42 * MASTER
    assert abs((left[0] + right[0]) / 2 - MASTER / 2) < 0.06 * MASTER
    assert 0.5 * MASTER < sitting.framed.points[CHIN, 1] < 0.7 * MASTER


@pytest.mark.parametrize("degrees", [-20, 15])
def test_tilted_eyes_are_levelled(portrait: Picture, degrees: int) -> None:
    turn = cv2.getRotationMatrix2D((226, 180), degrees, 1.0)
    tilted = cv2.warpAffine(portrait, turn, (512, 512), borderMode=cv2.BORDER_REFLECT_101)
    square = framed(np.asarray(tilted, np.uint8))
    assert abs(float(square.points[LEFT_IRIS, 1] - square.points[RIGHT_IRIS, 1])) < 2


def test_where_the_photo_ends_at_the_chest_the_crop_comes_closer_instead_of_inventing(portrait: Picture) -> None:
    loose, close = framed(portrait), framed(np.ascontiguousarray(portrait[:240]))
    assert close.scale > loose.scale
    assert close.invented <= 0.001


def test_hair_cut_by_the_photo_touches_the_top_of_the_square(portrait: Picture) -> None:
    square = framed(np.ascontiguousarray(portrait[40:]))
    assert square.invented <= INVENTED_MOST
    assert square.inside[:8, 300:700].mean() > 0.9


def test_air_beyond_the_photo_is_not_counted_as_invented(sitting: Sitting) -> None:
    assert not sitting.framed.inside.all()
    assert sitting.framed.invented == 0.0


def test_a_photo_of_many_pixels_is_reduced_without_aliasing(portrait: Picture) -> None:
    large = np.asarray(cv2.resize(portrait, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC), np.uint8)
    # The finest checks that pixels can draw, over everything: reduced rightly, they turn into an even grey.
    checks = (np.indices(large.shape[:2]).sum(axis=0) % 2 * 60 - 30)[..., None]
    square = framed(np.clip(large.astype(np.int16) + checks, 0, 255).astype(np.uint8))
    assert square.scale < 1
    forehead = square.picture[260:290, 480:540].astype(np.float32).mean(axis=-1)
    assert np.abs(np.diff(forehead, axis=1)).mean() < 3
