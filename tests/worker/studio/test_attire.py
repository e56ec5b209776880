"""Clothes, with a tiny model of random weights: what is painted is nonsense, where it may show is not."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from core.headshots.styles import Attire, get_style
from core.settings import ModelSettings
from infra.bench import graphs
from infra.docs.portraits import hopper, sit
from worker.engine.engine import Engine
from worker.engine.model import prepare
from worker.engine.modules import Modules
from worker.engine.request import NoFullModel
from worker.studio import attire, encode, pipeline
from worker.studio.attire import AttireLeaked
from worker.studio.findings import Refused
from worker.studio.frame import MASTER
from worker.studio.pipeline import Sitting

FORMAL = replace(get_style("studio-grey"), attire=Attire.FORMAL)


def never_stop(stage: str, fraction: float) -> None:
    """A check that lets everything pass."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    settings = ModelSettings(steps=2, guidance=1.0, max_rows=2)
    model = prepare(Modules.of(graphs.build(tiny_vae=True)), settings)
    engine = Engine(model)
    yield engine
    engine.close()


def test_only_cloth_is_cloth(sitting: Sitting) -> None:
    weight = attire.cloth(sitting.framed, sitting.matte)
    apart, points = sitting.framed.eye_distance, sitting.framed.points
    assert weight[sitting.hull].max() == 0
    assert weight[: int(points[152, 1])].max() == 0, "above the chin there is face and hair"
    chin = points[152].astype(int)
    neck = weight[chin[1] : int(chin[1] + 0.6 * apart), int(chin[0] - 0.25 * apart) : int(chin[0] + 0.25 * apart)]
    assert neck.max() == 0
    assert weight[sitting.matte.alpha < 0.9].max() == 0, "the outline stays their own"
    suit = (slice(MASTER - 120, MASTER - 20), slice(300, 700))
    assert weight[suit].mean() > 0.5


def test_a_bare_hand_before_the_chest_is_no_cloth(sitting: Sitting) -> None:
    picture = sitting.framed.picture.copy()
    skin = np.median(picture[sitting.hull], axis=0)
    picture[900:1000, 400:520] = skin
    weight = attire.cloth(replace(sitting.framed, picture=picture), sitting.matte)
    assert weight[905:995, 405:515].max() == 0
    assert attire.cloth(sitting.framed, sitting.matte)[905:995, 405:515].max() > 0


async def test_new_clothes_change_cloth_and_nothing_else(sitting: Sitting, engine: Engine) -> None:
    made = await pipeline.make(sitting, FORMAL, seed=4, engine=engine, sandbox=False, check=never_stop)
    own = await pipeline.make(sitting, get_style("studio-grey"), seed=4, engine=engine, sandbox=False, check=never_stop)
    dressed, plain = (encode.decode(each.outputs[encode.CUTOUT].data).astype(int) for each in (made, own))
    weight = attire.cloth(sitting.framed, sitting.matte)
    difference = np.abs(dressed - plain).max(axis=-1)
    assert difference[weight == 0].max() == 0
    assert difference[weight == 1].mean() > 8
    regions = {line["region"]: line for line in made.ledger}
    assert regions["clothes"]["source"] == "generated"
    assert regions["clothes"]["action"] == "generated"
    assert regions["clothes"]["attire"] == "formal"
    assert regions["clothes"]["share"] == pytest.approx(float((weight > 0).mean()), abs=1e-3)
    assert "hair_and_body" not in regions, "their clothes are not called their own"
    assert {line["region"] for line in own.ledger} >= {"hair_and_body"}


def test_a_change_beside_the_clothes_is_never_delivered(sitting: Sitting) -> None:
    weight = attire.cloth(sitting.framed, sitting.matte)
    own = sitting.framed.picture
    attire.require_own_elsewhere(np.where(weight[..., None] > 0, 0, own).astype(np.uint8), own, weight)
    leaked = own.copy()
    leaked[int(sitting.framed.points[152, 1]) + 5, int(sitting.framed.points[152, 0])] ^= 1
    with pytest.raises(AttireLeaked):
        attire.require_own_elsewhere(leaked, own, weight)


def test_clothes_in_the_colour_of_what_is_on_the_head_are_changed_or_refused_never_half() -> None:
    she = sit(hopper())  # a dark cap over a dark uniform
    try:
        weight = attire.cloth(she.framed, she.matte)
    except Refused as refused:
        assert refused.code == "attire_unclear"  # noqa: PT017 - either end is right, a third is not
    else:
        assert weight[: int(she.framed.points[152, 1])].max() == 0


async def test_without_a_model_new_clothes_are_refused(sitting: Sitting) -> None:
    with pytest.raises(Refused) as refused:
        await pipeline.make(sitting, FORMAL, seed=4, engine=Engine(), sandbox=False, check=never_stop)
    assert refused.value.code == "attire_needs_full_model"


def test_a_worker_that_offers_attire_without_a_full_model_does_not_start() -> None:
    with pytest.raises(NoFullModel):
        Engine.load(ModelSettings(attire=True))


def test_what_is_asked_for_names_the_garment_and_no_person() -> None:
    asked = attire.prompt(FORMAL)
    assert "suit jacket" in asked
    assert "light from the left" in asked
    assert not {"man", "woman", "person", "he", "she"} & set(asked.replace(",", "").split())
