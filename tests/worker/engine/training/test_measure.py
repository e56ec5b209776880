from typing import Any

import numpy as np
import pytest
from skimage import color

from worker.engine.training.draw import draw
from worker.engine.training.grammar import Kind, Light, Mood, Scene
from worker.engine.training.measure import colour_difference, echo, light_angle, speckle


def test_the_colour_difference_is_ciede2000() -> None:
    chance = np.random.default_rng(0)
    metric: Any = color.deltaE_ciede2000
    for first, second in chance.random((50, 2, 3)):
        expected = float(metric(color.rgb2lab(first), color.rgb2lab(second)))
        assert colour_difference(first, second) == pytest.approx(expected, rel=0.01, abs=0.05)


@pytest.mark.parametrize("light", [Light.LEFT, Light.RIGHT, Light.ABOVE])
def test_the_light_of_a_drawn_wall_is_found_where_it_was_put(light: Light) -> None:
    scene = Scene(kind=Kind.STUDIO, colour="grey", light=light, mood=Mood.DRAMATIC)
    assert light_angle(draw(scene, seed=2, size=64).picture, light) < 30


def test_speckle_is_seen() -> None:
    picture = draw(Scene(kind=Kind.STUDIO, colour="slate"), seed=2, size=256).picture
    noise = np.random.default_rng(0).normal(0, 4 / 255, (256, 256, 1)).astype(np.float32)
    assert speckle(picture) < 0.5
    assert speckle(picture + noise) > 3


def test_tiles_echo() -> None:
    scene = Scene(kind=Kind.CANVAS, colour="slate")
    tiles = np.tile(draw(scene, seed=2, size=64).picture, (4, 4, 1))
    assert echo(tiles) > 2 * echo(draw(scene, seed=2, size=256).picture)
