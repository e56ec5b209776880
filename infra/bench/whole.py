"""C13: photo in, headshot out, on the shipped model, against the bare diffusers call on the same picture."""

import asyncio
from time import perf_counter
from typing import Any

import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image

from core.headshots.styles import get_style
from core.settings import ModelSettings
from infra.bench.engine import Bench
from infra.bench.measure import Ratio, Result, Series, take_turns
from infra.docs.portraits import as_photo, astronaut
from worker.engine.engine import Engine
from worker.engine.model import prepare
from worker.engine.models import SHIPPED
from worker.engine.modules import Modules
from worker.engine.training.card import GUIDANCE, STEPS, STRENGTH
from worker.studio import backdrop, pipeline

SEED = 3


def c13_whole_path(bench: Bench) -> Result:
    """Seconds from the photo's bytes to all files, where they go, and what diffusion alone would take."""
    stock = _shipped()
    settings = ModelSettings(max_rows=2, steps=STEPS, guidance=GUIDANCE, strength=STRENGTH)
    engine = Engine(prepare(Modules.of(stock), settings))
    style, photo = get_style("studio-grey"), as_photo(astronaut())
    size = int(stock.unet.config.sample_size) * 8
    sketch = Image.fromarray(backdrop.sketch(backdrop.draw(style, seed=SEED), size))
    stages: list[dict[str, float]] = []

    def ours() -> float:
        began = perf_counter()
        sitting = pipeline.prepare(photo, check=_go_on)
        made = asyncio.run(pipeline.make(sitting, style, seed=SEED, engine=engine, sandbox=False, check=_go_on))
        stages.append(made.timings)
        return perf_counter() - began

    def bare() -> float:
        began = perf_counter()
        with torch.inference_mode():
            stock(
                prompt=style.prompt,
                negative_prompt=style.negative_prompt,
                image=sketch,
                mask_image=Image.new("L", (size, size), 255),
                height=size,
                width=size,
                num_inference_steps=settings.steps,
                guidance_scale=settings.guidance,
                strength=settings.strength,
                generator=torch.Generator("cpu").manual_seed(SEED),
            )
        return perf_counter() - began

    pipeline.warm()
    series = take_turns({"Likeness, photo to files": ours, "bare diffusers call": bare}, bench.scale.turns)
    engine.close()
    whole, alone = series.values()
    counted = stages[1:]
    spent = {stage: sorted(each[stage] for each in counted)[len(counted) // 2] for stage in counted[0]}
    said = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in sorted(spent.items(), key=lambda item: -item[1]))
    rest = tuple(100 * (a - b) / a for a, b in zip(whole.values, alone.values, strict=True))
    return Result(
        id="C13",
        title=f"photo in, headshot out, one style, the shipped model at {size} px",
        unit="s",
        series=(Series(whole.name, whole.values), Series(alone.name, alone.values)),
        ratios=(Ratio("everything that is not diffusion, per cent of the whole", rest, 25.0, at_most=True),),
        notes=(
            f"Median seconds by stage: {said}.",
            f"{settings.steps} steps at strength {settings.strength}, guidance {settings.guidance}; six files encoded.",
        ),
    )


def _go_on(_stage: str, _share: float) -> None:
    """Nobody stops a benchmark."""


def _shipped() -> Any:
    """The model that comes with Likeness, as anybody would load it."""
    loader: Any = StableDiffusionInpaintPipeline
    made = loader.from_pretrained(
        SHIPPED, local_files_only=True, use_safetensors=True, safety_checker=None, dtype=torch.float32
    )
    made.set_progress_bar_config(disable=True)
    return made
