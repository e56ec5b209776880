"""Scheduler updates as tables of coefficients, so that rows at different steps share one forward pass.

Every deterministic update here is linear in the latent x, the model's output m and the x0 predicted one step before, p:

    input to the model   input_scale · x
    predicted x0         x0_x · x + x0_m · m
    next latent          next_x · x + next_m · m + next_p · p

so a request is a table with one line per step, computed once in float64, and a tick gathers one line per row. The stock
schedulers cannot do that: they keep one step index for all rows, and refuse vector timesteps.

Formulas: DDIM, arXiv 2010.02502 (12) with eta 0; Euler, arXiv 2206.00364 algorithm 2 without churn; DPM-Solver++ 2M,
arXiv 2211.01095 algorithm 2. Timesteps and noise levels (spacing, Karras, rescaling to zero terminal SNR of arXiv
2305.08891) are asked of the stock scheduler, so that a model's own configuration holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

Choice = Literal["model", "ddim", "euler", "dpm++"]
Table = npt.NDArray[np.float64]

COLUMNS = ("timestep", "input_scale", "x0_x", "x0_m", "next_x", "next_m", "next_p", "keep_image", "keep_noise")
"""Of a plan's table. The last two make what stays, after the step: keep_image · image + keep_noise · noise."""

_CLASSES: dict[str, Any] = {
    "ddim": DDIMScheduler,
    "euler": EulerDiscreteScheduler,
    "dpm++": DPMSolverMultistepScheduler,
}
_SHORT_RUN = 15  # steps; below, DPM-Solver++ ends with a first-order step for stability
_KEPT_PLANS = 256


class UnsupportedScheduler(Exception):
    """The scheduler's update is not linear, or its settings make no sense together."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One request's way through the noise.

    Attributes:
        table: float64 [steps, 9], one line per step taken, columns as in `COLUMNS`.
        start_image: how much of the image's latent the first latent holds.
        start_noise: how much noise it holds.
    """

    table: Table
    start_image: float
    start_noise: float

    @property
    def steps(self) -> int:
        """Steps that are taken: fewer than asked for when the strength is below 1."""
        return len(self.table)


class Scheduler:
    """Makes plans for one model's scheduler.

    Attributes:
        stock: the diffusers scheduler that gives timesteps and noise levels.
        name: `ddim`, `euler` or `dpm++`.
    """

    def __init__(self, stock: Any, choice: Choice = "model") -> None:
        """Take the model's own scheduler, or another over the model's own noise schedule.

        A model that ships one whose update is not linear (PNDM, ancestral samplers) gets DPM-Solver++ 2M.

        Raises:
            UnsupportedScheduler: its settings leave the linear form.
        """
        own = next((name for name, kind in _CLASSES.items() if isinstance(stock, kind)), None)
        self.name = choice if choice != "model" else (own or "dpm++")
        if self.name == own:
            self.stock = stock
        else:
            # A DDIM default would clip; a latent is never clipped.
            extra = {"clip_sample": False} if self.name == "ddim" else {}
            self.stock = _CLASSES[self.name].from_config(stock.config, **extra)
        _require_linear(self.name, self.stock.config)
        self._plans: dict[tuple[int, float], Plan] = {}

    def plan(self, steps: int, strength: float) -> Plan:
        """Plan a request.

        Args:
            steps: asked of the scheduler, 1 or more.
            strength: above 0, at most 1; the first steps are left out below 1.

        Raises:
            ValueError: no step is left.
        """
        key = (steps, strength)
        if key not in self._plans:
            if len(self._plans) >= _KEPT_PLANS:
                self._plans.clear()
            self._plans[key] = self._make(steps, strength)
        return self._plans[key]

    def _make(self, steps: int, strength: float) -> Plan:
        stock = type(self.stock).from_config(self.stock.config)
        stock.set_timesteps(steps)
        taken = min(int(steps * strength), steps)
        if taken < 1:
            raise ValueError("the strength leaves no step to take")
        # Trailing spacing may give one timestep more or less than asked for; the stock pipeline counts from the asked.
        begin = max(steps - taken, 0)
        lines, levels = _LINES[self.name](stock, begin)
        keep = np.concatenate([levels[1:], [[1.0, 0.0]]])
        table = np.concatenate([lines, keep], axis=1)
        # A run at full strength starts from noise alone, at the scheduler's own first level.
        start = (0.0, float(stock.init_noise_sigma)) if strength == 1 else (float(levels[0, 0]), float(levels[0, 1]))
        return Plan(table, *start)


def _require_linear(name: str, config: Any) -> None:
    prediction = config.prediction_type
    if prediction not in {"epsilon", "v_prediction", "sample"}:
        raise UnsupportedScheduler(f"prediction type {prediction} is not known")
    if config.get("thresholding") or (name == "ddim" and config.clip_sample):
        raise UnsupportedScheduler("a scheduler that clips or thresholds x0 is not linear")
    if config.get("rescale_betas_zero_snr") and prediction == "epsilon":
        raise UnsupportedScheduler("with zero terminal SNR the first latent is noise alone: epsilon says nothing there")
    if name == "dpm++" and (config.algorithm_type != "dpmsolver++" or config.solver_order > 2):  # noqa: PLR2004 - of second order
        raise UnsupportedScheduler("of the DPM solvers, DPM-Solver++ of first and second order is supported")
    if config.get("use_flow_sigmas"):
        raise UnsupportedScheduler("flow matching is not supported")


def _x0_of(prediction: str, alpha: float, sigma: float) -> tuple[float, float]:
    """Coefficients of x and m in x0, where x = alpha · x0 + sigma · noise and alpha² + sigma² = 1."""
    if prediction == "epsilon":
        return 1 / alpha, -sigma / alpha
    if prediction == "v_prediction":
        return alpha, -sigma
    return 0.0, 1.0


def _ddim(stock: Any, begin: int) -> tuple[Table, Table]:
    """Lines of `COLUMNS` up to next_p, and [steps, 2] levels of image and noise at each step."""
    products = stock.alphas_cumprod.double().numpy()
    stride = stock.config.num_train_timesteps // stock.num_inference_steps
    lines, levels = [], []
    for timestep in stock.timesteps.tolist()[begin:]:
        before = timestep - stride
        product = products[timestep]
        product_next = products[before] if before >= 0 else float(stock.final_alpha_cumprod)
        alpha, sigma = np.sqrt(product), np.sqrt(1 - product)
        alpha_next, sigma_next = np.sqrt(product_next), np.sqrt(1 - product_next)
        x0_x, x0_m = _x0_of(stock.config.prediction_type, alpha, sigma)
        noise_x, noise_m = {
            "epsilon": (0.0, 1.0),
            "v_prediction": (sigma, alpha),
            "sample": (1 / sigma, -alpha / sigma),
        }[stock.config.prediction_type]
        next_x, next_m = alpha_next * x0_x + sigma_next * noise_x, alpha_next * x0_m + sigma_next * noise_m
        lines.append((timestep, 1.0, x0_x, x0_m, next_x, next_m, 0.0))
        levels.append((alpha, sigma))
    return np.array(lines), np.array(levels)


def _euler(stock: Any, begin: int) -> tuple[Table, Table]:
    """As `_ddim`; the latent is x0 + sigma · noise, so alone among the three it is scaled for the model."""
    sigmas = stock.sigmas.double().numpy()
    lines, levels = [], []
    for place, timestep in enumerate(stock.timesteps.tolist()[begin:], start=begin):
        sigma, sigma_next = sigmas[place], sigmas[place + 1]
        scale = 1 / np.sqrt(sigma**2 + 1)
        x0_x, x0_m = _x0_of(stock.config.prediction_type, scale, sigma * scale)
        if stock.config.prediction_type != "sample":
            x0_x, x0_m = (1.0, -sigma) if stock.config.prediction_type == "epsilon" else (scale**2, x0_m)
        ratio = sigma_next / sigma
        lines.append((timestep, scale, x0_x, x0_m, ratio + (1 - ratio) * x0_x, (1 - ratio) * x0_m, 0.0))
        levels.append((1.0, sigma))
    return np.array(lines), np.array(levels)


def _dpm(stock: Any, begin: int) -> tuple[Table, Table]:
    """As `_ddim`. The first step, and the last where the stock solver says so, are of first order."""
    config = stock.config
    sigmas = stock.sigmas.double().numpy()
    count = len(stock.timesteps)
    lines, levels = [], []
    for place, timestep in enumerate(stock.timesteps.tolist()[begin:], start=begin):
        sigma, sigma_next = sigmas[place], sigmas[place + 1]
        alpha, alpha_next = 1 / np.sqrt(sigma**2 + 1), 1 / np.sqrt(sigma_next**2 + 1)
        x0_x, x0_m = _x0_of(config.prediction_type, alpha, sigma * alpha)
        carry = sigma_next * alpha_next / (sigma * alpha)
        gain = alpha_next * (1 - sigma_next / sigma)
        short = config.lower_order_final and count < _SHORT_RUN
        last = place == count - 1 and (config.euler_at_final or short or config.final_sigmas_type == "zero")
        ahead = 0.0
        if config.solver_order > 1 and place > begin and not last:
            step, step_before = np.log(sigma / sigma_next), np.log(sigmas[place - 1] / sigma)
            slope = gain / 2 if config.solver_type == "midpoint" else alpha_next - gain / step
            ahead = slope * step / step_before
        next_x0 = gain + ahead
        lines.append((timestep, 1.0, x0_x, x0_m, carry + next_x0 * x0_x, next_x0 * x0_m, -ahead))
        levels.append((alpha, sigma * alpha))
    return np.array(lines), np.array(levels)


_LINES: dict[str, Callable[[Any, int], tuple[Table, Table]]] = {"ddim": _ddim, "euler": _euler, "dpm++": _dpm}
