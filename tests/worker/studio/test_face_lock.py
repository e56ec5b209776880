import numpy as np
import pytest

from core.headshots.styles import get_style
from worker.studio import backdrop, composite, face_lock, light
from worker.studio.face_lock import FaceLockBroken
from worker.studio.pipeline import Sitting
from worker.studio.vision import Picture

STYLE = get_style("charcoal")


@pytest.fixture(scope="module")
def finished(sitting: Sitting) -> tuple[Picture, Picture]:
    """A composite, and the person's own pixels under the same light."""
    recipe = light.plan(sitting.framed, STYLE.light)
    lit = light.relight(sitting.matte.foreground, recipe)
    behind = backdrop.with_grain(backdrop.draw(STYLE, seed=1), seed=1)
    picture = composite.compose(sitting.matte, lit, behind, wrap=STYLE.light.wrap, hull=sitting.hull)
    return picture, face_lock.own_pixels(sitting.framed, recipe)


def test_the_face_in_the_composite_is_the_persons_own(sitting: Sitting, finished: tuple[Picture, Picture]) -> None:
    picture, own = finished
    face_lock.require_own_face(picture, own, sitting.hull)
    difference = np.abs(picture[sitting.hull].astype(int) - own[sitting.hull].astype(int))
    assert difference.max() <= face_lock.TOLERANCE
    assert sitting.hull.sum() > 40_000


def test_one_foreign_pixel_in_the_face_breaks_the_lock(sitting: Sitting, finished: tuple[Picture, Picture]) -> None:
    picture, own = finished
    changed = picture.copy()
    y, x = np.argwhere(sitting.hull)[1000]
    changed[y, x] = 255 - changed[y, x]
    with pytest.raises(FaceLockBroken):
        face_lock.require_own_face(changed, own, sitting.hull)


def test_a_foreign_patch_shows_through_encoding(sitting: Sitting, finished: tuple[Picture, Picture]) -> None:
    picture, own = finished
    changed = picture.copy()
    changed[330:380, 400:460] = picture[330:380, 400:460][:, ::-1]
    with pytest.raises(FaceLockBroken):
        face_lock.require_own_face_encoded(changed, own, sitting.hull)


def test_a_picture_without_a_face_cannot_pass(sitting: Sitting, finished: tuple[Picture, Picture]) -> None:
    picture, own = finished
    with pytest.raises(FaceLockBroken):
        face_lock.require_own_face(picture, own, np.zeros_like(sitting.hull))
    with pytest.raises(FaceLockBroken):
        face_lock.require_own_face(picture[:600], own, sitting.hull)
