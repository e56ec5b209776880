"""Trains the small inpainting model from scratch.

The model refines and does not invent: the studio hands it the style's own sketch under some noise, so it is trained on
the moments that noise of `Plan.strength` and less reaches, and on no other.

One run is: the first part on latents of 32×32, where colour is learnt cheaply, the rest on 64×64, the native 512 px.
Learning rate and stage follow the share of the run that is done. With `--steps` that share is counted in steps and a
run repeats exactly from its seed on one kind of device; with `--minutes` it is counted in time, and the number of steps
that fitted is in the state. Killed at any moment, a run goes on from its last checkpoint, on this device or another. On
a GPU the passes run in bfloat16 under autocast, the weights stay in float32, and the next batch is made meanwhile.
"""

import copy
import json
import math
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from core.headshots.styles import CATALOGUE
from worker.engine.training.autoencoder import area_average, build_autoencoder
from worker.engine.training.batches import Batch, Batches
from worker.engine.training.model import Parts, build_scheduler, build_text, build_tokenizer, build_unet, save_pipeline
from worker.engine.training.sample import encode_text, paint, write_sheet
from worker.studio import backdrop

_STAGES = ((0.25, 32, 8), (1.0, 64, 4))  # until this share of the run: latent size, batch on a CPU
_LEAST_WEIGHT, _MOST_WEIGHT = 0.5, 5.0  # of the signal-to-noise ratio (arXiv:2303.09556): fine detail counts too
_PEAK_RATE = 1e-3
_WARM_STEPS = 150
_EMA = 0.998
_LONGEST_STEP = 10.0  # seconds
_SHEET_SEED = 10_007  # of sketches that no batch holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is asked for. Exactly one of minutes and steps is set.

    Attributes:
        out: folder for checkpoints, sheets and the pipeline.
        seed: of weights, plates and noise.
        minutes, steps: how long.
        threads: of the CPU.
        device: `cpu`, `cuda` or `cuda:N`.
        batch: how many times the small batch that a CPU bears.
        strength: 0..1, the most noise that sketches will be put under.
    """

    out: Path
    seed: int
    minutes: float | None = None
    steps: int | None = None
    threads: int = 2
    device: str = "cpu"
    batch: int = 1
    strength: float = 0.4


@dataclass(slots=True)
class Progress:
    """How far a run is."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)

    def share(self, plan: Plan) -> float:
        """The share of the plan that is done, 0..1."""
        done = self.step / plan.steps if plan.steps else self.seconds / (60 * (plan.minutes or 1.0))
        return min(1.0, done)


class Run:
    """One training run: the modules, their averages, the optimiser, and how far it is."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.device = torch.device(plan.device)
        self.tokenizer = build_tokenizer()
        self.modules: Any = nn.ModuleDict(
            {"unet": build_unet(seed=plan.seed), "text": build_text(self.tokenizer, seed=plan.seed)}
        ).to(self.device)
        self.average: Any = copy.deepcopy(self.modules).requires_grad_(requires_grad=False)
        self.optimiser = torch.optim.AdamW(self.modules.parameters(), lr=_PEAK_RATE, betas=(0.9, 0.99), eps=1e-7)
        self.batches = Batches(seed=plan.seed)
        self.signal = build_scheduler().alphas_cumprod.sqrt()
        self.progress = Progress()
        self._ahead: tuple[tuple[int, int, int], Future[Batch]] | None = None
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def parts(self) -> Parts:
        """What paints, with the averaged weights."""
        return Parts(self.average["unet"], self.average["text"], self.tokenizer, build_autoencoder().to(self.device))

    def step(self) -> float:
        """One optimiser step; returns its loss."""
        share = self.progress.share(self.plan)
        _, size, count = next(stage for stage in _STAGES if share <= stage[0])
        for group in self.optimiser.param_groups:
            group["lr"] = _rate(share, self.progress.step)
        loss: Any = self.loss(self.progress.step, count=count * self.plan.batch, size=size)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
        self.optimiser.step()
        self.progress.step += 1
        decay = min(_EMA, (1 + self.progress.step) / (10 + self.progress.step))
        _blend(self.average.parameters(), self.modules.parameters(), decay)
        return float(loss.detach())

    def loss(self, step: int, *, count: int, size: int) -> torch.Tensor:
        """Weighted squared error of the clean latents, on the batch, noise and moments of that step."""
        batch = self._batch(step, count=count, size=size)
        chance = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + step)
        noise = torch.randn(batch.latents.shape, generator=chance).to(self.device)
        spread = (torch.arange(count) + torch.rand(count, generator=chance)) / count
        # The noisy end, where colour is decided, comes up more often.
        moments = (1000 * self.plan.strength * spread**0.75).long().clamp(max=999)
        clean = self.signal[moments].reshape(-1, 1, 1, 1)
        weight = (clean**2 / (1 - clean**2).clamp(min=1e-6)).clamp(_LEAST_WEIGHT, _MOST_WEIGHT).to(self.device)
        clean, latents = clean.to(self.device), batch.latents.to(self.device)
        noisy = (1 - clean**2).sqrt()
        seen = torch.cat([clean * latents + noisy * noise, batch.condition.to(self.device)], dim=1)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            words = encode_text(batch.captions, self.tokenizer, self.modules["text"])
            guess = self.modules["unet"](seen, moments.to(self.device), words).sample
        return torch.as_tensor((weight * (guess.float() - latents) ** 2).mean())

    def _batch(self, step: int, *, count: int, size: int) -> Batch:
        """The batch of that step. On a GPU the next one is made while this one is learnt from."""
        wanted = (step, count, size)
        kept, self._ahead = self._ahead, None
        batch = kept[1].result() if kept is not None and kept[0] == wanted else None
        if batch is None:
            batch = self.batches.batch(step, count=count, size=size)
        if self.device.type == "cuda":
            ahead = self._maker.submit(self.batches.batch, step + 1, count=count, size=size)
            self._ahead = ((step + 1, count, size), ahead)
        return batch

    def save(self) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {
            "modules": self.modules.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": [self.progress.step, self.progress.seconds, self.progress.losses],
            "seed": self.plan.seed,
        }
        fresh = self.plan.out / "checkpoint.new"
        torch.save(state, fresh)
        fresh.replace(self.plan.out / "checkpoint.pt")

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one.

        Raises:
            ValueError: the checkpoint is of another seed.
        """
        path = self.plan.out / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location=self.device)
        if state["seed"] != self.plan.seed:
            raise ValueError(f"The checkpoint was made from seed {state['seed']}, not {self.plan.seed}.")
        self.modules.load_state_dict(state["modules"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(*state["progress"])


def train(plan: Plan, *, checkpoint_seconds: float = 120, sheet_seconds: float = 480) -> Path:
    """Run a plan to its end; returns the folder of the finished pipeline."""
    torch.set_num_threads(plan.threads)
    plan.out.mkdir(parents=True, exist_ok=True)
    run = Run(plan)
    run.resume()
    kept = sheeted = last = time.monotonic()
    while run.progress.share(plan) < 1:
        loss = run.step()
        now = time.monotonic()
        run.progress.seconds += min(now - last, _LONGEST_STEP)  # a machine that slept did not train
        last = now
        run.progress.losses.append(loss)
        if run.progress.step % 25 == 0:
            _say(run)
        if now - kept > checkpoint_seconds:
            run.save()
            kept = now
        if now - sheeted > sheet_seconds:
            draw_sheet(run)
            last = sheeted = time.monotonic()
    run.save()
    draw_sheet(run)
    folder = plan.out / "pipeline"
    parts = copy.deepcopy(run.parts())
    save_pipeline(folder, Parts(parts.unet.cpu(), parts.text.cpu(), parts.tokenizer, parts.vae.cpu()))
    (plan.out / "run.json").write_text(
        json.dumps(
            {
                "seed": plan.seed,
                "device": plan.device,
                "batch": plan.batch,
                "strength": plan.strength,
                "steps": run.progress.step,
                "minutes": round(run.progress.seconds / 60, 1),
                "loss": float(np.mean(run.progress.losses[-200:])),
            }
        )
    )
    return folder


def draw_sheet(run: Run, *, steps: int = 20) -> None:
    """Write the loss curve and a sheet: each style's sketch, and under it what the averaged weights make of it."""
    styles = tuple(CATALOGUE.values())
    sketches = [area_average(backdrop.draw(style, seed=_SHEET_SEED), 2) for style in styles]
    painted = [
        paint(
            [style.prompt],
            run.parts(),
            seed=7,
            steps=steps,
            sketches=[sketch],
            strength=run.plan.strength,
        )[0]
        for style, sketch in zip(styles, sketches, strict=True)
    ]
    columns = 8
    rows = [part[at : at + columns] for at in range(0, len(styles), columns) for part in (sketches, painted)]
    sheet = [picture for row in rows for picture in row]
    write_sheet(run.plan.out / f"sheet-{run.progress.step:06d}.png", sheet, columns=columns)
    _draw_curve(run.plan.out / "loss.png", run.progress.losses)


def _rate(share: float, step: int) -> float:
    """Warm up, hold, then fall to nothing along a cosine over the run."""
    return _PEAK_RATE * min(1.0, (step + 1) / _WARM_STEPS) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def _blend(averages: Iterable[torch.Tensor], values: Iterable[torch.Tensor], decay: float) -> None:
    with torch.no_grad():
        torch._foreach_lerp_(list(averages), list(values), 1 - decay)


def _say(run: Run) -> None:
    recent = run.progress.losses[-25:]
    share = run.progress.share(run.plan)
    print(  # noqa: T201 (a command's progress)
        f"step {run.progress.step} {share:6.1%} loss {sum(recent) / len(recent):.4f} {run.progress.seconds:.0f} s",
        flush=True,
    )


def _draw_curve(path: Path, losses: list[float], *, width: int = 900, height: int = 360) -> None:
    """The loss as a curve on logarithmic axes of 0.01..2, smoothed over a hundredth of the run."""
    window = max(1, len(losses) // 100)
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    x = np.linspace(50, width - 10, len(smooth))
    y = (1 - (np.log10(np.clip(smooth, 0.01, 2)) + 2) / (math.log10(2) + 2)) * (height - 20) + 10
    page = np.full((height, width, 3), 255, np.uint8)
    for level in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0):
        at = round((1 - (math.log10(level) + 2) / (math.log10(2) + 2)) * (height - 20) + 10)
        cv2.line(page, (50, at), (width - 10, at), (220, 220, 220), 1)
        cv2.putText(page, str(level), (5, at + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (90, 90, 90), 1, cv2.LINE_AA)
    points = np.stack([x, y], axis=1).round().astype(np.int32)
    cv2.polylines(
        page, [points.reshape(-1, 1, 2)], isClosed=False, color=(160, 80, 30), thickness=2, lineType=cv2.LINE_AA
    )
    cv2.imwrite(str(path), page)
