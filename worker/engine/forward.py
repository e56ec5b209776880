"""One pass of the U-Net over model rows: eager, compiled, or as a CUDA graph per size.

Compiling and capturing work on fixed sizes, so rows are padded up to the next of `SIZES`. What does not work on a
machine falls back to eager once, with a line in the log, and stays there.
"""

import logging
from dataclasses import dataclass
from typing import Any, Literal

import torch

from worker.engine.attention import Attention, KernelChoice
from worker.engine.modules import Modules

logger = logging.getLogger("likeness.engine")

Mode = Literal["eager", "compile", "graphs"]

SIZES = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Model rows that are compiled or captured."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What the U-Net takes, in its dtype.

    Attributes:
        sample: [R, 4 or 9, H/8, W/8].
        timestep: float32 [R], each row its own.
        text: [R, tokens, D].
        pooled: [R, P], SDXL alone.
        time_ids: [R, 6 or 5], SDXL alone.
    """

    sample: torch.Tensor
    timestep: torch.Tensor
    text: torch.Tensor
    pooled: torch.Tensor | None
    time_ids: torch.Tensor | None

    @property
    def shape(self) -> tuple[int, int]:
        """Latent height and width."""
        return self.sample.shape[2], self.sample.shape[3]

    def padded(self, rows: int) -> "Inputs":
        """The same with the first row repeated up to that many rows."""
        return Inputs(
            *(
                None if part is None else torch.cat([part, part[:1].expand(rows - len(part), *part.shape[1:])])
                for part in (self.sample, self.timestep, self.text, self.pooled, self.time_ids)
            )  # type: ignore[arg-type]  # None only where it was None
        )

    def copy_from(self, other: "Inputs") -> None:
        """Take another's values into these tensors."""
        for mine, its in zip(
            (self.sample, self.timestep, self.text, self.pooled, self.time_ids),
            (other.sample, other.timestep, other.text, other.pooled, other.time_ids),
            strict=True,
        ):
            if mine is not None and its is not None:
                mine.copy_(its)


class Forward:
    """Calls the U-Net. Used from the engine's step thread.

    Attributes:
        mode: how it runs now; `eager` after a fall back.
    """

    def __init__(self, modules: Modules, *, mode: Mode = "eager", attention: KernelChoice = "auto") -> None:
        self._modules = modules
        self.attention = Attention(modules.unet, modules.device, attention)
        self.mode: Mode = mode
        self._call: Any = modules.unet
        self._graphs: dict[tuple[int, int, int], tuple[Any, Inputs, torch.Tensor]] = {}
        if mode == "graphs" and modules.device.type != "cuda":
            self._fall_back("no CUDA device")
        if mode == "compile":
            self._call = torch.compile(modules.unet, dynamic=False)

    def __call__(self, inputs: Inputs) -> torch.Tensor:
        """Predict.

        Returns:
            float32 [R, 4, H/8, W/8].

        Raises:
            torch.OutOfMemoryError: the rows do not fit the device.
        """
        rows = len(inputs.sample)
        self.attention.prepare(inputs.shape, lambda: self._run(self._modules.unet, inputs))
        if self.mode != "eager" and rows <= SIZES[-1]:
            try:
                padded = inputs.padded(next(size for size in SIZES if size >= rows))
                output = self._replay(padded) if self.mode == "graphs" else self._run(self._call, padded)
                return output[:rows].float()
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever the compiler says, eager goes on
                self._fall_back(type(error).__name__)
        return self._run(self._modules.unet, inputs).float()

    def _run(self, call: Any, inputs: Inputs) -> torch.Tensor:
        added = None
        if inputs.pooled is not None:
            added = {"text_embeds": inputs.pooled, "time_ids": inputs.time_ids}
        with self.attention.using(inputs.shape):
            output: torch.Tensor = call(
                inputs.sample,
                inputs.timestep,
                encoder_hidden_states=inputs.text,
                added_cond_kwargs=added,
                return_dict=False,
            )[0]
        return output

    def _replay(self, inputs: Inputs) -> torch.Tensor:
        """Run the graph of this size, captured at its first use."""
        key = (len(inputs.sample), *inputs.shape)
        if key not in self._graphs:
            # The first run warms up the kernels' own choices, which must not be captured.
            self._run(self._modules.unet, inputs)
            torch.cuda.synchronize(self._modules.device)
            graph = torch.cuda.CUDAGraph()
            # Other threads encode on their own streams meanwhile: only this one is captured.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                output = self._run(self._modules.unet, inputs)
            self._graphs[key] = (graph, inputs, output)
        graph, own, output = self._graphs[key]
        own.copy_from(inputs)
        graph.replay()
        return output.clone()

    def _fall_back(self, reason: str) -> None:
        logger.warning("running eagerly", extra={"mode": self.mode, "reason": reason})
        self.mode = "eager"
        self._call = self._modules.unet
        self._graphs.clear()
