"""`python -m infra.bench.gpu`: G1 to G4, on one CUDA device with full-size graphs of random weights.

Achieved TFLOP/s are the operations of the U-Net's matrix products, counted by torch itself, over the time of a pass;
the rate ρ is that over what a large matrix product reaches in the same run. `--quick` runs tiny graphs on whatever
device is there: it shows that the benchmark works, and its figures say nothing.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from infra.bench import graphs
from infra.bench.batchers import Arrival, in_flight
from infra.bench.measure import Ratio, Result, Series, machine, percentile, ratios, take_turns
from infra.bench.report import markdown, write
from worker.engine.encode import Encoder
from worker.engine.forward import Forward, Mode
from worker.engine.model import blank
from worker.engine.modules import Modules
from worker.engine.request import PaintRequest

MLPERF_SDXL = 2.40
"""Samples per s and GPU, SDXL offline on H200 in FP8, MLPerf Inference 5.1."""

_PASSES = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """How large everything is."""

    size: graphs.Size
    sd_side: int
    sdxl_side: int
    batches: tuple[int, ...]
    sdxl_rows: int
    arrivals: int
    turns: int
    square: int  # side of the matrix product that gives the ceiling


FULL = Plan("full", 512, 1024, (1, 2, 4, 8, 16, 32), 8, 120, 5, 8192)
QUICK = Plan("tiny", 64, 64, (1, 2), 2, 6, 1, 256)


def build(family: graphs.Family, plan: Plan, device: torch.device) -> Modules:
    """A model of random weights, in bfloat16 on a GPU."""
    side = plan.sd_side if family == "sd" else plan.sdxl_side
    pipeline = graphs.build(family, plan.size, sample_size=side // 8, scheduler=_scheduler())
    if device.type == "cuda":
        pipeline.to(device, torch.bfloat16)
        pipeline.unet.to(memory_format=torch.channels_last)
    return Modules.of(pipeline)


def _scheduler() -> Any:
    return graphs.library.EulerDiscreteScheduler(**graphs.SD_NOISE, prediction_type="v_prediction", steps_offset=1)


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Best of a few passes, s."""
    best = float("inf")
    for _ in range(_PASSES):
        _wait(device)
        began = perf_counter()
        run()
        _wait(device)
        best = min(best, perf_counter() - began)
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def ceiling(plan: Plan, device: torch.device) -> float:
    """TFLOP/s of a large square matrix product of random numbers, in the models' dtype."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    a, b = (torch.randn(plan.square, plan.square, device=device, dtype=dtype) for _ in range(2))
    taken = seconds(lambda: [a @ b for _ in range(10)], device)
    return 20 * plan.square**3 / taken / 1e12


@torch.inference_mode()
def pass_tflop(modules: Modules, rows: int) -> float:
    """Operations of one pass over that many rows, 10¹²."""
    inputs = blank(modules, 1)
    with FlopCounterMode(display=False) as counter:
        Forward(modules)(inputs)
    operations: int = counter.get_total_flops()
    return rows * operations / 1e12


def _contestant(modules: Modules, rows: int, mode: Mode) -> Callable[[], float]:
    """Rows per s of the engine's pass in that mode."""
    forward, inputs = Forward(modules, mode=mode), blank(modules, rows)

    def run() -> float:
        with torch.inference_mode():
            return rows / seconds(lambda: forward(inputs), modules.device)

    return run


def _stock(modules: Modules, rows: int, call: Any) -> Callable[[], float]:
    """Rows per s of the U-Net called as the stock pipeline calls it."""
    inputs = blank(modules, rows)
    added = {"text_embeds": inputs.pooled, "time_ids": inputs.time_ids} if inputs.pooled is not None else None
    names: dict[str, Any] = {"encoder_hidden_states": inputs.text, "added_cond_kwargs": added, "return_dict": False}

    def run() -> float:
        with torch.inference_mode():
            return rows / seconds(partial(call, inputs.sample, inputs.timestep[0], **names), modules.device)

    return run


def g1(plan: Plan, device: torch.device, top: float) -> Result:
    """SD 1.5 inpainting over batch sizes."""
    modules = build("sd", plan, device)
    compiled = torch.compile(modules.unet, dynamic=False)
    contestants = {
        "stock eager, B = 1": _stock(modules, 1, modules.unet),
        f"stock compiled, B = {plan.batches[-1]}": _stock(modules, plan.batches[-1], compiled),
        **{f"Likeness, B = {rows}": _contestant(modules, rows, "graphs") for rows in plan.batches},
        f"Likeness compiled, B = {plan.batches[-1]}": _contestant(modules, plan.batches[-1], "compile"),
    }
    series = take_turns(contestants, plan.turns)
    best = max((each for name, each in series.items() if name.startswith("Likeness")), key=lambda each: each.middle)
    rate = tuple(value * pass_tflop(modules, 1) / top for value in best.values)
    return Result(
        id="G1",
        title=f"SD 1.5 inpainting, {plan.sd_side} px, passes of the U-Net",
        unit="rows/s",
        series=tuple(series.values()),
        ratios=(
            Ratio("best / stock eager at B = 1", ratios(best, series["stock eager, B = 1"]), 3.0),
            Ratio("best / stock compiled", ratios(best, series[f"stock compiled, B = {plan.batches[-1]}"]), 1.2),
            Ratio("ρ", rate, 0.45),
        ),
        notes=(f"A large matrix product reaches {top:.0f} TFLOP/s here.", f"Best is {best.name}."),
    )


def g2(plan: Plan, device: torch.device, top: float) -> Result:
    """SDXL inpainting, 20 steps with guidance: two rows a picture and step."""
    modules = build("sdxl", plan, device)
    modes: tuple[Mode, ...] = ("eager", "graphs", "compile")
    series = take_turns({f"Likeness, {mode}": _contestant(modules, plan.sdxl_rows, mode) for mode in modes}, plan.turns)
    best = max(series.values(), key=lambda each: each.middle)
    rate = tuple(value * pass_tflop(modules, 1) / top for value in best.values)
    return Result(
        id="G2",
        title=f"SDXL inpainting, {plan.sdxl_side} px",
        unit="rows/s",
        series=tuple(series.values()),
        ratios=(Ratio("ρ", rate, 0.5),),
        notes=(
            f"{best.middle / 40:.2f} pictures/s of 20 guided steps; MLPerf 5.1 has {MLPERF_SDXL} on H200 in FP8.",
            f"Best is {best.name}.",
        ),
    )


def g3(plan: Plan, device: torch.device) -> Result:
    """Slowdown of requests of mixed steps and sizes under Poisson arrivals at 0.8 load."""
    modules = build("sd", plan, device)
    rng = Random(3)  # noqa: S311 - a workload, not a secret
    sides = (plan.sd_side, plan.sd_side * 3 // 4)
    requests = [_request(n, rng.choice(sides), rng.choice((8, 20, 30, 50))) for n in range(plan.arrivals)]
    serve = in_flight(modules, Encoder(modules), rows=plan.batches[-1])
    alone = {
        key: serve([Arrival(next(r for r in requests if (r.shape, r.steps) == key), 0.0)])[0]
        for key in {(request.shape, request.steps) for request in requests}
    }
    began = perf_counter()
    serve([Arrival(request, 0.0) for request in requests])
    capacity = len(requests) / (perf_counter() - began)
    at, arrivals = 0.0, []
    for request in requests:
        at += rng.expovariate(0.8 * capacity)
        arrivals.append(Arrival(request, at))
    spreads = []
    for _ in range(plan.turns):
        latencies = serve(arrivals)
        slowdowns = [one / alone[r.shape, r.steps] for one, r in zip(latencies, requests, strict=True)]
        spreads.append(percentile(slowdowns, 0.99) / min(slowdowns))
    return Result(
        id="G3",
        title="latency over that of the same request alone, 0.8 load, mixed steps and sizes",
        unit="p99 / min",
        series=(Series("Likeness", tuple(spreads)),),
        ratios=(Ratio("p99 / min", tuple(spreads), 1.8, at_most=True),),
        notes=(f"{capacity:.3g} requests/s saturated, encoding and decoding included.",),
    )


def _request(number: int, side: int, steps: int) -> PaintRequest:
    side -= side % 32
    return PaintRequest(
        picture=np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8),
        mask=np.full((side, side), 255, np.uint8),
        prompt="a grey wall",
        negative_prompt="",
        steps=steps,
        guidance=1.0,
        strength=1.0,
        seed=number,
    )


def g4(plan: Plan, device: torch.device) -> Result:
    """The kernel that the trial chose against all of them, whole passes."""
    shares: list[float] = []
    series: list[Series] = []
    for family, rows in (("sd", plan.batches[-1]), ("sdxl", plan.sdxl_rows)):
        modules = build(family, plan, device)  # type: ignore[arg-type]  # two literals
        chosen, inputs = Forward(modules), blank(modules, rows)
        with torch.inference_mode():
            chosen(inputs)
            kernel = chosen.attention.chosen[inputs.shape]
            timed: dict[str, float] = {}
            for name in chosen.attention.candidates:
                fixed = Forward(modules, attention=name)
                try:
                    timed[name] = seconds(partial(fixed, inputs), device)
                except RuntimeError:
                    continue
        shares.append(min(timed.values()) / timed[kernel])
        series += [Series(f"{family} {name}{' (chosen)' * (name == kernel)}", (t,)) for name, t in timed.items()]
    return Result(
        id="G4",
        title="attention kernels, one pass",
        unit="s",
        series=tuple(series),
        ratios=(Ratio("best / chosen", tuple(shares), 0.98),),
    )


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m infra.bench.gpu", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny graphs on whatever device is there")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder for the results")
    asked = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type != "cuda" and not asked.quick:
        sys.exit("No CUDA device here. --quick shows on a CPU that the benchmark works.")
    plan = QUICK if asked.quick else FULL
    where = machine()
    where["gpu"] = torch.cuda.get_device_name(device) if device.type == "cuda" else "none"
    top = ceiling(plan, device)
    results = [g1(plan, device, top), g2(plan, device, top), g3(plan, device), g4(plan, device)]
    print(markdown(results))  # noqa: T201
    if not asked.quick:
        write(results, asked.out, machine=where, name="gpu")


if __name__ == "__main__":
    main()
