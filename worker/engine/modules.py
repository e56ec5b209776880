"""A model's parts, loaded once from a diffusers folder: U-Net, autoencoder, text encoders, scheduler."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoPipelineForInpainting
from diffusers.utils import logging

from worker.engine.schedule import Choice, Scheduler

MAX_SIZE = 1024
"""Side in px beyond which the engine does not ask a model to paint."""

_INPAINT_CHANNELS, _PLAIN_CHANNELS = 9, 4

Precision = Literal["auto", "float32", "bfloat16", "float16"]


class UnsupportedModel(Exception):
    """The folder holds a pipeline that the engine's step loop cannot run."""


@dataclass(frozen=True, slots=True, eq=False)
class TextEncoder:
    """One tokenizer with its CLIP encoder."""

    tokenizer: Any
    encoder: Any


@dataclass(frozen=True, slots=True, eq=False)
class Modules:
    """A model's parts, on their device.

    Attributes:
        unet: `UNet2DConditionModel`.
        vae: `AutoencoderKL` or `AutoencoderTiny`.
        texts: one encoder for the SD 1.5 family, two for SDXL.
        scheduler: makes plans.
        inpaint: the U-Net takes 9 channels (latent, mask, masked picture). Otherwise it takes 4, and what is outside
            the mask is put back after each step.
        pooled: the U-Net takes pooled text and time ids (SDXL).
        aesthetic: the time ids end with an aesthetic score instead of the target size (SDXL refiner).
        factor: px per latent, along a side.
        size: side in px that the model was made for.
        device: `cuda` or `cpu`.
        dtype: of the U-Net and the text encoders. Latents are kept in float32 whatever it is.
    """

    unet: Any
    vae: Any
    texts: tuple[TextEncoder, ...]
    scheduler: Scheduler
    inpaint: bool
    pooled: bool
    aesthetic: bool
    factor: int
    size: int
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, pipeline: Any, choice: Choice = "model") -> "Modules":
        """Take the parts of a diffusers inpainting pipeline that is already on its device.

        Raises:
            UnsupportedModel: no Stable Diffusion 1.5 or SDXL inpainting pipeline.
            UnsupportedScheduler: see `Scheduler`.
        """
        unet, vae = pipeline.unet, pipeline.vae
        if unet.config.in_channels not in {_INPAINT_CHANNELS, _PLAIN_CHANNELS}:
            raise UnsupportedModel(f"a U-Net of {unet.config.in_channels} channels: 4 and 9 are supported")
        if unet.config.time_cond_proj_dim is not None:
            raise UnsupportedModel("a U-Net that takes the guidance as an embedding is not supported")
        texts = [TextEncoder(pipeline.tokenizer, pipeline.text_encoder)] if pipeline.text_encoder is not None else []
        pooled = unet.config.addition_embed_type == "text_time"
        if pooled:
            texts.append(TextEncoder(pipeline.tokenizer_2, pipeline.text_encoder_2))
        if not texts:
            raise UnsupportedModel("a pipeline without a text encoder")
        for part in (unet, vae, *(text.encoder for text in texts)):
            part.eval().requires_grad_(False)
        factor = int(pipeline.vae_scale_factor)
        return cls(
            unet=unet,
            vae=vae,
            texts=tuple(texts),
            scheduler=Scheduler(pipeline.scheduler, choice),
            inpaint=unet.config.in_channels == _INPAINT_CHANNELS,
            pooled=pooled,
            aesthetic=pooled and bool(pipeline.config.get("requires_aesthetics_score", False)),
            factor=factor,
            size=min(MAX_SIZE, int(unet.config.sample_size) * factor),
            device=unet.device,
            dtype=unet.dtype,
        )


def load(path: Path, *, choice: Choice = "model", precision: Precision = "auto") -> Modules:
    """Load a folder. No network, and safetensors alone: a pickle could run code.

    Args:
        path: of a diffusers inpainting pipeline.
        choice: the scheduler, see `Scheduler`.
        precision: auto is bfloat16 on a GPU that has it and float32 elsewhere.

    Raises:
        OSError: the folder is no diffusers pipeline, or has weights that are not safetensors.
        UnsupportedModel: the step loop cannot run it.
        UnsupportedScheduler: see `Scheduler`.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    loader: Any = AutoPipelineForInpainting
    pipeline = loader.from_pretrained(
        str(path), dtype=getattr(torch, precision), use_safetensors=True, local_files_only=True
    )
    if precision == "float16" and getattr(pipeline.vae.config, "force_upcast", False):
        # Autoencoders that say so overflow in half precision; it costs one decode per picture.
        pipeline.vae.to(torch.float32)
    pipeline.to(device)
    if device.type == "cuda":
        pipeline.unet.to(memory_format=torch.channels_last)
    return Modules.of(pipeline, choice)
