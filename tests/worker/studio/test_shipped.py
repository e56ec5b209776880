"""The model that comes with Likeness, as `likeness up` runs it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.headshots.brand_styles import prompt_of
from core.headshots.styles import CATALOGUE, Backdrop, Light, Style
from infra.docs.portraits import shipped_engine
from tests.worker.studio.conftest import never_stop
from worker.engine.engine import Engine
from worker.engine.models import SHIPPED, require_pinned
from worker.engine.training.measure import colour_difference, echo, speckle
from worker.studio import backdrop, pipeline
from worker.studio.brush import NOBODY, Brush
from worker.studio.pipeline import Sitting
from worker.studio.vision import Plane

SEED = 11
TEAL = ("#00c2a8", "#0a6e8a", "#0b2a4a")
LIGHT = Light(azimuth=30, strength=0.05, wrap=0.2)
OWN = [  # as tenants publish them
    replace(
        CATALOGUE["studio-grey"],
        name=f"acme-{kind.value}",
        backdrop=kind,
        palette=TEAL,
        light=LIGHT,
        prompt=prompt_of(kind, TEAL, LIGHT),
    )
    for kind in (Backdrop.GRADIENT, Backdrop.PAPER, Backdrop.SPOTLIGHT)
]
REPAINTED = [*(style for style in CATALOGUE.values() if backdrop.repainted(style)), *OWN]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = shipped_engine()
    yield engine
    engine.close()


def test_it_is_pinned_and_small(tmp_path: Path) -> None:
    manifest = require_pinned(SHIPPED, tmp_path)
    assert manifest.name == "backdrops"
    assert manifest.size < 20e6


async def painted(style: Style, engine: Engine) -> tuple[Plane, Plane]:
    """The style's own backdrop, and what the model makes of it, both of 512 px."""
    brush = Brush(engine, seed=SEED, asker=NOBODY)
    plain = backdrop.with_grain(backdrop.draw(style, seed=SEED), seed=SEED)
    made = await pipeline._backdrop(style, brush, check=never_stop)
    first, second = (cv2.resize(each, (512, 512), interpolation=cv2.INTER_AREA) for each in (plain, made))
    return first.astype(np.float32), second.astype(np.float32)


@pytest.mark.parametrize("style", REPAINTED, ids=lambda style: str(style.name))
async def test_a_backdrop_keeps_its_colours_and_light_and_gains_neither_speckle_nor_tiles(
    style: Style, engine: Engine
) -> None:
    drawn, made = await painted(style, engine)
    assert not np.array_equal(drawn, made)
    for rows in (slice(0, 170), slice(170, 340), slice(340, 512)):
        for columns in (slice(0, 170), slice(170, 340), slice(340, 512)):
            one, other = (np.median(each[rows, columns].reshape(-1, 3), axis=0) for each in (drawn, made))
            assert colour_difference(one, other) < 6
    assert speckle(made) < speckle(drawn) + 0.6
    assert echo(made) < max(0.5, echo(drawn) + 0.1)


async def test_a_headshot_with_it_passes_every_gate_and_names_it(sitting: Sitting, engine: Engine) -> None:
    made = await pipeline.make(
        sitting, CATALOGUE["navy-spotlight"], seed=SEED, engine=engine, sandbox=False, check=never_stop
    )
    (line,) = [line for line in made.ledger if line["region"] == "background"]
    assert (line["source"], line["model"]) == ("generated", "backdrops")


async def test_one_colour_from_edge_to_edge_is_that_colour_whatever_model_there_is(
    sitting: Sitting, engine: Engine
) -> None:
    made = await pipeline.make(
        sitting, CATALOGUE["plain-white"], seed=SEED, engine=engine, sandbox=False, check=never_stop
    )
    (line,) = [line for line in made.ledger if line["region"] == "background"]
    assert line["source"] == "procedural"
    assert "model" not in line
