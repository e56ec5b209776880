from itertools import combinations

import cv2
import numpy as np
import pytest

from core.headshots.styles import CATALOGUE, Backdrop, Style, get_style
from worker.studio import backdrop
from worker.studio.vision import Plane

STYLES = list(CATALOGUE.values())
EVEN = [style for style in STYLES if style.backdrop in {Backdrop.PAPER, Backdrop.SPOTLIGHT, Backdrop.GRADIENT}]


@pytest.fixture(scope="module")
def drawn() -> dict[str, Plane]:
    return {style.name: backdrop.with_grain(backdrop.draw(style, seed=5), seed=5) for style in STYLES}


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_the_same_seed_gives_the_same_backdrop_and_another_seed_another(style: Style, drawn: dict[str, Plane]) -> None:
    again = backdrop.with_grain(backdrop.draw(style, seed=5), seed=5)
    assert np.array_equal(again, drawn[style.name])
    other = backdrop.draw(style, seed=6)
    one_colour_alone = style.backdrop is Backdrop.PLAIN
    assert np.array_equal(other, backdrop.draw(style, seed=5)) == one_colour_alone


def test_the_styles_are_genuinely_different(drawn: dict[str, Plane]) -> None:
    small = {name: cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA) for name, picture in drawn.items()}
    for one, other in combinations(small, 2):
        assert np.abs(small[one] - small[other]).mean() > 0.04, (one, other)


@pytest.mark.parametrize("style", EVEN, ids=lambda style: style.name)
def test_a_smooth_fall_of_light_does_not_band(style: Style, drawn: dict[str, Plane]) -> None:
    final = np.round(255 * drawn[style.name]).astype(np.int16)
    # A band is a run of one value; grain breaks every run long before the eye could see it.
    for row in final[::64, :, 1]:
        changes = np.flatnonzero(np.diff(row))
        assert np.diff(changes, prepend=0, append=row.size).max() < 40


@pytest.mark.parametrize("style", EVEN, ids=lambda style: style.name)
def test_a_fall_of_light_has_no_ring(style: Style) -> None:
    picture = backdrop.draw(style, seed=5)
    luma = cv2.GaussianBlur(picture.mean(axis=-1), (0, 0), 6)
    # A ring is a sudden change of slope along a radius.
    bend = np.abs(np.diff(luma[512, 20:-20:16], n=2))
    assert bend.max() < 0.02


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_no_pixel_is_a_speckle(style: Style, drawn: dict[str, Plane]) -> None:
    final = np.round(255 * drawn[style.name]).astype(np.uint8)
    lonely = np.abs(final.astype(np.int16) - cv2.medianBlur(final, 5).astype(np.int16))
    assert lonely.max() <= 7
    assert lonely.mean() < 1.5


def test_bokeh_is_out_of_focus() -> None:
    for name in ("office-window", "open-office", "park-bokeh", "city-dusk"):
        luma = backdrop.draw(get_style(name), seed=5).mean(axis=-1)
        steepest = max(float(np.abs(np.diff(luma, axis=axis)).max()) for axis in (0, 1))
        assert steepest < 0.06, name


def test_what_a_model_painted_loses_its_speckle() -> None:
    rng = np.random.default_rng(0)
    smooth = np.full((256, 256, 3), 120.0)
    painted = np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    calm = backdrop.from_painted(painted)
    assert calm.shape == (1024, 1024, 3)
    assert 255 * calm.std() < 0.6 * painted.std()
