"""A platform's own visible mark: where it was put, readable on any ground, never on the face, and told on."""

import cv2
import numpy as np
import pytest

from core.headshots.styles import get_style
from core.headshots.visible_marks import Place
from core.provenance.watermark import find
from tests.worker.studio.logos import a_logo
from worker.engine.engine import Engine
from worker.studio import encode, logo, pipeline
from worker.studio.pipeline import Made, Refused, Sitting
from worker.studio.vision import Picture, plane
from worker.studio.watermark import Stamp

COLOURS = {"navy": (16, 28, 60), "white": (255, 255, 255), "orange": (230, 110, 20), "grey": (128, 128, 128)}
STAMP = Stamp(mark=bytes.fromhex("0123456789abcdef"), key=b"k" * 32)


def ground(level: int, side: int = 600) -> Picture:
    return np.full((side, side, 3), level, np.uint8)


def no_face(side: int = 600) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    return np.zeros((side, side), np.bool_)


@pytest.mark.parametrize("level", [0, 60, 128, 200, 255])
@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
@pytest.mark.parametrize("opacity", [0.6, 1.0])
def test_a_logo_of_any_colour_stands_out_from_any_ground(
    colour: tuple[int, int, int], level: int, opacity: float
) -> None:
    laid, _ = logo.lay(ground(level), a_logo(colour, opacity=opacity), no_face())
    # Down through the bar of the logo: the body of it, and the three pixels above and below.
    inside = slice(557, 563)
    body = laid[inside, 560]
    column = laid[535:585, 560].astype(np.float32)
    apart = logo.contrast(plane(np.broadcast_to(np.median(body, axis=0), column.shape)), plane(column))
    assert apart[:20].max() >= 2.9
    assert apart[-20:].max() >= 2.9


def test_where_a_logo_stands_out_by_itself_nothing_is_laid_around_it() -> None:
    _, plain = logo.lay(ground(255), a_logo(COLOURS["navy"]), no_face())
    _, rimmed = logo.lay(ground(0), a_logo(COLOURS["navy"]), no_face())
    assert (rimmed > 0).sum() > 1.1 * (plain > 0).sum()


@pytest.mark.parametrize("place", Place)
def test_it_stands_in_the_corner_that_was_asked_for_and_nowhere_else(place: Place) -> None:
    laid, covered = logo.lay(ground(200), a_logo(place=place), no_face())
    rows, columns = np.nonzero(covered)
    assert (rows.mean() < 300) == place.value.startswith("top")
    assert (columns.mean() < 300) == place.value.endswith("left")
    assert (laid[covered == 0] == 200).all()
    assert np.ptp(columns) == pytest.approx(0.2 * 600, abs=14)


def test_it_gets_smaller_rather_than_touch_the_face_and_gives_up_where_there_is_no_room() -> None:
    face = no_face()
    face[:, 480:] = True
    with pytest.raises(Refused) as refused:
        logo.lay(ground(200), a_logo(), face)
    assert refused.value.code == "no_room_for_mark"
    face = no_face()
    face[: 600 - 45] = True
    laid, covered = logo.lay(ground(200), a_logo(width=0.3), face)
    assert (laid[face] == 200).all()
    assert 0 < np.ptp(np.nonzero(covered)[1]) < 0.2 * 600


def never_stop(stage: str, fraction: float) -> None:
    pass


@pytest.fixture(scope="module")
async def branded(sitting: Sitting) -> Made:
    return await pipeline.make(
        sitting,
        get_style("charcoal"),
        seed=7,
        engine=Engine(),
        sandbox=False,
        check=never_stop,
        stamp=STAMP,
        laid=a_logo(),
    )


@pytest.fixture(scope="module")
async def bare(sitting: Sitting) -> Made:
    return await pipeline.make(
        sitting,
        get_style("charcoal"),
        seed=7,
        engine=Engine(),
        sandbox=False,
        check=never_stop,
        stamp=STAMP,
    )


def test_every_file_of_a_headshot_carries_it_whole_and_the_face_stays(
    branded: Made, bare: Made, sitting: Sitting
) -> None:
    for name, output in branded.outputs.items():
        with_mark, without = (encode.decode(made.outputs[name].data).astype(int) for made in (branded, bare))
        changed = np.abs(with_mark - without).max(axis=-1) > 40
        high, wide = changed.shape
        rows, columns = np.nonzero(changed)
        assert len(rows) > 0.002 * high * wide, name
        # In its corner, with the margin free: no size cuts it off.
        assert rows.min() > 0.7 * high, name
        assert columns.min() > 0.6 * wide, name
        assert max(rows.max() / high, columns.max() / wide) < 0.985, name
        found = find(encode.decode(output.data), STAMP.key)
        assert found is not None, name
        assert found.mark == STAMP.mark
    square = (encode.decode(made.outputs["square_1024"].data).astype(int) for made in (branded, bare))
    one, other = square
    assert np.abs(one - other)[cv2.erode(sitting.hull.astype(np.uint8), np.ones((25, 25))) > 0].max() == 0


def test_the_ledger_tells_of_it_and_names_no_platform(branded: Made, bare: Made) -> None:
    line = next(line for line in branded.ledger if line["region"] == "corner")
    assert set(line) == {"region", "action", "source", "share"}
    assert 0.002 < line["share"] < 0.05
    assert not any(line["region"] == "corner" for line in bare.ledger)
