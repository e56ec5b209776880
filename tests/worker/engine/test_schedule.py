"""Plans against the stock schedulers: the same steps through the same noise, by a table instead of by state."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from infra.bench.graphs import SD_NOISE, library
from worker.engine.schedule import COLUMNS, Plan, Scheduler, UnsupportedScheduler

# The stock schedulers hand tensors to numpy in a way that numpy 2 means to change.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TOLERANCE = 1e-4
KINDS: dict[str, Any] = {
    "ddim": library.DDIMScheduler,
    "euler": library.EulerDiscreteScheduler,
    "dpm++": library.DPMSolverMultistepScheduler,
}


def stock_schedulers() -> Iterator[Any]:
    """Every supported scheduler × prediction × zero terminal SNR × spacing × Karras, and the solver's own variants."""
    for kind, cls in KINDS.items():
        for prediction in ("epsilon", "v_prediction", "sample"):
            for zero in (False, True):
                for spacing in ("leading", "trailing", "linspace"):
                    if zero and prediction == "epsilon":
                        continue
                    config = {
                        **SD_NOISE,
                        "prediction_type": prediction,
                        "rescale_betas_zero_snr": zero,
                        "timestep_spacing": spacing,
                        "steps_offset": 1 if spacing == "leading" else 0,
                    }
                    name = f"{kind}-{prediction}-{spacing}" + ("-zero" if zero else "")
                    if kind == "ddim":
                        yield pytest.param(cls(**config, clip_sample=False, set_alpha_to_one=False), id=name)
                        continue
                    yield pytest.param(cls(**config), id=name)
                    yield pytest.param(cls(**config, use_karras_sigmas=True), id=name + "-karras")
    solver = library.DPMSolverMultistepScheduler
    for prediction in ("epsilon", "v_prediction"):
        config = {**SD_NOISE, "prediction_type": prediction}
        yield pytest.param(solver(**config, solver_type="heun"), id=f"dpm++-{prediction}-heun")
        yield pytest.param(solver(**config, solver_order=1), id=f"dpm++-{prediction}-first-order")
        yield pytest.param(solver(**config, euler_at_final=True), id=f"dpm++-{prediction}-euler-at-final")
        yield pytest.param(solver(**config, lower_order_final=False), id=f"dpm++-{prediction}-no-lower-order")
        yield pytest.param(solver(**config, final_sigmas_type="sigma_min"), id=f"dpm++-{prediction}-sigma-min")
        yield pytest.param(
            library.EulerDiscreteScheduler(**config, use_exponential_sigmas=True), id=f"euler-{prediction}-exponential"
        )


def predict(x: torch.Tensor, timestep: float) -> torch.Tensor:
    """A model of no worth, smooth in both arguments."""
    return torch.tanh(0.7 * x.roll(1, -1) + timestep / 700) - 0.3 * torch.cos(3 * x)


def run_stock(stock: Any, steps: int, strength: float, image: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """As the stock inpainting pipeline of a U-Net with 4 channels runs it; the right half is put back each step."""
    stock.set_timesteps(steps)
    begin = steps - min(int(steps * strength), steps)
    if hasattr(stock, "set_begin_index"):
        stock.set_begin_index(begin)
    timesteps = stock.timesteps[begin:]
    x = noise * stock.init_noise_sigma if strength == 1 else stock.add_noise(image, noise, timesteps[:1])
    mask = painted_half(image)
    for place, timestep in enumerate(timesteps):
        output = predict(stock.scale_model_input(x, timestep), float(timestep))
        x = stock.step(output, timestep, x, return_dict=False)[0]
        kept = image
        if place < len(timesteps) - 1:
            kept = stock.add_noise(image, noise, timesteps[place + 1].reshape(1))
        x = (1 - mask) * kept + mask * x
    result: torch.Tensor = x
    return result


def run_plan(plan: Plan, image: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    x = plan.start_image * image + plan.start_noise * noise
    previous = torch.zeros_like(x)
    mask = painted_half(image)
    for values in plan.table.astype(np.float32):
        line = dict(zip(COLUMNS, values.tolist(), strict=True))
        output = predict(line["input_scale"] * x, line["timestep"])
        predicted = line["x0_x"] * x + line["x0_m"] * output
        x = line["next_x"] * x + line["next_m"] * output + line["next_p"] * previous
        previous = predicted
        x = (1 - mask) * (line["keep_image"] * image + line["keep_noise"] * noise) + mask * x
    return x


def painted_half(image: torch.Tensor) -> torch.Tensor:
    mask = torch.ones_like(image)
    mask[..., image.shape[-1] // 2 :] = 0
    return mask


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("stock", list(stock_schedulers()))
def test_a_plan_goes_the_stock_schedulers_way(stock: Any, image: torch.Tensor, noise: torch.Tensor) -> None:
    scheduler = Scheduler(stock)
    for steps, strength in ((1, 1.0), (4, 1.0), (20, 1.0), (20, 0.6), (7, 0.3)):
        expected = run_stock(stock, steps, strength, image, noise)
        got = run_plan(scheduler.plan(steps, strength), image, noise)
        # Float32 of the stock scheduler's own arithmetic grows with what it holds.
        bound = TOLERANCE * max(1.0, float(expected.abs().max())) + lost_by(stock)
        assert (expected - got).abs().max() <= bound, (steps, strength)


def lost_by(stock: Any) -> float:
    """What the stock scheduler's own float32 loses.

    Euler at zero terminal SNR begins at a noise level of 4096 and takes a difference of two numbers of that size.
    """
    return float(stock.init_noise_sigma) * 2**-23


@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
def test_a_plan_keeps_its_digits_where_the_stock_scheduler_loses_them(
    prediction: str, image: torch.Tensor, noise: torch.Tensor
) -> None:
    config = {**SD_NOISE, "prediction_type": prediction, "rescale_betas_zero_snr": True}
    plan = Scheduler(library.EulerDiscreteScheduler(**config, timestep_spacing="trailing")).plan(4, 1.0)
    exact = run_plan(plan, image.double(), noise.double())
    assert (exact - run_plan(plan, image, noise)).abs().max() <= 1e-5


@pytest.mark.parametrize("column", [1, 2, 3, 4, 5, 6])
def test_a_wrong_column_is_noticed(column: int, image: torch.Tensor, noise: torch.Tensor) -> None:
    """Negative control: the comparison above would fail on any column off by a thousandth."""
    stock = library.DPMSolverMultistepScheduler(**SD_NOISE)
    plan = Scheduler(stock).plan(20, 1.0)
    table = plan.table.copy()
    table[:, column] *= 1.001
    wrong = run_plan(Plan(table, plan.start_image, plan.start_noise), image, noise)
    expected = run_stock(stock, 20, 1.0, image, noise)
    assert (expected - wrong).abs().max() > TOLERANCE


def test_a_plan_begun_one_step_late_is_noticed(image: torch.Tensor, noise: torch.Tensor) -> None:
    stock = library.DDIMScheduler(**SD_NOISE, clip_sample=False)
    plan = Scheduler(stock).plan(20, 1.0)
    late = run_plan(Plan(plan.table[1:], plan.start_image, plan.start_noise), image, noise)
    assert (run_stock(stock, 20, 1.0, image, noise) - late).abs().max() > 100 * TOLERANCE


def test_strength_leaves_out_the_first_steps() -> None:
    scheduler = Scheduler(library.EulerDiscreteScheduler(**SD_NOISE))
    assert scheduler.plan(20, 1.0).steps == 20
    assert scheduler.plan(20, 0.6).steps == 12
    assert np.array_equal(scheduler.plan(20, 0.6).table, scheduler.plan(20, 1.0).table[8:])
    with pytest.raises(ValueError, match="no step"):
        scheduler.plan(4, 0.2)


@pytest.mark.parametrize("name", ["ddim", "euler", "dpm++"])
def test_another_scheduler_runs_over_the_models_own_noise(name: Any) -> None:
    own = library.DDIMScheduler(**SD_NOISE, prediction_type="v_prediction", clip_sample=False)
    chosen = Scheduler(own, name)
    assert chosen.name == name
    assert chosen.stock.config.prediction_type == "v_prediction"
    assert torch.equal(chosen.stock.betas, own.betas)


def test_a_scheduler_that_is_not_linear_gives_way_to_a_linear_one() -> None:
    assert Scheduler(library.PNDMScheduler(**SD_NOISE)).name == "dpm++"
    assert Scheduler(library.HeunDiscreteScheduler(**SD_NOISE)).name == "dpm++"


@pytest.mark.parametrize(
    "stock",
    [
        library.DDIMScheduler(**SD_NOISE, clip_sample=True),
        library.DDIMScheduler(**SD_NOISE, clip_sample=False, thresholding=True),
        library.DDIMScheduler(**SD_NOISE, clip_sample=False, rescale_betas_zero_snr=True),
        library.DPMSolverMultistepScheduler(**SD_NOISE, solver_order=3),
        library.DPMSolverMultistepScheduler(**SD_NOISE, algorithm_type="sde-dpmsolver++"),
        library.DPMSolverMultistepScheduler(**SD_NOISE, use_flow_sigmas=True),
    ],
    ids=["clips", "thresholds", "epsilon-at-zero-snr", "third-order", "stochastic", "flow"],
)
def test_settings_that_leave_the_linear_form_are_refused(stock: Any) -> None:
    with pytest.raises(UnsupportedScheduler):
        Scheduler(stock)
