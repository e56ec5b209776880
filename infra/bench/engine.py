"""C1 to C6: the engine against the batchers of serving frameworks, stock diffusers and the bare forward pass.

All on one model of random weights and one torch thread. What a peer is measured on, the engine is measured on too.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image

from infra.bench import graphs, litserve_peer
from infra.bench.batchers import Arrival, Prepared, Serve, in_flight, keyed, pad_to_max
from infra.bench.measure import Ratio, Result, Series, percentile, ratios, take_turns
from worker.engine.capacity import Cap, fit
from worker.engine.encode import Encoder
from worker.engine.forward import Forward
from worker.engine.loop import StepLoop
from worker.engine.model import blank
from worker.engine.modules import Modules
from worker.engine.request import PaintRequest
from worker.engine.slots import Slots

STEPS = (8, 20, 30, 50)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything: a full run takes minutes, a quick one shows that it works.

    Attributes:
        size: of the model's graph.
        side: of the picture, px.
        rows: model rows in a pass.
        jobs: in a saturated run.
        arrivals: in a run with Poisson arrivals.
        turns: counted rounds.
    """

    size: graphs.Size
    side: int
    rows: int
    jobs: int
    arrivals: int
    turns: int


FULL = Scale(size="small", side=64, rows=8, jobs=160, arrivals=48, turns=5)
QUICK = Scale(size="tiny", side=64, rows=8, jobs=8, arrivals=8, turns=1)


class Bench:
    """The model, and what all benchmarks ask of it."""

    def __init__(self, scale: Scale, model: Path | None = None) -> None:
        """Build the model of the scale, or load a folder."""
        self.scale = scale
        if model is None:
            self.pipeline = graphs.build(size=scale.size, tiny_vae=True, sample_size=scale.side // 8, scheduler=_v())
        else:
            loader: Any = graphs.library.AutoPipelineForInpainting
            self.pipeline = loader.from_pretrained(
                str(model), dtype=torch.float32, use_safetensors=True, local_files_only=True
            )
            self.pipeline.set_progress_bar_config(disable=True)
        self.modules = Modules.of(self.pipeline)
        if model is not None:
            self.scale = replace(scale, side=self.modules.size)

    def request(self, number: int, *, steps: int, guidance: float = 1.0, strength: float = 1.0) -> PaintRequest:
        """A request of its own picture and seed."""
        side = self.scale.side
        return PaintRequest(
            picture=np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8),
            mask=np.full((side, side), 255, np.uint8),
            prompt="a grey wall",
            negative_prompt="x",
            steps=steps,
            guidance=guidance,
            strength=strength,
            seed=number,
        )

    def stock(self, request: PaintRequest, *, output: str = "np") -> Any:
        """The stock pipeline's picture."""
        with torch.inference_mode():
            return self.pipeline(
                prompt=request.prompt,
                negative_prompt=request.negative_prompt if request.guided else None,
                image=Image.fromarray(request.picture),
                mask_image=Image.fromarray(request.mask),
                height=self.scale.side,
                width=self.scale.side,
                num_inference_steps=request.steps,
                guidance_scale=request.guidance,
                strength=request.strength,
                generator=torch.Generator("cpu").manual_seed(request.seed),
                output_type=output,
            ).images[0]


def _v() -> Any:
    return graphs.library.DDIMScheduler(
        **graphs.SD_NOISE, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )


def c1_requests(bench: Bench, count: int) -> list[PaintRequest]:
    """The workload of C1: mixed steps, the same whoever builds it."""
    rng = Random(1)  # noqa: S311 - a workload, not a secret
    return [bench.request(n, steps=rng.choice(STEPS)) for n in range(count)]


def c1_throughput(bench: Bench) -> Result:
    """Saturated throughput over mixed steps."""
    requests = c1_requests(bench, bench.scale.jobs)
    arrivals = [Arrival(request, 0.0) for request in requests]
    encoder = Prepared(bench.modules, requests)

    def throughput(serve: Serve) -> Callable[[], float]:
        def run() -> float:
            began = perf_counter()
            serve(arrivals)
            return len(arrivals) / (perf_counter() - began)

        return run

    made = {
        name: throughput(make(bench.modules, encoder, rows=bench.scale.rows))
        for name, make in (("Likeness", in_flight), ("pad to max", pad_to_max), ("keyed dynamic", keyed))
    }
    targets = {"pad to max": 1.6, "keyed dynamic": 0.98}
    notes = [f"{len(requests)} requests at once, {bench.scale.rows} rows in a pass; steps alone."]
    with ExitStack() as stack:
        if litserve_peer.installed():
            quick = bench.scale.size == QUICK.size
            peer = litserve_peer.serving(jobs=len(requests), rows=bench.scale.rows, quick=quick)
            try:
                made["LitServe"] = stack.enter_context(peer)
                targets["LitServe"] = 1.1
            except RuntimeError as error:
                notes.append(f"{error}, so it is not among the peers.")
        else:
            notes.append(litserve_peer.MISSING)
        series = take_turns(made, bench.scale.turns)
    return Result(
        id="C1",
        title=f"saturated throughput, steps of {', '.join(map(str, STEPS))}",
        unit="requests/s",
        series=tuple(series.values()),
        ratios=tuple(
            Ratio(f"Likeness / {name}", ratios(series["Likeness"], series[name]), target)
            for name, target in targets.items()
        ),
        notes=tuple(notes),
    )


def c2_latency(bench: Bench) -> list[Result]:
    """Latency under Poisson arrivals at loads of what the engine can do saturated."""
    rng = Random(2)  # noqa: S311 - a workload, not a secret
    requests = [bench.request(n, steps=rng.choice(STEPS)) for n in range(bench.scale.arrivals)]
    encoder = Prepared(bench.modules, requests)
    ours, peer = (make(bench.modules, encoder, rows=bench.scale.rows) for make in (in_flight, keyed))
    began = perf_counter()
    ours([Arrival(request, 0.0) for request in requests])
    capacity = len(requests) / (perf_counter() - began)
    results = []
    for load in (0.6, 0.8):
        at, arrivals = 0.0, []
        for request in requests:
            at += rng.expovariate(load * capacity)
            arrivals.append(Arrival(request, at))
        found: dict[str, list[list[float]]] = {"Likeness": [], "keyed dynamic": []}
        # Each turn keeps its latencies; the number that take_turns sees is the median.
        take_turns(
            {
                "Likeness": _kept(ours, arrivals, found["Likeness"]),
                "keyed dynamic": _kept(peer, arrivals, found["keyed dynamic"]),
            },
            bench.scale.turns,
        )
        for share, target in ((0.5, 2.0), (0.99, 1.6)):
            series = {
                name: Series(name, tuple(percentile(turn, share) for turn in turns[1:]))
                for name, turns in found.items()
            }
            label = f"p{round(100 * share)}"
            results.append(
                Result(
                    id=f"C2-{label}-{load}",
                    title=f"{label} latency at {load} load, Poisson arrivals",
                    unit="s",
                    series=tuple(series.values()),
                    ratios=(
                        Ratio("keyed dynamic / Likeness", ratios(series["keyed dynamic"], series["Likeness"]), target),
                    ),
                    notes=(f"Load is of the {capacity:.3g} requests/s that Likeness does saturated.",),
                )
            )
    return results


def _kept(serve: Serve, arrivals: list[Arrival], turns: list[list[float]]) -> Callable[[], float]:
    def run() -> float:
        turns.append(serve(arrivals))
        return percentile(turns[-1], 0.5)

    return run


def c3_against_stock(bench: Bench) -> Result:
    """Eight guided requests through the whole engine, against the stock pipeline called for one after another."""
    batch, steps = 8, 20
    requests = [bench.request(n, steps=steps, guidance=5.0) for n in range(batch)]
    loop = StepLoop(bench.modules, Forward(bench.modules), Cap(2 * batch), slots_each=2 * batch)

    def ours() -> float:
        began = perf_counter()
        for job in [loop.submit(request) for request in requests]:
            job.future.result()
        return batch / (perf_counter() - began)

    def stock() -> float:
        began = perf_counter()
        for request in requests:
            bench.stock(request)
        return batch / (perf_counter() - began)

    series = take_turns({"Likeness": ours, "stock diffusers, in a loop": stock}, bench.scale.turns)
    loop.stop()
    forward = Forward(bench.modules)
    sizes = (1, 2, 4, 8, 2 * batch)
    passes = {str(rows): partial(_seconds, forward, bench.modules, rows) for rows in sizes}
    seconds = take_turns(passes, 5)
    found = fit([(rows, seconds[str(rows)].low) for rows in sizes])
    # Guided, one request is two rows: alone t(2) each, together t(16) once.
    allowed = batch * (found.a + 2 * found.b) / (found.a + 2 * batch * found.b)
    gain = ratios(series["Likeness"], series["stock diffusers, in a loop"])
    return Result(
        id="C3",
        title="eight guided requests, the whole path",
        unit="requests/s",
        series=tuple(series.values()),
        ratios=(
            Ratio("Likeness / stock", gain, 2.5),
            Ratio("gain / the gain that t(B) = a + bB allows", tuple(each / allowed for each in gain), 0.9),
        ),
        notes=(
            f"t(B) = {1000 * found.a:.2f} ms + {1000 * found.b:.2f} ms · B, so batching alone allows {allowed:.2f}×.",
            "The engine encodes and decodes on a second thread, stock diffusers on one: both cores are used by it.",
        ),
    )


def _seconds(forward: Forward, modules: Modules, rows: int) -> float:
    inputs = blank(modules, rows)
    with torch.inference_mode():
        began = perf_counter()
        forward(inputs)
        return perf_counter() - began


def c4_overhead(bench: Bench) -> Result:
    """A step of the engine against the bare forward pass on the same rows."""
    count, steps = 4, 10
    requests = [bench.request(n, steps=steps + 1, guidance=5.0) for n in range(count)]
    encoder = Encoder(bench.modules)
    forward = Forward(bench.modules)
    inputs = blank(bench.modules, 2 * count)

    def engine() -> float:
        slots: Slots[int] = Slots(bench.modules, forward, Cap(64))
        slots.admit([(n, start, 5.0) for n, start in enumerate(encoder.encode(requests))])
        slots.step()
        began = perf_counter()
        for _ in range(steps):
            slots.step()
        return 1000 * (perf_counter() - began) / steps

    def bare() -> float:
        with torch.inference_mode():
            began = perf_counter()
            for _ in range(steps):
                forward(inputs)
            return 1000 * (perf_counter() - began) / steps

    series = take_turns({"Likeness": engine, "bare forward pass": bare}, 6 * bench.scale.turns)
    shares = tuple(
        100 * (a - b) / a for a, b in zip(series["Likeness"].values, series["bare forward pass"].values, strict=True)
    )
    return Result(
        id="C4",
        title=f"one step over {count} guided requests",
        unit="ms",
        series=tuple(series.values()),
        ratios=(Ratio("overhead, per cent of the step", shares, 3.0, at_most=True),),
    )


def c6_invariance(bench: Bench) -> Result:
    """A job in a mixed batch against itself alone and against stock diffusers; steps until a cancelled slot is free."""
    requests = [
        bench.request(0, steps=8, guidance=4.0),
        bench.request(1, steps=20),
        bench.request(2, steps=12, guidance=2.0, strength=0.6),
        bench.request(3, steps=8, strength=0.5),
    ]
    together = _latents(bench.modules, requests)
    alone = [_latents(bench.modules, [request])[0] for request in requests]
    stock = [bench.stock(request, output="latent") for request in requests]
    with_itself = tuple(float((a - b).abs().max()) for a, b in zip(together, alone, strict=True))
    with_stock = tuple(float((a - b).abs().max()) for a, b in zip(together, stock, strict=True))
    return Result(
        id="C6",
        title="what a mixed batch changes",
        unit="largest absolute difference of latents",
        series=(Series("Likeness, against itself alone", with_itself), Series("against stock diffusers", with_stock)),
        ratios=(
            Ratio("difference from itself alone", (max(with_itself),), 1e-5, at_most=True),
            Ratio("difference from stock diffusers", (max(with_stock),), 1e-4, at_most=True),
            Ratio("steps until a cancelled slot is free", (_steps_to_free(bench),), 1, at_most=True),
        ),
        notes=("Float32; one value per request: guided or not, full strength or less, 4 to 20 steps.",),
    )


def _latents(modules: Modules, requests: list[PaintRequest]) -> list[torch.Tensor]:
    slots: Slots[int] = Slots(modules, Forward(modules), Cap(64))
    starts = Encoder(modules).encode(requests)
    slots.admit([(n, start, requests[n].guidance) for n, start in enumerate(starts)])
    found: dict[int, torch.Tensor] = {}
    while slots.rows:
        slots.step()
        done = [row for row in slots.rows if row.done]
        found |= {row.job: slots.latent(row) for row in done}
        if done:
            slots.release(done)
    return [found[n] for n in range(len(requests))]


def _steps_to_free(bench: Bench) -> float:
    """Checks that are made after the one in which the caller first wanted to stop."""
    asked: list[float] = []
    loop = StepLoop(bench.modules, Forward(bench.modules), Cap(8), slots_each=8)

    class Stop(Exception):
        pass

    def check(share: float) -> None:
        asked.append(share)
        if len(asked) > 3:  # noqa: PLR2004 - a few steps in
            raise Stop

    request = bench.request(0, steps=50)
    job = loop.submit(PaintRequest(**{name: getattr(request, name) for name in request.__slots__} | {"check": check}))
    job.future.exception()
    loop.stop()
    loop.join(10)
    return float(len(asked) - 4 + loop.active)
