"""The engine as the worker uses it: a real, tiny, random model, saved, pinned and loaded as a deployment would."""

import asyncio
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from core.headshots.styles import get_style
from core.settings import ModelSettings
from infra.bench import graphs
from tests.worker.engine.orders import SIDE, request
from worker.engine import models
from worker.engine.engine import Engine
from worker.engine.model import open_model
from worker.engine.request import EngineClosed, NoModel


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ModelSettings:
    path = tmp_path_factory.mktemp("models") / "tiny"
    graphs.build(tiny_vae=True).save_pretrained(path)
    models.add(path, path.parent)
    return ModelSettings(path=path, registry=path.parent, steps=2, guidance=3.0, strength=1.0)


@pytest.fixture
def engine(settings: ModelSettings) -> Iterator[Engine]:
    made = Engine.load(settings)
    yield made
    made.close()


async def test_no_model_configured_is_an_engine_that_does_not_paint() -> None:
    engine = Engine.load(ModelSettings(path=None))
    assert engine.model is None
    assert engine.describe() == {}
    with pytest.raises(NoModel):
        await engine.paint(request())


async def test_the_same_request_gives_the_same_picture_and_another_seed_another(engine: Engine) -> None:
    first, again, other = [(await engine.paint(request(1, seed=seed))).picture for seed in (1, 1, 2)]
    assert first.shape == (SIDE, SIDE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


async def test_neighbours_of_every_kind_change_nothing_and_everyone_gets_their_own(engine: Engine) -> None:
    large = {"picture": np.full((96, SIDE, 3), 90, np.uint8), "mask": np.full((96, SIDE), 255, np.uint8)}
    requests = [
        request(0),
        request(1, steps=9),
        request(2, guidance=1.0),
        request(3, strength=0.5, tenant="other"),
        request(4, **large),
    ]
    alone = [(await engine.paint(each)).picture for each in requests]
    together = await asyncio.gather(*(engine.paint(each) for each in requests))
    for asked, expected, painted in zip(requests, alone, together, strict=True):
        assert painted.picture.shape == asked.picture.shape
        assert np.abs(expected.astype(int) - painted.picture.astype(int)).max() <= 1


async def test_a_caller_who_leaves_frees_the_slot_and_holds_up_nobody(engine: Engine) -> None:
    leaving = asyncio.create_task(engine.paint(request(1, steps=900)))
    while not engine.describe()["active"]:
        await asyncio.sleep(0.01)
    leaving.cancel()
    painted = await engine.paint(request(2))
    assert painted.picture.shape == (SIDE, SIDE, 3)
    assert engine.describe()["active"] == 0
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_draining_ends_what_is_in_flight_and_takes_no_more(engine: Engine) -> None:
    painting = [asyncio.create_task(engine.paint(request(number, steps=20))) for number in range(3)]
    await asyncio.sleep(0)
    assert await engine.drain(30)
    assert [(await each).picture.shape for each in painting] == [(SIDE, SIDE, 3)] * 3
    with pytest.raises(EngineClosed):
        await engine.paint(request())


async def test_closing_answers_everyone_who_waits(settings: ModelSettings) -> None:
    engine = Engine.load(settings)
    waiting = [asyncio.create_task(engine.paint(request(number, steps=900))) for number in range(3)]
    await asyncio.sleep(0.1)
    await asyncio.to_thread(engine.close)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EngineClosed] * 3


async def test_a_reload_loses_no_request(engine: Engine, settings: ModelSettings) -> None:
    before = [asyncio.create_task(engine.paint(request(number, steps=30))) for number in range(3)]
    await asyncio.sleep(0.05)
    engine.reload(await asyncio.to_thread(open_model, settings))
    after = [asyncio.create_task(engine.paint(request(number))) for number in range(2)]
    painted = await asyncio.gather(*before, *after)
    assert len(painted) == 5


async def test_another_pinned_model_takes_over_and_no_request_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "model"
    graphs.build(tiny_vae=True).save_pretrained(path)
    models.add(path, tmp_path)
    settings = ModelSettings(path=path, registry=tmp_path, steps=2, guidance=3.0, strength=1.0)
    engine = Engine.load(settings)
    before = (await engine.paint(request(1))).picture
    assert not await engine.renew(settings), "the same pins are no news"
    waiting = [asyncio.create_task(engine.paint(request(number, steps=40))) for number in range(4)]
    await asyncio.sleep(0)
    graphs.build(tiny_vae=True, seed=5).save_pretrained(path)
    assert not await engine.renew(settings), "files that nobody pinned are no model"
    models.add(path, tmp_path)
    assert await engine.renew(settings)
    assert [made.picture.shape for made in await asyncio.gather(*waiting)] == [(SIDE, SIDE, 3)] * 4
    after = (await engine.paint(request(1))).picture
    engine.close()
    assert not np.array_equal(before, after)


async def test_a_pin_that_does_not_hold_leaves_the_model_that_serves(tmp_path: Path) -> None:
    path = tmp_path / "model"
    graphs.build(tiny_vae=True).save_pretrained(path)
    models.add(path, tmp_path)
    settings = ModelSettings(path=path, registry=tmp_path, steps=2, guidance=3.0, strength=1.0)
    engine = Engine.load(settings)
    before = (await engine.paint(request(1))).picture
    graphs.build(tiny_vae=True, seed=5).save_pretrained(path)
    models.add(path, tmp_path)
    (path / "unet" / "config.json").write_text("{}")
    assert not await engine.renew(settings)
    after = (await engine.paint(request(1))).picture
    engine.close()
    assert np.array_equal(before, after)


async def test_an_unpinned_folder_does_not_start(tmp_path: Path) -> None:
    graphs.build(tiny_vae=True).save_pretrained(tmp_path / "tiny")
    with pytest.raises(models.ModelRefused, match="likeness models add"):
        Engine.load(ModelSettings(path=tmp_path / "tiny", registry=tmp_path))


async def test_it_says_what_runs_and_how(engine: Engine) -> None:
    await engine.paint(request())
    described = engine.describe()
    assert described["attention"] == {"8x8": "sdpa"}
    assert described["device"] == "cpu"
    assert described["scheduler"] == "ddim"
    assert described["steps"] >= 6
    assert described["rows"] >= 8


async def test_the_studio_lets_a_model_repaint_the_backdrop_and_never_the_face(engine: Engine) -> None:
    from worker.studio import pipeline

    file = BytesIO()
    Image.fromarray(np.asarray(data.astronaut(), np.uint8)).save(file, "JPEG", quality=95)  # type: ignore[no-untyped-call]  # skimage ships no types
    sitting = pipeline.prepare(file.getvalue(), check=lambda _stage, _fraction: None)
    made = await pipeline.make(
        sitting,
        get_style("studio-grey"),
        seed=1,
        engine=engine,
        sandbox=False,
        check=lambda _stage, _fraction: None,
    )
    background = next(line for line in made.ledger if line["region"] == "background")
    assert background["source"] == "generated"
    assert next(line for line in made.ledger if line["region"] == "face")["source"] == "own"
