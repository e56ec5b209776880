"""Builds the parts of the small inpainting model, as stock diffusers and transformers modules."""

import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from worker.engine.training.autoencoder import mix
from worker.engine.training.grammar import COLOURS, srgb, vocabulary

PROMPT_TOKENS = 32
TEXT_WIDTH = 128
START, END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What paints: a `UNet2DConditionModel`, a `CLIPTextModel`, its tokenizer and an `AutoencoderTiny`."""

    unet: Any
    text: Any
    tokenizer: CLIPTokenizer
    vae: Any


def build_unet(*, seed: int) -> Any:
    """The denoiser: 9 channels in (latents, mask, masked picture), clean latents out."""
    torch.manual_seed(seed)
    constructor: Any = UNet2DConditionModel
    return constructor(
        sample_size=64,
        in_channels=9,
        out_channels=4,
        block_out_channels=(32, 48, 96, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def build_text(tokenizer: CLIPTokenizer, *, seed: int) -> Any:
    """The `CLIPTextModel`. Each colour's word starts out knowing its colour: three of its numbers are its latents."""
    torch.manual_seed(seed)
    text: Any = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=256,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=PROMPT_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    with torch.no_grad():
        table = text.get_input_embeddings().weight
        table.normal_(std=0.3)
        for name in COLOURS:
            (token,) = tokenizer(name, add_special_tokens=False)["input_ids"]
            table[token, :3] = mix(torch.tensor(srgb(name)).reshape(1, 3, 1, 1)).flatten()[1:]
    return text


def build_tokenizer() -> CLIPTokenizer:
    """A tokenizer whose byte pairs were merged until every word of the grammar is one token.

    The tokenizers library breaks ties by hash order, so that its numbers differ from run to run; these do not.
    """
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789,.-#"]
    vocab = [*letters, *(letter + _WORD_END for letter in letters)]
    words = sorted({word.strip(",") for word in vocabulary()})
    spellings = [[*word[:-1], word[-1] + _WORD_END] for word in words]
    merges: Any = []
    while pairs := Counter(pair for spelling in spellings for pair in itertools.pairwise(spelling)):
        left, right = min(pairs, key=lambda pair: (-pairs[pair], vocab.index(pair[0]), vocab.index(pair[1])))
        merges.append((left, right))
        vocab.append(left + right)
        spellings = [_merge(spelling, left, right) for spelling in spellings]
    vocab += [START, END]
    return CLIPTokenizer(
        vocab={entry: number for number, entry in enumerate(vocab)}, merges=merges, model_max_length=PROMPT_TOKENS
    )


def _merge(spelling: list[str], left: str, right: str) -> list[str]:
    merged: list[str] = []
    for part in spelling:
        if part == right and merged and merged[-1] == left:
            merged[-1] = left + right
        else:
            merged.append(part)
    return merged


def build_scheduler() -> Any:
    """The noise schedule, with no signal at all at the last step (arXiv:2305.08891).

    The U-Net predicts the clean latents. Backdrops are smooth, and a network that says what is there leaves no speckle;
    one that predicts v has to copy every grain of the noise to take it away.
    """
    constructor: Any = DDIMScheduler
    return constructor(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.02,
        prediction_type="sample",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def save_pipeline(folder: Path, parts: Parts) -> None:
    """Write a stock `StableDiffusionInpaintPipeline` folder with float16 safetensors. The parts become float16."""
    constructor: Any = StableDiffusionInpaintPipeline
    pipeline = constructor(
        vae=parts.vae.half(),
        text_encoder=parts.text.half(),
        tokenizer=parts.tokenizer,
        unet=parts.unet.half(),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
