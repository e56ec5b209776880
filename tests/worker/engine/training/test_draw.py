import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import color

from worker.engine.training.autoencoder import area_average
from worker.engine.training.draw import draw
from worker.engine.training.grammar import Kind, Light, Mood, Scene, scenes


def _difference(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> float:
    metric: Any = color.deltaE_ciede2000
    return float(metric(color.rgb2lab(first), color.rgb2lab(second)))


def test_the_same_scene_and_seed_draw_the_same_picture() -> None:
    for scene in itertools.islice(scenes(1), 8):
        assert np.array_equal(draw(scene, seed=5, size=48).picture, draw(scene, seed=5, size=48).picture)


def test_another_size_is_the_same_composition() -> None:
    for scene in itertools.islice(scenes(2), 8):
        small, large = draw(scene, seed=3, size=64).picture, draw(scene, seed=3, size=256).picture
        assert np.abs(area_average(large, 4) - small).mean() < 0.02


def test_the_median_of_a_plate_is_the_colour_named() -> None:
    for scene in itertools.islice(scenes(6), 64):
        if scene.kind is Kind.GRADIENT and scene.accent:
            continue
        plate = draw(scene, seed=2, size=64)
        middle = np.median(plate.picture.reshape(-1, 3), axis=0)
        assert _difference(middle, np.array(plate.colour)) < 3, scene.caption


@pytest.mark.parametrize("kind", list(Kind))
def test_light_comes_from_the_side_named(kind: Kind) -> None:
    def balance(light: Light) -> float:
        scene = Scene(kind=kind, colour="grey" if kind is not Kind.PARK else "green", light=light, mood=Mood.DRAMATIC)
        pictures = [draw(scene, seed=seed, size=64).picture.mean(axis=2) for seed in range(4)]
        return float(np.mean([picture[:, 32:].mean() - picture[:, :32].mean() for picture in pictures]))

    assert balance(Light.RIGHT) > 0.03
    assert balance(Light.LEFT) < -0.03


def test_a_plate_has_no_grain() -> None:
    for scene in itertools.islice(scenes(8), 16):
        picture = draw(scene, seed=1, size=256).picture.mean(axis=2)
        second = picture[:, 2:] - 2 * picture[:, 1:-1] + picture[:, :-2]
        assert np.median(np.abs(second)) < 0.002
