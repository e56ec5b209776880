"""What the studio asks of the engine, and what it gets."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class PaintRequest:
    """One picture to paint.

    Attributes:
        picture: uint8 [H, W, 3] sRGB, where the diffusion starts from. H and W are multiples of 8.
        mask: uint8 [H, W], 255 where the model paints, 0 where the picture stays.
        prompt: what to paint.
        negative_prompt: what to leave out; used only with guidance above 1.
        steps: of the scheduler, 1 or more.
        guidance: classifier-free guidance scale; 1 or less is none.
        strength: 0..1, how far from the picture the diffusion may go; 1 ignores it.
        seed: of this request's own noise, so that neighbours in a batch change nothing.
    """

    picture: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    prompt: str
    negative_prompt: str
    steps: int
    guidance: float
    strength: float
    seed: int

    @property
    def shape(self) -> tuple[int, int, int, float, float]:
        """What requests must share to be painted in one call today: height, width, steps, guidance and strength."""
        return (self.picture.shape[0], self.picture.shape[1], self.steps, self.guidance, self.strength)


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """The picture painted: uint8 [H, W, 3] sRGB, the size of the request's."""

    picture: npt.NDArray[np.uint8]


class OutOfMemory(Exception):
    """The batch does not fit the device; a smaller one may."""
