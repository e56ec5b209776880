"""Loops over tiny models of random weights."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from infra.bench import graphs
from worker.engine.capacity import Cap
from worker.engine.forward import Forward
from worker.engine.loop import StepLoop
from worker.engine.modules import Modules


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pipeline() -> Any:
    # With random weights, v-prediction keeps latents near one, as trained weights do; epsilon lets them grow.
    scheduler = graphs.library.DDIMScheduler(
        **graphs.SD_NOISE, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    return graphs.build(scheduler=scheduler)


@pytest.fixture(scope="session")
def modules(pipeline: Any) -> Modules:
    return Modules.of(pipeline)


@pytest.fixture
def serve() -> Iterator[Callable[..., StepLoop]]:
    """Start a loop over some modules; it is stopped at the end."""
    loops = []

    def start(modules: Modules, *, rows: int = 16, slots_each: int = 16) -> StepLoop:
        loops.append(StepLoop(modules, Forward(modules), Cap(rows), slots_each=slots_each))
        return loops[-1]

    yield start
    for loop in loops:
        loop.stop()
        assert loop.join(20)
