from dataclasses import replace

import numpy as np
import pytest

from core.headshots.styles import CATALOGUE, Light
from worker.studio import light
from worker.studio.light import Recipe
from worker.studio.pipeline import Sitting

LIGHT = Light(azimuth=120, strength=0.05, wrap=0.2)


def test_a_well_exposed_neutral_photo_is_left_alone(sitting: Sitting) -> None:
    recipe = light.plan(sitting.framed, LIGHT)
    assert recipe.stops == 0
    assert recipe.gains == pytest.approx((1, 1, 1), abs=0.01)


def test_an_underexposed_scene_is_lifted(sitting: Sitting) -> None:
    dark = replace(sitting.framed, context=(sitting.framed.context * 0.4).astype(np.uint8))
    assert 0.3 < light.plan(dark, LIGHT).stops <= 0.8


def test_dark_skin_in_a_well_exposed_scene_is_not_made_lighter(sitting: Sitting) -> None:
    context = sitting.framed.context.copy()
    picture = sitting.framed.picture.copy()
    picture[sitting.hull] //= 3
    context[96:-96, 96:-96] = picture
    assert light.plan(replace(sitting.framed, picture=picture, context=context), LIGHT).stops == 0


@pytest.mark.parametrize("cast", [(1.0, 0.85, 0.62), (0.7, 0.9, 1.0), (0.85, 1.0, 0.8)])
def test_white_balance_goes_towards_neutral_within_the_skins_budget(
    sitting: Sitting, cast: tuple[float, float, float]
) -> None:
    tinted = replace(
        sitting.framed,
        picture=(sitting.framed.picture * np.array(cast)).astype(np.uint8),
        context=(sitting.framed.context * np.array(cast)).astype(np.uint8),
    )
    recipe = light.plan(tinted, LIGHT)
    strongest, weakest = int(np.argmax(cast)), int(np.argmin(cast))
    assert recipe.gains[strongest] < recipe.gains[weakest]
    skin = np.median(tinted.picture[sitting.hull], axis=0).astype(np.float32) / 255
    balanced = light._graded(skin, Recipe(gains=recipe.gains))
    assert 0 < light.skin_shift(skin, balanced) <= light.SKIN_BUDGET


def test_grading_clips_nothing() -> None:
    ramp = np.repeat(np.linspace(0, 1, 1024, dtype=np.float32)[None, :, None], 1024, axis=0).repeat(3, axis=2)
    lit = light.relight(ramp, Recipe(gains=(1.06, 1.0, 0.95), stops=0.8, azimuth=0, strength=0.1))
    assert np.all(np.diff(lit[512, :, 0]) > 0)
    assert float(lit.max()) <= 1


def test_light_wrap_brightens_the_rim_and_leaves_face_and_middle(sitting: Sitting) -> None:
    white = np.ones((1024, 1024, 3), np.float32)
    person = sitting.matte.foreground
    wrapped = light.wrap(person, white, sitting.matte.alpha, amount=0.3, keep=sitting.hull)
    rim = (sitting.matte.alpha > 0.5) & (sitting.matte.alpha < 0.95)
    assert (wrapped - person)[rim].mean() > 0.02
    assert np.array_equal(wrapped[sitting.hull], person[sitting.hull])
    assert np.abs(wrapped - person)[900:1000, 400:600].max() < 0.01


def test_the_colour_difference_is_ciede2000() -> None:
    # From the published test data of Sharma, Wu and Dalal (2005) only differences of sRGB colours can be asked here:
    # black to white is 100 by definition, and a colour to itself 0.
    black, white = np.zeros(3, np.float32), np.ones(3, np.float32)
    assert light.skin_shift(black, white) == pytest.approx(100, abs=0.1)
    assert light.skin_shift(white, white) == pytest.approx(0, abs=1e-4)


def test_every_style_keeps_its_light_within_bounds() -> None:
    for style in CATALOGUE.values():
        assert 0 <= style.light.strength <= 0.1
        assert 0 <= style.light.wrap <= 0.5
