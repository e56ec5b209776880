import numpy as np
import numpy.typing as npt
import pytest

from worker.studio.behind import behind
from worker.studio.vision import Picture

SKIN, WALL, COAT = (150, 100, 80), (90, 120, 170), (40, 40, 50)


def a_person_beside(edge: tuple[int, int, int]) -> tuple[Picture, npt.NDArray[np.float64]]:
    """Skin on the left, a wall on the right, and between them an open band of one colour."""
    picture = np.zeros((80, 120, 3), np.uint8)
    picture[:, :50], picture[:, 50:70], picture[:, 70:] = SKIN, edge, WALL
    picture[60:, :50] = COAT
    trimap = np.full((80, 120), 0.5)
    trimap[:, :50], trimap[:, 70:] = 1, 0
    return picture, trimap


def test_what_has_the_walls_colour_and_nobodys_is_behind() -> None:
    said = behind(*a_person_beside(WALL), 40)
    assert said[:, 54:66].min() > 0.9
    assert said[:, :48].max() == said[:, 72:].max() == 0


@pytest.mark.parametrize(
    "edge",
    [
        pytest.param(SKIN, id="the person's own"),
        pytest.param(tuple((np.array(SKIN) + np.array(WALL)) // 2), id="half of each, as fine hair is"),
        pytest.param((40, 160, 60), id="neither's"),
    ],
)
def test_nothing_is_said_of_any_other_colour(edge: tuple[int, int, int]) -> None:
    assert behind(*a_person_beside(edge), 40).max() < 0.05


def test_a_person_in_the_walls_colour_is_not_behind_themselves() -> None:
    picture, trimap = a_person_beside(WALL)
    picture[:, :50] = WALL
    assert behind(picture, trimap, 40).max() == 0
