from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage import data

from worker.studio.findings import Refused
from worker.studio.matte import Matte, _mask, _solve, draw_trimap, matte
from worker.studio.pipeline import Sitting
from worker.studio.vision import Picture


def test_the_head_is_whole_and_the_corners_are_empty(sitting: Sitting) -> None:
    alpha = sitting.matte.alpha
    assert alpha[sitting.hull].min() == 1
    assert alpha[:60].max() < 0.02
    assert alpha[200:400, :150].max() < 0.02
    assert alpha[950:, 300:800].min() > 0.95


def test_the_edge_of_hair_is_neither_a_cliff_nor_a_fog(sitting: Sitting) -> None:
    alpha = sitting.matte.alpha[60:420, 230:800]
    soft = ((alpha > 0.05) & (alpha < 0.95)).sum()
    outline = (np.abs(np.diff((alpha > 0.5).astype(np.int8), axis=1)) > 0).sum()
    # Width of the transition, px of the square per row of the outline.
    assert 2 < soft / outline < 14


def test_the_old_background_leaves_the_colour_of_the_hair(sitting: Sitting) -> None:
    alpha = sitting.matte.alpha[60:420, 230:800]
    photo = sitting.framed.picture[60:420, 230:800].astype(np.float32) / 255
    freed = sitting.matte.foreground[60:420, 230:800]
    hair = photo[alpha > 0.995].mean(axis=0)
    behind = photo[alpha < 0.005].mean(axis=0)
    edge = (alpha > 0.2) & (alpha < 0.6)

    def towards_background(colours: np.ndarray) -> float:
        along = behind - hair
        return float(((colours.mean(axis=0) - hair) @ along) / (along @ along))

    assert towards_background(photo[edge]) > 0.35
    assert towards_background(freed[edge]) < 0.6 * towards_background(photo[edge])


def before(sitting: Sitting, room: Picture) -> Matte:
    """She, cut out of her own photo, set before another room, and cut out again."""
    alpha = sitting.matte.alpha[..., None]
    behind = cv2.resize(room, (1024, 1024)) / 255.0
    shown = np.round(255 * (alpha * sitting.matte.foreground + (1 - alpha) * behind)).astype(np.uint8)
    context = cv2.copyMakeBorder(shown, 96, 96, 96, 96, cv2.BORDER_REFLECT_101).astype(np.uint8)
    return matte(replace(sitting.framed, picture=shown, context=context, inside=np.ones((1024, 1024), np.bool_)))


def test_a_busy_room_leaves_no_ghost_about_the_head(sitting: Sitting) -> None:
    bricks = np.asarray(data.brick(), np.uint8)  # type: ignore[no-untyped-call]  # skimage ships no types
    again, truth = before(sitting, np.dstack([bricks] * 3)).alpha[:520], sitting.matte.alpha[:520]
    outside = cv2.dilate((truth > 0.05).astype(np.uint8), np.ones((13, 13))) == 0
    assert (again[outside] > 0.1).mean() < 0.001
    assert np.abs(again - truth).mean() < 0.006


def test_whoever_else_is_in_the_room_stays_out(sitting: Sitting, portrait: Picture) -> None:
    room = np.full((1024, 1024, 3), 170, np.uint8)
    room[60:316, 760:1016] = cv2.resize(portrait[0:256, 96:352], (256, 256))
    again = before(sitting, room).alpha
    assert again[40:330, 850:].max() < 0.02


def test_the_trimap_leaves_hair_more_room_than_clothes(sitting: Sitting) -> None:
    is_open = draw_trimap(sitting.framed, _mask(sitting.framed)) == 0.5
    size = is_open.shape[0]
    at_hair = is_open[size * 2 // 10 : size * 3 // 10].sum(axis=1).mean() / 2
    at_clothes = is_open[size * 75 // 100 : size * 80 // 100].sum(axis=1).mean() / 2
    assert at_hair > 1.3 * at_clothes


def test_a_picture_that_cannot_be_solved_is_refused() -> None:
    image = np.full((24, 24, 3), np.nan)
    trimap = np.full((24, 24), 0.5)
    trimap[:4], trimap[20:] = 0.0, 1.0
    with pytest.raises(Refused) as refused:
        _solve(image, trimap, trimap, np.full((24, 24), 0.1))
    assert refused.value.code == "cannot_cut_out"
