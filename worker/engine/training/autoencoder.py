"""The autoencoder of the small model: constructed, not trained.

Backdrops are out of focus, so an 8× area average loses nothing that is to be seen in them, and its inverse can be
written down: a binomial low-pass, then three bilinear doublings (together a quadratic B-spline). Written down, it has
no speckle of its own, no seams and no training time. The latent channels are luma, twice, and the two colour
differences, each scaled to about unit deviation over the drawn plates.
"""

import itertools
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray

# latent = (MIX · (rgb − 0.5) − SHIFT) / DEVIATION; shift and deviation are rounded from those of drawn plates.
_MIX = np.array([[0.299, 0.587, 0.114], [0.299, 0.587, 0.114], [-0.299, -0.587, 0.886], [0.701, -0.587, -0.114]])
_DEVIATION = np.array([0.25, 0.25, 0.11, 0.11])
_SHIFT = np.array([-0.05, -0.05, -0.05, 0.04])
# The decoder clamps its input by 3·tanh(z/3), a straight line to 1e-4 for the |z| < 0.15 that this scale leaves.
_SCALE = 32.0
# Colours travel through the decoder's ReLUs as 0.15 + 0.7·rgb, so that neither end is cut.
_LIFT, _SPAN = 0.15, 0.7


def mix(pictures: torch.Tensor) -> torch.Tensor:
    """The scaled latents of pictures already averaged over 8×8 pixels: float32 [N, 3, h, w] in 0..1 → [N, 4, h, w]."""
    weight = torch.tensor(_MIX / _DEVIATION[:, None], dtype=torch.float32)
    offset = torch.tensor((_MIX.sum(1) * 0.5 + _SHIFT) / _DEVIATION, dtype=torch.float32)
    return torch.einsum("oc,nchw->nohw", weight, pictures) - offset[:, None, None]


def build_autoencoder() -> Any:
    """The constructed `AutoencoderTiny`: 8× area average in, B-spline out. Exact to the picture's borders."""
    constructor: Any = AutoencoderTiny
    vae = constructor(
        encoder_block_out_channels=(3, 3, 3, 3),
        decoder_block_out_channels=(28, 28, 28, 28),
        num_encoder_blocks=(0, 0, 0, 0),
        num_decoder_blocks=(2, 1, 1, 0),
        scaling_factor=_SCALE,
    )
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.zero_()
        _write_encoder(vae.encoder.layers)
        _write_decoder(vae.decoder.layers)
    return vae.requires_grad_(requires_grad=False)


def _write_encoder(layers: Any) -> None:
    first, *halvings, last = layers
    for colour in range(3):
        first.weight[colour, colour, 1, 1] = 1.0
        for halving in halvings:
            halving.weight[colour, colour, 1:, 1:] = 0.25
    gain = 1 / (_DEVIATION * _SCALE)
    last.weight[:, :, 1, 1] = torch.tensor(_MIX * gain[:, None], dtype=torch.float32)
    last.bias[:] = torch.tensor(-(_MIX.sum(1) * 0.5 + _SHIFT) * gain, dtype=torch.float32)


# In the decoder, channel 0 is one everywhere. Then come nine channels for each colour: the picture itself, and copies
# that are the picture on one border (or corner) and zero elsewhere. Convolutions pad with zeros; the copies put back,
# through their own one-sided kernels, exactly what the padding took, as if the border had been repeated.
_SIDES = (0, -1, 1)  # nowhere in particular, on the near border, on the far border
_PLACES = tuple(itertools.product(_SIDES, _SIDES))


def _slot(colour: int, place: tuple[int, int]) -> int:
    return 1 + 9 * colour + _PLACES.index(place)


def _write_decoder(layers: Any) -> None:
    first, _, blur, copy_1, _, double_1, copy_2, _, double_2, copy_3, _, double_3, last = layers
    unmix = np.linalg.pinv(_MIX)
    weight = unmix * _DEVIATION * _SCALE * _SPAN
    bias = (unmix @ (_MIX.sum(1) * 0.5 + _SHIFT)) * _SPAN + _LIFT
    first.bias[0] = 1.0
    for colour in range(3):
        first.weight[_slot(colour, (0, 0)), :, 1, 1] = torch.tensor(weight[colour], dtype=torch.float32)
        first.bias[_slot(colour, (0, 0))] = float(bias[colour])
    _write_gates(blur.conv)
    _write_blur(blur.conv[4])
    for block in (copy_1, copy_2, copy_3):
        _write_gates(block.conv)
        _write_copies(block.conv[4])
    for doubling in (double_1, double_2, double_3):
        _write_doubling(doubling)
    for colour in range(3):
        last.weight[colour, _slot(colour, (0, 0)), 1, 1] = 1 / _SPAN
        last.bias[colour] = -_LIFT / _SPAN


def _write_gates(block: Any) -> None:
    """Fill the first two convolutions of a block: find the borders, then gate the picture by them.

    relu(x + border − 1) is x on the border and 0 elsewhere, for x in 0..1.
    """
    find, gate = block[0], block[2]
    marks = {(-1, 0): 1, (1, 0): 2, (0, -1): 3, (0, 1): 4}
    for (down, across), mark in marks.items():
        find.weight[mark, 0, 1, 1] = 1.0
        find.weight[mark, 0, 1 + down, 1 + across] = -1.0
    for colour in range(3):
        find.weight[5 + colour, _slot(colour, (0, 0)), 1, 1] = 1.0
        for down, across in _PLACES:
            slot = _slot(colour, (down, across))
            gate.weight[slot, 5 + colour, 1, 1] = 1.0
            borders = [marks[side] for side in ((down, 0), (0, across)) if side != (0, 0)]
            for mark in borders:
                gate.weight[slot, mark, 1, 1] = 1.0
            gate.bias[slot] = -float(len(borders))


def _write_copies(convolution: Any) -> None:
    for colour in range(3):
        for place in _PLACES[1:]:
            convolution.weight[_slot(colour, place), _slot(colour, place), 1, 1] = 1.0


def _write_blur(convolution: Any) -> None:
    """A binomial low-pass less the identity, for a block adds its input back."""
    kernels = {0: (0.25, 0.5, 0.25), -1: (0.0, 0.25, 0.0), 1: (0.0, 0.25, 0.0)}
    _write_separable(convolution, kernels)
    for colour in range(3):
        convolution.weight[_slot(colour, (0, 0)), _slot(colour, (0, 0)), 1, 1] -= 1.0


def _write_doubling(convolution: Any) -> None:
    """After nearest doubling, a binomial makes it bilinear; a border copy spans two pixels, so its kernel leans in."""
    convolution.weight[0, 0, 1, 1] = 1.0
    _write_separable(convolution, {0: (0.25, 0.5, 0.25), -1: (0.0, 0.0, 0.25), 1: (0.25, 0.0, 0.0)})


def _write_separable(convolution: Any, kernels: dict[int, tuple[float, float, float]]) -> None:
    for colour in range(3):
        for down, across in _PLACES:
            kernel = np.outer(kernels[down], kernels[across])
            target = convolution.weight[_slot(colour, (0, 0)), _slot(colour, (down, across))]
            target.copy_(torch.tensor(kernel, dtype=torch.float32))


def area_average(picture: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Mean over factor×factor blocks: float32 [H, W, C] → [H/factor, W/factor, C]."""
    height, width, channels = picture.shape
    blocks = picture.reshape(height // factor, factor, width // factor, factor, channels)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)
