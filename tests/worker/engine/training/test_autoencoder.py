import itertools

import numpy as np
import torch
from torch.nn import functional

from worker.engine.training.autoencoder import build_autoencoder, mix
from worker.engine.training.draw import draw
from worker.engine.training.grammar import scenes


def _plates(size: int) -> torch.Tensor:
    pictures = [
        draw(scene, seed=number, size=size).picture for number, scene in enumerate(itertools.islice(scenes(0), 8))
    ]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def test_the_encoder_is_an_exact_area_average() -> None:
    plates = _plates(128)
    latents = build_autoencoder().encode(plates * 2 - 1).latents * 32
    assert (latents - mix(functional.avg_pool2d(plates, 8))).abs().max() < 1e-4


@torch.no_grad()
def test_the_decoder_is_a_low_pass_and_three_doublings_to_the_very_border() -> None:
    small = functional.avg_pool2d(_plates(128), 8)
    binomial = torch.tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(binomial, binomial).expand(3, 1, 3, 3)
    expected = functional.conv2d(functional.pad(small, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
    for _ in range(3):
        expected = functional.interpolate(expected, scale_factor=2, mode="bilinear")
    decoded = (build_autoencoder().decode(mix(small) / 32).sample + 1) / 2
    assert (decoded - expected).abs().max() < 1e-3


@torch.no_grad()
def test_a_plate_survives_the_round_trip() -> None:
    plates = _plates(256)
    vae = build_autoencoder().half().float()
    again = (vae.decode(vae.encode(plates * 2 - 1).latents).sample + 1) / 2
    assert (again - plates).abs().mean() < 0.01
