import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import cv2
import numpy as np
import pytest

from core.headshots.styles import CATALOGUE, get_style
from worker.engine.engine import Engine
from worker.studio import encode, pipeline
from worker.studio.pipeline import Made, Refused, Sitting
from worker.studio.vision import Picture

Encode = Callable[[Picture], bytes]


class Stopped(Exception):
    pass


def never_stop(stage: str, fraction: float) -> None:
    pass


@pytest.mark.parametrize("name", CATALOGUE)
async def test_every_style_is_made_and_passes_its_own_gates(sitting: Sitting, name: str) -> None:
    made = await pipeline.make(sitting, get_style(name), seed=3, engine=Engine(), sandbox=False, check=never_stop)
    assert made.outputs["square_1024"].data
    background = next(line for line in made.ledger if line["region"] == "background")
    assert background["source"] == "procedural"
    assert (background["style"], background["style_version"]) == (name, get_style(name).version)


def test_the_ledger_says_that_the_face_got_light_alone(made: Made) -> None:
    face = [line for line in made.ledger if line["region"] == "face"]
    assert [(line["action"], line["source"]) for line in face] == [("light", "own")]
    regions = {line["region"]: line["share"] for line in made.ledger}
    assert 0.03 < regions["face"] < 0.2
    assert regions["face"] + regions["hair_and_body"] + regions["background"] == pytest.approx(1, abs=0.001)
    assert made.ledger[0] == {
        "region": "whole",
        "action": "enlarged",
        "method": "lanczos",
        "source": "own",
        "share": 1.0,
        "factor": pytest.approx(2.9, abs=0.1),
    }


async def test_the_same_seed_gives_the_same_bytes(made: Made, sitting: Sitting) -> None:
    again = await pipeline.make(
        sitting, get_style("studio-grey"), seed=7, engine=Engine(), sandbox=False, check=never_stop
    )
    assert again.outputs == made.outputs


async def test_a_sandbox_headshot_is_marked_and_its_face_is_not(made: Made, sitting: Sitting) -> None:
    marked = await pipeline.make(
        sitting, get_style("studio-grey"), seed=7, engine=Engine(), sandbox=True, check=never_stop
    )
    one, other = (encode.decode(m.outputs["square_1024"].data).astype(int) for m in (made, marked))
    changed = np.abs(one - other).max(axis=-1) > 30
    assert changed[~sitting.hull].mean() > 0.02
    assert changed[cv2.erode(sitting.hull.astype(np.uint8), np.ones((17, 17), np.uint8)) > 0].mean() == 0
    assert marked.ledger[-1]["action"] == "marked"


@pytest.mark.parametrize("at", ["find_face", "frame", "matte", "matted"])
def test_a_check_that_raises_stops_the_preparation(portrait: Picture, as_photo: Encode, at: str) -> None:
    seen = []

    def check(stage: str, fraction: float) -> None:
        seen.append(stage)
        if stage == at:
            raise Stopped

    with pytest.raises(Stopped):
        pipeline.prepare(as_photo(portrait), check=check)
    assert seen[-1] == at


@pytest.mark.parametrize("at", ["light", "backdrop", "composite", "encode", "still_me", "made"])
async def test_a_check_that_raises_stops_the_making(sitting: Sitting, at: str) -> None:
    def check(stage: str, fraction: float) -> None:
        assert 0 <= fraction <= 1
        if stage == at:
            raise Stopped

    with pytest.raises(Stopped):
        await pipeline.make(sitting, get_style("charcoal"), seed=1, engine=Engine(), sandbox=False, check=check)


def test_a_photo_without_a_usable_face_is_refused_with_the_findings_words(portrait: Picture, as_photo: Encode) -> None:
    photo = as_photo(np.hstack([portrait, portrait]))
    worst = pipeline.examine(photo).findings[0]
    with pytest.raises(Refused) as refused:
        pipeline.prepare(photo, check=never_stop)
    assert (refused.value.code, refused.value.message) == (worst.code, worst.message)


ODD = {
    "greyscale": lambda p: np.repeat(p.mean(axis=2, keepdims=True), 3, axis=2),
    "panorama": lambda p: np.hstack([np.tile(p[:, 350:370], (1, 40, 1)), p, np.tile(p[:, 350:370], (1, 40, 1))]),
    "tall": lambda p: np.vstack([np.tile(p[:2], (300, 1, 1)), p]),
    "hair cut by the edge": lambda p: p[40:],
    "tight selfie": lambda p: p[:250, 115:340],
    "upside down": lambda p: p[::-1],
    "tiny": lambda p: cv2.resize(p, (48, 48)),
    "three rows": lambda p: p[:3],
    "noise": lambda p: np.random.default_rng(0).integers(0, 255, p.shape),
    "on black": lambda p: np.pad(p, ((200, 0), (300, 300), (0, 0))),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
async def test_an_odd_photo_ends_in_a_picture_or_a_refusal(
    portrait: Picture, as_photo: Encode, change: Callable[[Picture], Picture]
) -> None:
    photo = as_photo(np.asarray(change(portrait), np.uint8))
    with suppress(Refused):
        sitting = pipeline.prepare(photo, check=never_stop)
        made = await pipeline.make(
            sitting, get_style("navy-spotlight"), seed=1, engine=Engine(), sandbox=False, check=never_stop
        )
        assert made.outputs.keys() == {*encode.VARIANTS, encode.CUTOUT}


def test_the_studio_loads_no_torch_without_a_model() -> None:
    code = "import sys, worker.studio.pipeline; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own interpreter


def test_the_models_are_quiet_on_the_error_stream() -> None:
    code = (
        "from skimage import data; from worker.studio.find_face import find_face; from worker.studio import vision;"
        "find_face(data.astronaut()); vision.person_mask(data.astronaut())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)  # noqa: S603 - our own interpreter
    assert done.stdout + done.stderr == b""
