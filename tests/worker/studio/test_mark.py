import numpy as np
import pytest

from worker.studio.mark import mark
from worker.studio.pipeline import Sitting


@pytest.mark.parametrize("ground", [0, 60, 128, 200, 255])
def test_the_mark_is_plain_to_see_on_any_ground_and_off_the_face(sitting: Sitting, ground: int) -> None:
    plain = np.full((1024, 1024, 3), ground, np.uint8)
    marked = mark(plain, sitting.hull)
    changed = np.abs(marked.astype(int) - ground).max(axis=-1) > 40
    # Everywhere: in each quarter, and so in each crop of the picture.
    for quarter in (changed[:512, :512], changed[:512, 512:], changed[512:, :512], changed[512:, 512:]):
        assert quarter.mean() > 0.01
    assert np.array_equal(marked[sitting.hull], plain[sitting.hull])
