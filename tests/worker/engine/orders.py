"""Requests, the stock pipeline as the oracle, and slots run by hand, so that a test decides who arrives when."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image

from worker.engine.capacity import Cap
from worker.engine.encode import Encoder
from worker.engine.forward import Forward
from worker.engine.modules import Modules
from worker.engine.request import PaintRequest
from worker.engine.slots import Slots

SIDE = 64


def request(number: int = 0, **changes: Any) -> PaintRequest:
    """A request whose picture, mask, prompt and seed differ by its number."""
    rng = np.random.default_rng(number)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[: 24 + 8 * (number % 4), 8 * (number % 3) :] = 255
    made = PaintRequest(
        picture=rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8),
        mask=mask,
        prompt=f"a {'bcdfghjk'[number % 8]} wall",
        negative_prompt="x",
        steps=6,
        guidance=4.0,
        strength=1.0,
        seed=number,
    )
    return replace(made, **changes)


def oracle(pipeline: Any, asked: PaintRequest) -> torch.Tensor:
    """The stock pipeline, alone: latents float32 [4, H/8, W/8]."""
    extra: dict[str, Any] = {}
    if not isinstance(pipeline, StableDiffusionInpaintPipeline):
        extra["prompt_2"] = asked.prompt
    with torch.inference_mode():
        made = pipeline(
            prompt=asked.prompt,
            negative_prompt=asked.negative_prompt if asked.guided else None,
            image=Image.fromarray(asked.picture),
            mask_image=Image.fromarray(asked.mask),
            height=asked.shape[0],
            width=asked.shape[1],
            num_inference_steps=asked.steps,
            guidance_scale=asked.guidance,
            strength=asked.strength,
            generator=torch.Generator("cpu").manual_seed(asked.seed),
            output_type="latent",
            **extra,
        )
    latents: torch.Tensor = made.images[0]
    return latents


def paint(
    modules: Modules, requests: Sequence[PaintRequest], *, arrivals: Mapping[int, int] | None = None, rows: int = 64
) -> list[torch.Tensor]:
    """Latents of requests, each [4, H/8, W/8], that arrive before the tick named in `arrivals` (0 by default)."""
    encoder = Encoder(modules)
    slots: Slots[int] = Slots(modules, Forward(modules), Cap(rows))
    waiting = {number: (arrivals or {}).get(number, 0) for number in range(len(requests))}
    latents: dict[int, torch.Tensor] = {}
    tick = 0
    while waiting or slots.rows:
        now = [number for number, when in waiting.items() if when <= tick]
        if now:
            for number in now:
                del waiting[number]
            starts = [encoder.encode([requests[number]])[0] for number in now]
            slots.admit([(n, start, requests[n].guidance) for n, start in zip(now, starts, strict=True)])
        if slots.rows:
            failed = slots.step()
            assert not failed, failed
            done = [row for row in slots.rows if row.done]
            latents |= {row.job: slots.latent(row) for row in done}
            if done:
                slots.release(done)
        tick += 1
    return [latents[number] for number in range(len(requests))]
