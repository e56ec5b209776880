from dataclasses import replace

import numpy as np
import pytest

from core.headshots.styles import Retouch, get_style
from worker.engine.engine import Engine
from worker.studio import pipeline, retouch, still_me
from worker.studio.frame import Framed
from worker.studio.pipeline import Sitting
from worker.studio.retouch import RetouchTooStrong, Touched
from worker.studio.vision import Picture

RED, BROWN = (4, -32, -26), (-70, -62, -50)
# On the cheeks and the forehead, as shares of the way between points of the mesh.
PLACES = {"left cheek": (205, 205), "right cheek": (425, 425), "forehead": (151, 9)}


def spotted(
    framed: Framed, colour: tuple[int, int, int], *, radius: float
) -> tuple[Framed, dict[str, tuple[int, int]]]:
    """The photo with round marks of that colour, and where they are; `radius` in eyes' distances."""
    picture = framed.picture.astype(np.float32)
    down, across = np.mgrid[0:1024, 0:1024]
    at = {}
    for name, (one, other) in PLACES.items():
        x, y = framed.points[[one, other]].mean(axis=0)
        weight = np.clip(1.2 - np.hypot(across - x, down - y) / (radius * framed.eye_distance), 0, 1)[..., None]
        picture += weight**2 * (3 - 2 * weight) * np.array(colour)
        at[name] = (round(float(y)), round(float(x)))
    return replace(framed, picture=np.clip(picture, 0, 255).astype(np.uint8)), at


def apart(one: Picture, other: Picture, place: tuple[int, int]) -> float:
    y, x = place
    return float(np.abs(one[y, x].astype(int) - other[y, x]).mean())


def redness(picture: Picture, place: tuple[int, int]) -> float:
    red, green, blue = picture[place].astype(float)
    return float(red - (green + blue) / 2)


@pytest.mark.parametrize("level", [Retouch.LIGHT, Retouch.STUDIO])
def test_temporary_marks_go_and_moles_stay(sitting: Sitting, level: Retouch) -> None:
    blemished, at = spotted(sitting.framed, RED, radius=0.05)
    cleared = retouch.retouch(blemished, level).picture
    for place in at.values():
        clean, was, left = (redness(p, place) for p in (sitting.framed.picture, blemished.picture, cleared))
        assert left - clean < 0.4 * (was - clean)
    with_moles, at = spotted(sitting.framed, BROWN, radius=0.02)
    kept = retouch.retouch(with_moles, level).picture
    assert all(apart(kept, with_moles.picture, place) < 15 for place in at.values())


def test_none_changes_nothing(sitting: Sitting) -> None:
    touched = retouch.retouch(sitting.framed, Retouch.NONE)
    assert np.array_equal(touched.picture, sitting.framed.picture)
    assert not touched.change.any()


@pytest.mark.parametrize("level", [Retouch.LIGHT, Retouch.STUDIO])
def test_a_retouch_keeps_pores_tone_and_shape_and_leaves_features_alone(sitting: Sitting, level: Retouch) -> None:
    framed, _ = spotted(sitting.framed, RED, radius=0.05)
    touched = retouch.retouch(framed, level)
    assert touched.texture >= retouch.TEXTURE_LEAST
    assert touched.tone <= retouch.TONE_MOST
    assert touched.share > 0
    assert not touched.change[~retouch.skin_of(framed)].any()
    for point in (468, 473, 13, 105, 334):  # irises, lips, brows
        x, y = framed.points[point].round().astype(int)
        assert not touched.change[y, x].any()
    still_me.require_still_me(still_me.measure(touched.picture, framed.picture, framed.points))


def test_a_retouch_that_smooths_skin_to_plastic_is_never_delivered(sitting: Sitting) -> None:
    with pytest.raises(RetouchTooStrong):
        retouch.require_natural(Touched(sitting.framed.picture, np.zeros((1, 1, 3), np.float32), texture=0.7))
    with pytest.raises(RetouchTooStrong):
        retouch.require_natural(Touched(sitting.framed.picture, np.zeros((1, 1, 3), np.float32), tone=3.0))


async def test_the_ledger_declares_the_retouch_and_the_lock_holds_up_to_it(sitting: Sitting) -> None:
    made = await pipeline.make(
        sitting,
        replace(get_style("studio-grey"), retouch=Retouch.STUDIO),
        seed=7,
        engine=Engine(),
        sandbox=False,
        check=lambda _stage, _share: None,
    )
    line = next(line for line in made.ledger if line["action"] == "retouched")
    assert (line["region"], line["level"], line["source"]) == ("face", "studio", "own")
    assert line["texture_kept"] >= retouch.TEXTURE_LEAST
    assert made.likeness["flow"] < still_me.FLOW_LIMIT
