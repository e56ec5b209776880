"""What stands before and after the steps: words to embeddings, pictures to latents, latents to pictures.

Draws from a request's generator come in the order of the stock pipelines (image latent, noise, masked image latent), so
that the same seed gives the same picture as there.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.utils.torch_utils import randn_tensor

from worker.engine.modules import Modules
from worker.engine.request import PaintRequest
from worker.engine.schedule import Plan

_KEPT_TEXTS = 512
_HALF = 0.5
_AESTHETIC, _PLAIN = 6.0, 2.5  # the scores that diffusers asks for by default, with and without the prompt


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """embedding [tokens, D] and, for SDXL, pooled [P], in the model's dtype."""

    embedding: torch.Tensor
    pooled: torch.Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """All that a row needs to begin. Latents are float32 [C, H/8, W/8] on the model's device.

    Attributes:
        plan: its way through the noise.
        latent: the first one.
        image: latent of the picture, for U-Nets of 4 channels; else None.
        noise: what was drawn, for U-Nets of 4 channels; else None.
        mask: float32 [1, H/8, W/8], 1 where the model paints.
        masked: latent of the picture with the painted part greyed, for U-Nets of 9 channels; else None.
        texts: with the prompt and, if guided, with the negative prompt.
        time_ids: [n, 6 or 5] float32, alike; None outside SDXL.
    """

    plan: Plan
    latent: torch.Tensor
    image: torch.Tensor | None
    noise: torch.Tensor | None
    mask: torch.Tensor
    masked: torch.Tensor | None
    texts: tuple[Text, ...]
    time_ids: torch.Tensor | None

    @torch.inference_mode()
    def wipe(self) -> None:
        """Overwrite what was made of the picture with zeros."""
        for part in (self.latent, self.image, self.noise, self.masked):
            if part is not None:
                part.zero_()


class Encoder:
    """Encodes and decodes micro-batches. Used from one thread."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._texts: OrderedDict[tuple[str, str], Text] = OrderedDict()

    @torch.inference_mode()
    def encode(self, requests: Sequence[PaintRequest]) -> list[Start]:
        """Make requests of one shape ready for their first step."""
        plans = [self._modules.scheduler.plan(request.steps, request.strength) for request in requests]
        self._encode_missing_texts(requests)
        pictures = torch.stack([_to_tensor(request.picture) for request in requests])
        masks = torch.stack([_mask_of(request.mask) for request in requests])
        generators = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
        blends = not self._modules.inpaint
        # Latents of the pictures are needed to put back what stays, or to start from below full strength.
        wanted = [blends or request.strength < 1 for request in requests]
        images = self._to_latents(pictures, generators, wanted)
        channels, factor = int(self._modules.vae.config.latent_channels), self._modules.factor
        height, width = (side // factor for side in requests[0].shape)
        noises = [
            randn_tensor((1, channels, height, width), generator, self._modules.device, self._modules.dtype)[0].float()
            for generator in generators
        ]
        maskeds: list[torch.Tensor | None] = [None] * len(requests)
        if self._modules.inpaint:
            maskeds = self._to_latents(pictures * (masks < _HALF), generators, [True] * len(requests))
        small = torch.nn.functional.interpolate(masks, size=(height, width)).to(self._modules.device)
        starts = []
        for place, (request, plan) in enumerate(zip(requests, plans, strict=True)):
            image, noise = images[place], noises[place]
            latent = plan.start_noise * noise
            if image is not None and plan.start_image:
                latent += plan.start_image * image
            starts.append(
                Start(
                    plan=plan,
                    latent=latent,
                    image=image if blends else None,
                    noise=noise if blends else None,
                    mask=small[place],
                    masked=maskeds[place],
                    texts=tuple(self._texts[request.tenant, words] for words in _words_of(request)),
                    time_ids=self._time_ids(request),
                )
            )
        while len(self._texts) > _KEPT_TEXTS:
            self._texts.popitem(last=False)
        return starts

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> list[npt.NDArray[np.uint8]]:
        """Pictures of latents.

        Args:
            latents: float32 [N, C, H/8, W/8].

        Returns:
            uint8 [H, W, 3] sRGB each.
        """
        vae = self._modules.vae
        scaled = (latents / vae.config.scaling_factor).to(vae.dtype)
        pictures = vae.decode(scaled, return_dict=False)[0].float()
        pictures = (255 * (pictures / 2 + 0.5).clamp(0, 1)).round().to(torch.uint8)
        return list(pictures.permute(0, 2, 3, 1).contiguous().cpu().numpy())

    def _to_latents(
        self, pictures: torch.Tensor, generators: Sequence[torch.Generator], wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """Scaled latents float32 [C, H/8, W/8] of those pictures [N, 3, H, W] that are wanted; None for the others."""
        places = [place for place, want in enumerate(wanted) if want]
        latents: list[torch.Tensor | None] = [None] * len(wanted)
        if not places:
            return latents
        vae = self._modules.vae
        chosen = pictures[places].to(self._modules.device, self._modules.dtype).to(vae.dtype)
        encoded = vae.encode(chosen)
        for row, place in enumerate(places):
            latent = _drawn(encoded, row, generators[place])
            latents[place] = (vae.config.scaling_factor * latent).to(self._modules.dtype).float()
        return latents

    def _encode_missing_texts(self, requests: Sequence[PaintRequest]) -> None:
        """Bring every prompt's embedding into the cache. A tenant never meets another's entry, not even in time."""
        missing = list(
            dict.fromkeys(
                (request.tenant, words)
                for request in requests
                for words in _words_of(request)
                if (request.tenant, words) not in self._texts
            )
        )
        for request in requests:
            for words in _words_of(request):
                if (request.tenant, words) in self._texts:
                    self._texts.move_to_end((request.tenant, words))
        if missing:
            texts = self._encode_texts([words for _, words in missing])
            self._texts.update(zip(missing, texts, strict=True))

    def _encode_texts(self, prompts: list[str]) -> list[Text]:
        parts, pooled = [], None
        for text in self._modules.texts:
            tokens = text.tokenizer(
                prompts,
                padding="max_length",
                max_length=text.tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )
            ids = tokens.input_ids.to(self._modules.device)
            if self._modules.pooled:
                # SDXL reads the last layer but one of both encoders, and the second one's pooled text.
                encoded = text.encoder(ids, output_hidden_states=True)
                parts.append(encoded.hidden_states[-2])
                pooled = encoded[0]
            else:
                masked = getattr(text.encoder.config, "use_attention_mask", False)
                mask = tokens.attention_mask.to(self._modules.device) if masked else None
                parts.append(text.encoder(ids, attention_mask=mask)[0])
        embeddings = torch.cat(parts, dim=-1).to(self._modules.dtype)
        return [
            Text(embeddings[row], pooled[row].to(self._modules.dtype) if pooled is not None else None)
            for row in range(len(prompts))
        ]

    def _time_ids(self, request: PaintRequest) -> torch.Tensor | None:
        if not self._modules.pooled:
            return None
        size = [float(side) for side in request.shape]
        tails = [[_AESTHETIC], [_PLAIN]] if self._modules.aesthetic else [size, size]
        lines = [[*size, 0.0, 0.0, *tail] for tail in tails[: request.rows]]
        return torch.tensor(lines, dtype=torch.float32).to(self._modules.device)


def _words_of(request: PaintRequest) -> tuple[str, ...]:
    return (request.prompt, request.negative_prompt) if request.guided else (request.prompt,)


def _to_tensor(picture: npt.NDArray[np.uint8]) -> torch.Tensor:
    """uint8 [H, W, 3] to float32 [3, H, W], -1..1."""
    return torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1) * 2 - 1


def _mask_of(mask: npt.NDArray[np.uint8]) -> torch.Tensor:
    """uint8 [H, W] to float32 [1, H, W], 0 or 1."""
    return (torch.from_numpy(mask.astype(np.float32) / 255) >= _HALF).float()[None]


def _drawn(encoded: Any, row: int, generator: torch.Generator) -> torch.Tensor:
    """One row's latent [C, H/8, W/8]: an `AutoencoderKL` draws it, an `AutoencoderTiny` just gives it."""
    if hasattr(encoded, "latent_dist"):
        parameters = encoded.latent_dist.parameters[row : row + 1]
        drawn: torch.Tensor = DiagonalGaussianDistribution(parameters).sample(generator)[0]
        return drawn
    latent: torch.Tensor = encoded.latents[row]
    return latent
