"""What the studio asks of the engine, what it gets, and how it can be refused."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Check = Callable[[float], None]
"""Called from the engine's thread before each step with the share done, 0..1. Raises to stop: the slot is freed at
once and the exception reaches the caller of `paint`."""


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
        tenant: opaque key of who asked. Slots are capped and caches kept apart by it.
        fair_tag: the job's place in the fair order; lower goes first. Equal tags fall to the engine's own fair order.
        check: see `Check`.
    """

    picture: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    prompt: str
    negative_prompt: str
    steps: int
    guidance: float
    strength: float
    seed: int
    tenant: str = ""
    fair_tag: float = 0.0
    check: Check | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in px: requests of one shape share a forward pass."""
        return self.picture.shape[0], self.picture.shape[1]

    @property
    def guided(self) -> bool:
        """Whether it needs a second row, without the prompt, in every forward pass."""
        return self.guidance > 1

    @property
    def rows(self) -> int:
        """Rows that it takes in a forward pass."""
        return 2 if self.guided else 1

    @property
    def cost(self) -> float:
        """Work in rows × steps × pixels, what the fair order counts."""
        height, width = self.shape
        return float(self.rows * max(1, int(self.steps * self.strength)) * height * width)

    def validate(self) -> None:
        """Refuse what no forward pass could take.

        Raises:
            ValueError: shapes, steps or strength that the engine cannot serve.
        """
        height, width = self.shape
        if height % 8 or width % 8 or self.mask.shape != (height, width):
            raise ValueError("the picture's sides must be multiples of 8 and the mask of the same size")
        if self.steps < 1 or int(self.steps * min(self.strength, 1)) < 1:
            raise ValueError("the strength leaves no step to take")


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """The picture painted: uint8 [H, W, 3] sRGB, the size of the request's."""

    picture: npt.NDArray[np.uint8]


class NoModel(Exception):
    """The engine was asked to paint and no model is configured."""


class NoFullModel(Exception):
    """Attire is offered without a model that could change clothes; the message says which part is missing."""


class EngineClosed(Exception):
    """The engine is leaving and takes no more; another try elsewhere may go well."""


class OutOfMemory(Exception):
    """The request does not fit the device even alone."""


class NotANumber(Exception):
    """The model's output for this request holds NaN or infinity."""
