"""Rows in a running batch against the stock pipeline run alone, and against one another."""

from typing import Any

import pytest
import torch

from infra.bench import graphs
from tests.worker.engine.orders import oracle, paint, request
from worker.engine.capacity import Cap
from worker.engine.encode import Encoder
from worker.engine.forward import Forward, Inputs
from worker.engine.modules import Modules
from worker.engine.request import NotANumber, OutOfMemory, PaintRequest
from worker.engine.slots import Slots

# The stock schedulers hand tensors to numpy in a way that numpy 2 means to change.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ORACLE_TOLERANCE = 1e-4
BATCH_TOLERANCE = 1e-5

# Guided and not, at full strength and below, of different lengths, and none beginning with another.
MIXED = [
    request(0),
    request(1, guidance=1.0, strength=0.5, steps=9),
    request(2, strength=0.7, steps=7),
    request(3, guidance=1.0, steps=4),
]
ARRIVALS = {0: 0, 1: 2, 2: 3, 3: 5}


def schedulers() -> list[Any]:
    made = []
    for prediction, zero in (
        ("epsilon", False),
        ("v_prediction", False),
        ("v_prediction", True),
        ("sample", True),
    ):
        config = {**graphs.SD_NOISE, "prediction_type": prediction, "rescale_betas_zero_snr": zero}
        config |= {"timestep_spacing": "trailing" if zero else "leading", "steps_offset": 1}
        name = f"{prediction}{'-zero' if zero else ''}"
        made.append(
            pytest.param(
                graphs.library.DDIMScheduler(**config, clip_sample=False, set_alpha_to_one=False), id=f"ddim-{name}"
            )
        )
        for karras in (False, True):
            kind = name + ("-karras" if karras else "")
            made += [
                pytest.param(
                    graphs.library.EulerDiscreteScheduler(**config, use_karras_sigmas=karras), id=f"euler-{kind}"
                ),
                pytest.param(
                    graphs.library.DPMSolverMultistepScheduler(**config, use_karras_sigmas=karras), id=f"dpm++-{kind}"
                ),
            ]
    return made


def difference(pipeline: Any, requests: list[PaintRequest], painted: list[torch.Tensor]) -> float:
    return max(
        float((oracle(pipeline, asked) - latents).abs().max()) for asked, latents in zip(requests, painted, strict=True)
    )


@pytest.mark.parametrize("scheduler", schedulers())
def test_staggered_rows_equal_the_stock_pipeline_run_alone(scheduler: Any) -> None:
    pipeline = graphs.build(tiny_vae=True, scheduler=scheduler)
    painted = paint(Modules.of(pipeline), MIXED, arrivals=ARRIVALS)
    # Stock Euler begins at a noise level of 4096 at zero terminal SNR, and loses that much of float32 by itself; see
    # `test_schedule.py` for the proof that the plan does not.
    lost = float(scheduler.init_noise_sigma) * 2**-23
    assert difference(pipeline, MIXED, painted) <= ORACLE_TOLERANCE + (lost if lost > ORACLE_TOLERANCE else 0)


@pytest.mark.parametrize("family", ["sd", "sdxl"])
@pytest.mark.parametrize("channels", [4, 9])
def test_every_kind_of_model_equals_the_stock_pipeline(family: Any, channels: Any) -> None:
    pipeline = graphs.build(family, channels=channels)
    painted = paint(Modules.of(pipeline), MIXED, arrivals=ARRIVALS)
    assert difference(pipeline, MIXED, painted) <= ORACLE_TOLERANCE


def test_the_aesthetic_score_of_a_refiner_is_passed_on() -> None:
    """Its time ids have five places, not six, so that the U-Net's projection is narrower."""
    pipeline = graphs.build("sdxl", aesthetic=True)
    painted = paint(Modules.of(pipeline), MIXED[:2])
    assert difference(pipeline, MIXED[:2], painted) <= ORACLE_TOLERANCE


class _OneClock(Forward):
    """Negative control: every row at the first one's timestep, as a batch without own state would have it."""

    def __call__(self, inputs: Inputs) -> torch.Tensor:
        same = inputs.timestep[:1].expand(len(inputs.timestep))
        return super().__call__(Inputs(inputs.sample, same, inputs.text, inputs.pooled, inputs.time_ids))


class _Leaky(Forward):
    """Negative control: a little of each row in the next."""

    def __call__(self, inputs: Inputs) -> torch.Tensor:
        output = super().__call__(inputs)
        return output + 0.01 * output.roll(1, 0)


@pytest.mark.parametrize("broken", [_OneClock, _Leaky])
def test_the_comparison_notices_rows_that_share_state(
    broken: type[Forward], pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.worker.engine.orders.Forward", broken)
    painted = paint(Modules.of(pipeline), MIXED, arrivals=ARRIVALS)
    assert difference(pipeline, MIXED, painted) > 10 * ORACLE_TOLERANCE


def test_a_job_in_a_mixed_batch_equals_itself_alone(modules: Modules) -> None:
    together = paint(modules, MIXED, arrivals=ARRIVALS)
    for asked, mixed in zip(MIXED, together, strict=True):
        (alone,) = paint(modules, [asked])
        assert (alone - mixed).abs().max() <= BATCH_TOLERANCE


def test_a_neighbours_picture_and_words_leave_no_trace(modules: Modules) -> None:
    """Canary: the same batch but for one neighbour's everything gives the others the same bits."""
    mine = request(1, tenant="mine")
    quiet, canary = request(5, tenant="theirs"), request(6, tenant="theirs", prompt="zzz", negative_prompt="q")
    first, _ = paint(modules, [mine, quiet])
    second, _ = paint(modules, [mine, canary])
    assert torch.equal(first, second)


def start(modules: Modules, forward: Forward, requests: list[PaintRequest], *, rows: int = 64) -> Slots[int]:
    slots: Slots[int] = Slots(modules, forward, Cap(rows))
    starts = Encoder(modules).encode(requests)
    slots.admit([(number, starts[number], asked.guidance) for number, asked in enumerate(requests)])
    return slots


def test_a_row_that_leaves_is_wiped_from_memory(modules: Modules) -> None:
    slots = start(modules, Forward(modules), [request(0), request(1)])
    slots.step()
    row, held, previous = slots.rows[0], slots._latents, slots._previous
    image = row.start.masked
    assert image is not None
    assert held.abs().sum() > 0
    assert image.abs().sum() > 0
    slots.release([row])
    assert [left.job for left in slots.rows] == [1]
    for part in (held, previous, image, row.start.latent):
        assert not part.any()


def test_not_a_number_in_one_row_fails_that_one_alone(modules: Modules) -> None:
    requests = [request(0), request(1), request(2)]
    expected = paint(modules, requests)
    slots = start(modules, Forward(modules), requests)
    slots.step()
    with torch.inference_mode():
        slots._latents[1, 0, 0, 0] = float("nan")
    failures: dict[int, Exception] = {}
    done: dict[int, torch.Tensor] = {}
    while slots.rows:
        failed = slots.step()
        failures |= {row.job: error for row, error in failed.items()}
        finished = [row for row in slots.rows if row.done and row not in failed]
        done |= {row.job: slots.latent(row) for row in finished}
        slots.release([*failed, *finished])
    assert {number: type(error) for number, error in failures.items()} == {1: NotANumber}
    for number in (0, 2):
        assert (done[number] - expected[number]).abs().max() <= BATCH_TOLERANCE


class _Poisoned(Forward):
    """Raises whenever a row with one picture is in the pass."""

    poison: torch.Tensor

    def __call__(self, inputs: Inputs) -> torch.Tensor:
        for row in inputs.sample:
            if torch.equal(row[-4:], self.poison):
                raise RuntimeError("no kernel for this")
        return super().__call__(inputs)


def test_an_exception_is_traced_to_the_row_that_causes_it(modules: Modules) -> None:
    requests = [request(number) for number in range(5)]
    expected = paint(modules, requests)
    forward = _Poisoned(modules)
    slots = start(modules, forward, requests)
    poison = slots.rows[3].start.masked
    assert poison is not None
    forward.poison = poison.clone()
    failed = slots.step()
    assert {row.job: str(error) for row, error in failed.items()} == {3: "no kernel for this"}
    slots.release(list(failed))
    while not slots.rows[0].done:
        assert not slots.step()
    for row in slots.rows:
        assert (slots.latent(row) - expected[row.job]).abs().max() <= BATCH_TOLERANCE


class _Small(Forward):
    """A device on which only so many rows fit."""

    fits = 2
    passes = 0

    def __call__(self, inputs: Inputs) -> torch.Tensor:
        self.passes += 1
        if len(inputs.sample) > self.fits:
            raise torch.OutOfMemoryError
        return super().__call__(inputs)


def test_out_of_memory_shrinks_the_pass_and_fails_nobody(modules: Modules) -> None:
    requests = [request(number) for number in range(4)]
    expected = paint(modules, requests)
    forward, cap = _Small(modules), Cap(64)
    slots: Slots[int] = Slots(modules, forward, cap)
    starts = Encoder(modules).encode(requests)
    slots.admit([(number, each, requests[number].guidance) for number, each in enumerate(starts)])
    assert not slots.step()
    assert cap.rows <= forward.fits
    tried = forward.passes
    while not slots.rows[0].done:
        assert not slots.step()
    # Later steps do not try again what did not fit.
    assert forward.passes == tried + len(requests) * 5
    for row in slots.rows:
        assert (slots.latent(row) - expected[row.job]).abs().max() <= BATCH_TOLERANCE


def test_a_row_that_does_not_fit_even_alone_fails_alone(modules: Modules) -> None:
    forward = _Small(modules)
    forward.fits = 1
    slots = start(modules, forward, [request(0), request(1, guidance=1.0)])
    failed = slots.step()
    assert {row.job: type(error) for row, error in failed.items()} == {0: OutOfMemory}
