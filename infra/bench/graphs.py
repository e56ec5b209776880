"""Pipelines of random weights, built from configurations alone: tiny ones for tests, full-size ones for a GPU.

Speed and exactness do not depend on what the weights are worth, so no weights need to be had to measure either.
"""

from typing import Any, Literal

import diffusers
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

Size = Literal["tiny", "small", "full"]
Family = Literal["sd", "sdxl"]

library: Any = diffusers
"""diffusers itself, which types its constructors only in part."""

_TOKENS = {"tiny": 16, "small": 32, "full": 77}

_UNETS: dict[tuple[Family, Size], dict[str, Any]] = {
    ("sd", "tiny"): {"block_out_channels": (16, 32), "attention_head_dim": 8, "cross_attention_dim": 24},
    ("sd", "small"): {"block_out_channels": (32, 64, 96), "attention_head_dim": 4, "cross_attention_dim": 128},
    ("sd", "full"): {"block_out_channels": (320, 640, 1280, 1280), "attention_head_dim": 8, "cross_attention_dim": 768},
    ("sdxl", "tiny"): {
        "block_out_channels": (16, 32),
        "attention_head_dim": (2, 4),
        "transformer_layers_per_block": (1, 2),
        "cross_attention_dim": 48,
        "addition_time_embed_dim": 8,
    },
    ("sdxl", "full"): {
        "block_out_channels": (320, 640, 1280),
        "attention_head_dim": (5, 10, 20),
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "addition_time_embed_dim": 256,
    },
}


def build(
    family: Family = "sd",
    size: Size = "tiny",
    *,
    channels: Literal[4, 9] = 9,
    tiny_vae: bool = False,
    scheduler: Any = None,
    sample_size: int = 8,
    aesthetic: bool = False,
    seed: int = 0,
) -> Any:
    """A stock inpainting pipeline on the CPU, in float32.

    Args:
        family: SD 1.5, or SDXL with its two text encoders and time ids.
        size: of the graph; small exists for SD alone.
        channels: 9 takes mask and masked picture, 4 does not.
        tiny_vae: AutoencoderTiny in place of AutoencoderKL.
        scheduler: DDIM with SD's noise schedule by default.
        sample_size: latent side.
        aesthetic: an SDXL U-Net whose time ids end with an aesthetic score, as the refiner's do.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    texts = _texts(family, size)
    parts: dict[str, Any] = {
        "vae": _tiny_vae() if tiny_vae else _vae(family, size),
        "unet": _unet(family, size, channels, sample_size, time_ids=5 if aesthetic else 6),
        "scheduler": scheduler
        or library.DDIMScheduler(**SD_NOISE, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        "tokenizer": tokenizer(_TOKENS[size]),
        "text_encoder": texts[0],
    }
    if family == "sdxl":
        pipeline = library.StableDiffusionXLInpaintPipeline(
            **parts,
            text_encoder_2=texts[1],
            tokenizer_2=tokenizer(_TOKENS[size]),
            requires_aesthetics_score=aesthetic,
            add_watermarker=False,
        )
    else:
        pipeline = library.StableDiffusionInpaintPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


SD_NOISE: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
"""The noise schedule of both families."""


def tokenizer(tokens: int) -> Any:
    """A tokenizer of letters: enough for prompts to differ."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: place for place, word in enumerate(words)}, merges=[], model_max_length=tokens)


def _unet(family: Family, size: Size, channels: int, sample_size: int, *, time_ids: int) -> Any:
    config = dict(_UNETS[family, size])
    levels = len(config["block_out_channels"])
    if family == "sd":
        # SD attends on every level but the deepest, SDXL on every level but the first.
        down = ["CrossAttnDownBlock2D"] * (levels - 1) + ["DownBlock2D"]
        up = ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * (levels - 1)
    else:
        down = ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * (levels - 1)
        up = ["CrossAttnUpBlock2D"] * (levels - 1) + ["UpBlock2D"]
        pooled = 24 if size == "tiny" else 1280
        config |= {
            "addition_embed_type": "text_time",
            "use_linear_projection": True,
            "projection_class_embeddings_input_dim": time_ids * config["addition_time_embed_dim"] + pooled,
        }
    return library.UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=channels,
        out_channels=4,
        layers_per_block=1 if size == "tiny" else 2,
        norm_num_groups=8 if size == "tiny" else 32,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        **config,
    )


def _vae(family: Family, size: Size) -> Any:
    widths = (8, 16, 16, 16) if size != "full" else (128, 256, 512, 512)
    return library.AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=1 if size != "full" else 2,
        norm_num_groups=8 if size != "full" else 32,
        scaling_factor=0.13025 if family == "sdxl" else 0.18215,
        force_upcast=False,
    )


def _tiny_vae() -> Any:
    return library.AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )


def _texts(family: Family, size: Size) -> list[Any]:
    def config(width: int, layers: int, projection: int) -> CLIPTextConfig:
        return CLIPTextConfig(
            vocab_size=64,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 8 if size != "full" else width // 64,
            max_position_embeddings=_TOKENS[size],
            projection_dim=projection,
            bos_token_id=52,
            eos_token_id=53,
            pad_token_id=53,
        )

    if family == "sd":
        width = {"tiny": 24, "small": 128, "full": 768}[size]
        return [CLIPTextModel(config(width, 2, width))]
    first, second, projection = (24, 24, 24) if size == "tiny" else (768, 1280, 1280)
    return [CLIPTextModel(config(first, 3, first)), CLIPTextModelWithProjection(config(second, 3, projection))]
