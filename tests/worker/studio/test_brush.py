from collections.abc import Iterator

import numpy as np
import pytest

from core.settings import ModelSettings
from infra.bench import graphs
from worker.engine.engine import Engine
from worker.engine.model import prepare
from worker.engine.modules import Modules
from worker.engine.request import Painted, PaintRequest
from worker.studio.brush import Asker, Brush


class Watched(Engine):
    """A real engine that remembers what it was asked for."""

    asked: PaintRequest

    async def paint(self, request: PaintRequest) -> Painted:
        self.asked = request
        return await super().paint(request)


@pytest.fixture
def engine() -> Iterator[Watched]:
    engine = Watched(prepare(Modules.of(graphs.build(tiny_vae=True)), ModelSettings(steps=1, guidance=1.0, max_rows=2)))
    yield engine
    engine.close()


async def test_the_engine_is_told_whose_job_it_is_and_its_place_in_the_fair_order(engine: Watched) -> None:
    brush = Brush(engine, seed=3, asker=Asker("tenant", 41.5))
    picture, mask = np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 255, np.uint8)
    await brush.paint(picture, mask, words=("a wall", ""), strength=1.0, check=lambda _share: None)
    assert (engine.asked.tenant, engine.asked.fair_tag, engine.asked.seed) == ("tenant", 41.5, 3)
