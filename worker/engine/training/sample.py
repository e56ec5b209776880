"""Paints backdrops with the model, and lays them out on sheets to look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from worker.engine.training.autoencoder import area_average, mix
from worker.engine.training.model import PROMPT_TOKENS, Parts, build_scheduler


def encode_text(captions: Sequence[str], tokenizer: Any, text: Any) -> torch.Tensor:
    """Captions as the U-Net reads them: float32 [N, tokens, width]."""
    tokens = tokenizer(
        list(captions), padding="max_length", max_length=PROMPT_TOKENS, truncation=True, return_tensors="pt"
    )
    return torch.as_tensor(text(tokens.input_ids.to(text.device)).last_hidden_state)


@torch.no_grad()
def paint(
    captions: Sequence[str],
    parts: Parts,
    *,
    seed: int,
    size: int = 512,
    steps: int = 20,
    guidance: float = 2.0,
    sketches: Sequence[NDArray[np.float32]] | None = None,
    strength: float = 1.0,
) -> NDArray[np.float32]:
    """One backdrop per caption, everything masked: float32 [N, size, size, 3], sRGB in 0..1. Deterministic DDIM.

    Args:
        captions: what to paint.
        parts: what paints, all on one device.
        seed: of the noise, which is drawn on the CPU: the same everywhere.
        size: px.
        steps: of the scheduler, at full strength.
        guidance: classifier-free guidance scale.
        sketches: what each begins from: float32 [size, size, 3], sRGB in 0..1. None begins from noise alone.
        strength: 0..1, how far from its sketch a picture may go.
    """
    device = parts.unet.device
    scheduler = build_scheduler()
    scheduler.set_timesteps(steps)
    moments = scheduler.timesteps[steps - max(1, int(steps * strength)) :]
    count, side = len(captions), size // 8
    words = encode_text([*captions, *[""] * count], parts.tokenizer, parts.text)
    latents = torch.randn(count, 4, side, side, generator=torch.Generator().manual_seed(seed))
    if sketches is not None:
        small = np.stack([area_average(sketch, 8) for sketch in sketches]).transpose(0, 3, 1, 2)
        latents = scheduler.add_noise(mix(torch.from_numpy(np.ascontiguousarray(small))), latents, moments[:1])
    latents = latents.to(device)
    hidden = mix(torch.full((2 * count, 3, side, side), 0.5))
    condition = torch.cat([torch.ones(2 * count, 1, side, side), hidden], dim=1).to(device)
    for moment in moments:
        guess = parts.unet(torch.cat([torch.cat([latents] * 2), condition], dim=1), moment, words).sample
        said, unsaid = guess.chunk(2)
        latents = scheduler.step(unsaid + guidance * (said - unsaid), moment, latents).prev_sample
    pictures = parts.vae.decode(latents / parts.vae.config.scaling_factor).sample
    return np.asarray(((pictures + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).cpu(), dtype=np.float32)


def write_sheet(path: Path, pictures: Sequence[NDArray[np.float32]], *, columns: int) -> None:
    """Write pictures of one size as a PNG, row by row."""
    blank = np.zeros_like(pictures[0])
    padded = [*pictures, *[blank] * (-len(pictures) % columns)]
    rows = [np.concatenate(padded[at : at + columns], axis=1) for at in range(0, len(padded), columns)]
    levels = np.rint(np.concatenate(rows, axis=0)[..., ::-1] * 255).astype(np.uint8)
    cv2.imwrite(str(path), levels)
