"""A diffusers inpainting pipeline from a folder. The only file of the worker that imports torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoPipelineForInpainting
from diffusers.utils import logging
from PIL import Image

from worker.engine.attention import choose_attention
from worker.engine.request import OutOfMemory, PaintRequest

MAX_SIZE = 1024
"""Side in px beyond which no backdrop is painted."""


class DiffusionModel:
    """A pipeline, loaded once, painting one batch at a time.

    Attributes:
        size: side in px that the model was made for.
        steps: of the scheduler, per picture.
        guidance: classifier-free guidance scale.
        strength: how far from the style's own backdrop it may go.
        device: `cuda` or `cpu`.
        attention: the kernel in use.
    """

    def __init__(self, path: Path, *, steps: int, guidance: float, strength: float) -> None:
        """Load the folder. No network, and safetensors alone: a pickle could run code.

        Raises:
            OSError: the folder is no diffusers pipeline, or has weights that are not safetensors.
        """
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        self.steps, self.guidance, self.strength = steps, guidance, strength
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        loader: Any = AutoPipelineForInpainting
        self._pipeline = loader.from_pretrained(
            str(path),
            dtype=torch.bfloat16 if self.device == "cuda" else torch.float32,
            use_safetensors=True,
            local_files_only=True,
        ).to(self.device)
        self._pipeline.set_progress_bar_config(disable=True)
        self.attention = choose_attention(self._pipeline, self.device)
        self.size = min(MAX_SIZE, int(self._pipeline.unet.config.sample_size) * int(self._pipeline.vae_scale_factor))

    def paint(self, requests: Sequence[PaintRequest]) -> list[npt.NDArray[np.uint8]]:
        """Paint requests of one shape in one call.

        Args:
            requests: one or more, all with the same `shape`.

        Returns:
            uint8 [H, W, 3] sRGB, one per request, in order.

        Raises:
            OutOfMemory: the batch does not fit the device.
        """
        first = requests[0]
        height, width = first.picture.shape[:2]
        try:
            with torch.inference_mode():
                painted = self._pipeline(
                    prompt=[request.prompt for request in requests],
                    negative_prompt=[request.negative_prompt for request in requests],
                    image=[Image.fromarray(request.picture) for request in requests],
                    mask_image=[Image.fromarray(request.mask) for request in requests],
                    height=height,
                    width=width,
                    num_inference_steps=first.steps,
                    guidance_scale=first.guidance,
                    strength=first.strength,
                    generator=[torch.Generator("cpu").manual_seed(request.seed) for request in requests],
                    output_type="np",
                ).images
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemory from error
        return [np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8) for picture in painted]
