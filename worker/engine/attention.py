"""Which attention kernel the U-Net runs on: one interface, chosen per shape by a short trial where a GPU is present.

xformers has kernels for CUDA alone, and `set_attention_backend("xformers")` does nothing on the U-Nets of SD 1.5 and
SDXL: `enable_xformers_memory_efficient_attention()` does, and the processors are looked at afterwards. Everywhere else,
and whenever a kernel does not run, PyTorch's scaled dot product attention is right.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from time import perf_counter
from typing import Any, Literal

import torch
from diffusers.models.attention_processor import AttnProcessor2_0, XFormersAttnProcessor
from torch.nn.attention import SDPBackend, sdpa_kernel

logger = logging.getLogger("likeness.engine")

Kernel = Literal["sdpa", "flash", "cudnn", "xformers"]
KernelChoice = Literal["auto", "sdpa", "flash", "cudnn", "xformers"]
Shape = tuple[int, int]

_TRIALS = 3
# A kernel that refuses a head size or a mask must not fail the call: the last one takes everything.
_BACKENDS: dict[str, list[SDPBackend]] = {
    "flash": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
    "cudnn": [SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
}


def kernels_of(device: torch.device) -> tuple[Kernel, ...]:
    """The kernels that may run on a device."""
    if device.type != "cuda":
        return ("sdpa",)
    own: tuple[Kernel, ...] = ("sdpa", "flash", "cudnn")
    return (*own, "xformers") if find_spec("xformers") is not None else own


class WrongProcessors(Exception):
    """The U-Net does not run on the kernel that was set."""


class Attention:
    """The attention of one U-Net. Used from the engine's step thread.

    Attributes:
        chosen: the kernel per latent shape (height, width); empty before the first picture.
        seconds: per shape and kernel, what the trial measured.
    """

    def __init__(self, unet: Any, device: torch.device, choice: KernelChoice = "auto") -> None:
        self._unet, self._device, self._choice = unet, device, choice
        self._set: Kernel | None = None
        self.chosen: dict[Shape, Kernel] = {}
        self.seconds: dict[Shape, dict[str, float]] = {}

    @property
    def candidates(self) -> tuple[Kernel, ...]:
        """Kernels among which to choose: on a GPU the one asked for, if one was."""
        if self._device.type == "cuda" and self._choice != "auto":
            return (self._choice,)
        return kernels_of(self._device)

    def prepare(self, shape: Shape, run: Callable[[], object]) -> None:
        """Choose the kernel of a shape, once, by running the U-Net on each.

        Args:
            shape: latent height and width.
            run: one forward pass of that shape.
        """
        if shape in self.chosen:
            return
        if len(self.candidates) == 1:
            self.chosen[shape] = self.candidates[0]
            return
        timed: dict[str, float] = {}
        for kernel in self.candidates:
            try:
                self.chosen[shape] = kernel
                timed[kernel] = self._time(run)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - a kernel that does not run here is no candidate
                logger.info("attention kernel left out", extra={"kernel": kernel, "error_type": type(error).__name__})
        self.seconds[shape] = timed
        best = min(timed, key=lambda kernel: timed[kernel], default="sdpa")
        self.chosen[shape] = next((kernel for kernel in self.candidates if kernel == best), "sdpa")

    @contextmanager
    def using(self, shape: Shape) -> Iterator[None]:
        """Run what is inside on the shape's kernel."""
        kernel = self.chosen.get(shape, "sdpa")
        self._install("xformers" if kernel == "xformers" else "sdpa")
        if kernel in _BACKENDS:
            with sdpa_kernel(_BACKENDS[kernel], set_priority=True):
                yield
        else:
            yield

    def describe(self) -> dict[str, str]:
        """The kernel per picture shape, in latents, for `likeness doctor` and the metrics."""
        return {f"{height}x{width}": kernel for (height, width), kernel in self.chosen.items()}

    def _install(self, kernel: Literal["sdpa", "xformers"]) -> None:
        """Put a kind of processor into the U-Net and see that it is there.

        Raises:
            WrongProcessors: it is not.
        """
        if self._set == kernel:
            return
        if kernel == "xformers":
            self._unet.enable_xformers_memory_efficient_attention()
            wanted: Any = XFormersAttnProcessor
        else:
            wanted = AttnProcessor2_0
            self._unet.set_attn_processor(wanted())
        found = {type(processor).__name__ for processor in self._unet.attn_processors.values()}
        if found != {wanted.__name__}:
            raise WrongProcessors(f"asked for {wanted.__name__}, the U-Net has {', '.join(sorted(found))}")
        self._set = kernel

    def _time(self, run: Callable[[], object]) -> float:
        """Best of a few, s, after one to warm up."""
        run()
        best = float("inf")
        for _ in range(_TRIALS):
            torch.cuda.synchronize(self._device)
            began = perf_counter()
            run()
            torch.cuda.synchronize(self._device)
            best = min(best, perf_counter() - began)
        return best
