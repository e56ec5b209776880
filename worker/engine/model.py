"""A model made ready: pinned files checked, parts loaded, capacity measured."""

from dataclasses import dataclass
from typing import Any

import torch

from core.settings import ModelSettings
from worker.engine.capacity import Cap, Fit, measure
from worker.engine.forward import Forward, Inputs
from worker.engine.loop import StepLoop
from worker.engine.models import require_pinned
from worker.engine.modules import Modules, load

FULL_TEXT_WIDTH = 768
"""Width of the text that Stable Diffusion 1.5 reads. The small model that is trained here reads 128."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """What `Engine` serves. One loop at a time.

    Attributes:
        modules: its parts.
        steps, guidance, strength, close_strength: what the studio asks for by default.
        mode: eager, compile or graphs.
        attention: auto, or a kernel by name.
        max_rows: model rows in a pass, at most.
        fit: measured at start-up.
        name, digest: as it was pinned; empty for one that was never on disk.
    """

    modules: Modules
    forward: Forward
    cap: Cap
    fit: Fit
    steps: int
    guidance: float
    strength: float
    close_strength: float
    slots_each: int
    name: str = ""
    digest: str = ""

    @property
    def size(self) -> int:
        """Side in px that it was made for."""
        return self.modules.size

    @property
    def full_size(self) -> bool:
        """Whether it can paint clothes: it takes a mask, and reads text as Stable Diffusion and larger models do."""
        return self.modules.inpaint and int(self.modules.unet.config.cross_attention_dim) >= FULL_TEXT_WIDTH

    def serve(self) -> StepLoop:
        """Begin to paint."""
        return StepLoop(self.modules, self.forward, self.cap, slots_each=self.slots_each)

    def describe(self) -> dict[str, Any]:
        """What runs and how."""
        return {
            "digest": self.digest,
            "device": str(self.modules.device),
            "precision": str(self.modules.dtype).removeprefix("torch."),
            "scheduler": self.modules.scheduler.name,
            "family": "sdxl" if self.modules.pooled else "sd",
            "inpaint_channels": 9 if self.modules.inpaint else 4,
            "size": self.size,
            "mode": self.forward.mode,
            "attention": self.forward.attention.describe(),
            "rows": self.cap.rows,
            "seconds_per_pass": self.fit.a,
            "seconds_per_row": self.fit.b,
        }


def open_model(settings: ModelSettings) -> LoadedModel:
    """Check, load and measure the model that the settings name.

    Raises:
        ModelRefused: not pinned, or not what was pinned.
        OSError: no diffusers pipeline.
    """
    if settings.path is None:
        raise ValueError("the settings name no model")
    manifest = require_pinned(settings.path, settings.registry)
    modules = load(settings.path, choice=settings.scheduler, precision=settings.precision)
    return prepare(modules, settings, name=manifest.name, digest=manifest.digest)


def prepare(modules: Modules, settings: ModelSettings, *, name: str = "", digest: str = "") -> LoadedModel:
    """Measure a loaded model and set its cap."""
    forward = Forward(modules, mode=settings.mode, attention=settings.attention)
    fit = measure(lambda rows: forward(blank(modules, rows)), device=modules.device, most=settings.max_rows)
    cap = Cap(fit.cap(settings.max_rows))
    return LoadedModel(
        modules=modules,
        forward=forward,
        cap=cap,
        fit=fit,
        steps=settings.steps,
        guidance=settings.guidance,
        strength=settings.strength,
        close_strength=settings.strength if settings.close_strength is None else settings.close_strength,
        slots_each=max(2, int(cap.rows * settings.tenant_share)),
        name=name,
        digest=digest,
    )


@torch.inference_mode()
def blank(modules: Modules, rows: int, size: int | None = None) -> Inputs:
    """Inputs of noise, to time a pass with.

    Args:
        modules: the model.
        rows: model rows.
        size: side in px; the model's own by default.
    """
    side = (size or modules.size) // modules.factor
    like: dict[str, Any] = {"device": modules.device, "dtype": modules.dtype}
    width = int(modules.unet.config.cross_attention_dim)
    tokens = int(modules.texts[0].tokenizer.model_max_length)
    pooled = ids = None
    if modules.pooled:
        pooled = torch.zeros(rows, int(modules.texts[-1].encoder.config.projection_dim), **like)
        ids = torch.zeros(rows, 5 if modules.aesthetic else 6, **like)
    return Inputs(
        sample=torch.randn(rows, int(modules.unet.config.in_channels), side, side, **like),
        timestep=torch.full((rows,), 500.0, device=modules.device),
        text=torch.zeros(rows, tokens, width, **like),
        pooled=pooled,
        time_ids=ids,
    )
