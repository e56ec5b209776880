"""The invisible mark in the studio: on everything but the face, and readable in every file that leaves."""

import cv2
import numpy as np
import pytest

from core.headshots.styles import get_style
from core.provenance.watermark import find
from worker.engine.engine import Engine
from worker.studio import encode, pipeline, watermark
from worker.studio.pipeline import Made, Refused, Sitting
from worker.studio.vision import Picture
from worker.studio.watermark import Stamp

STAMP = Stamp(mark=bytes.fromhex("0123456789abcdef"), key=b"k" * 32)


def never_stop(stage: str, fraction: float) -> None:
    pass


@pytest.fixture(scope="module")
async def stamped(sitting: Sitting) -> Made:
    return await pipeline.make(
        sitting, get_style("studio-grey"), seed=7, engine=Engine(), sandbox=False, check=never_stop, stamp=STAMP
    )


def test_every_size_that_is_delivered_carries_the_mark(stamped: Made) -> None:
    for output in stamped.outputs.values():
        found = find(encode.decode(output.data), STAMP.key)
        assert found is not None
        assert found.mark == STAMP.mark
    assert stamped.ledger[-1]["action"] == "watermarked"


def test_the_face_is_left_alone_and_the_rest_hardly_changes(stamped: Made, made: Made, sitting: Sitting) -> None:
    with_mark, without = (encode.decode(m.outputs["square_1024"].data).astype(int) for m in (stamped, made))
    difference = (with_mark - without).astype(float)
    assert 10 * np.log10(255**2 / np.mean(difference**2)) > 42
    # JPEG's blocks of eight pixels carry a change across the line.
    inside = cv2.erode(sitting.hull.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    assert np.abs(difference[inside]).max() == 0


def test_inside_the_lock_no_pixel_changes(sitting: Sitting) -> None:
    picture: Picture = sitting.framed.picture
    laid = watermark.lay(picture, STAMP, sitting.hull)
    assert (laid[sitting.hull] == picture[sitting.hull]).all()
    assert (laid[~sitting.hull] != picture[~sitting.hull]).mean() > 0.2


def test_a_picture_that_cannot_carry_it_is_refused() -> None:
    nobody = np.zeros((120, 120), np.bool_)
    with pytest.raises(Refused) as refused:
        watermark.lay(np.full((120, 120, 3), 128, np.uint8), STAMP, nobody)
    assert refused.value.code == "not_markable"
    plain = np.full((512, 512, 3), 255, np.uint8)
    with pytest.raises(Refused):
        watermark.require_readable(plain, STAMP)
