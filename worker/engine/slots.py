"""The rows of one shape that are being painted: each with its own timestep, plan, guidance, seed and mask.

A step is one pass of the U-Net over all rows (guided ones take two) and one line of each row's table. Rows never read
one another: every tensor has the row as its first dimension and no operation here mixes rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from worker.engine.capacity import Cap
from worker.engine.encode import Start
from worker.engine.forward import Forward, Inputs
from worker.engine.modules import Modules
from worker.engine.request import NotANumber, OutOfMemory

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Row(Generic[T]):
    """One request in its slot.

    Attributes:
        job: whose it is.
        start: what it began with.
        guidance: its scale; 1 or less takes no second row.
        table: float32 [steps, 9], its plan.
        step: how many are done.
    """

    job: T
    start: Start
    guidance: float
    table: npt.NDArray[np.float32]
    step: int = 0

    @property
    def rows(self) -> int:
        """Model rows in a pass."""
        return len(self.start.texts)

    @property
    def done(self) -> bool:
        """Whether it took its last step."""
        return self.step >= len(self.table)

    @property
    def share(self) -> float:
        """Of its steps that are done, 0..1."""
        return self.step / len(self.table)


@dataclass(frozen=True, slots=True, eq=False)
class _Conditions:
    """What a pass needs beside the latents; kept until rows come or go. R model rows: all plain, then the guided."""

    guided: torch.Tensor  # int64 [G], which rows take a second one
    scale: torch.Tensor  # float32 [G, 1, 1, 1]
    text: torch.Tensor
    pooled: torch.Tensor | None
    time_ids: torch.Tensor | None
    extra: torch.Tensor | None  # [R, 5, H/8, W/8]: mask and masked picture, for U-Nets of 9 channels


class Slots(Generic[T]):
    """The rows of one shape. Used from the engine's step thread.

    Attributes:
        rows: in the order of the latents.
    """

    def __init__(self, modules: Modules, forward: Forward, cap: Cap) -> None:
        self._modules, self._forward, self._cap = modules, forward, cap
        self.rows: list[Row[T]] = []
        self._latents = torch.empty(0)
        self._previous = torch.empty(0)
        self._kept: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None
        self._conditions: _Conditions | None = None
        self._unread: tuple[list[Row[T]], torch.Tensor, torch.cuda.Event | None] | None = None

    @torch.inference_mode()
    def admit(self, entries: Sequence[tuple[T, Start, float]]) -> None:
        """Give rows to jobs: (job, start, guidance) each."""
        new = [Row(job, start, guidance, start.plan.table.astype(np.float32)) for job, start, guidance in entries]
        latents = torch.stack([row.start.latent for row in new])
        self._change(range(len(self.rows)), new, latents)

    @torch.inference_mode()
    def release(self, leaving: Sequence[Row[T]]) -> None:
        """Free rows. What they held is overwritten with zeros before its memory goes back."""
        gone = {id(row) for row in leaving}
        self._change([place for place, row in enumerate(self.rows) if id(row) not in gone], [], None)
        for row in leaving:
            row.start.wipe()

    def latent(self, row: Row[T]) -> torch.Tensor:
        """A copy of a row's latent: float32 [C, H/8, W/8]."""
        return self._latents[self.rows.index(row)].clone()

    @torch.inference_mode()
    def step(self) -> dict[Row[T], Exception]:
        """Take one step with every row.

        Returns:
            The rows that failed with why: `NotANumber`, `OutOfMemory`, or what the model raised for that row alone.
            The others are not touched by it.

        On a GPU a row whose numbers went bad is found one step later, so that no step waits for the host.
        """
        lines = np.stack([row.table[row.step] for row in self.rows])
        columns = torch.from_numpy(lines.T.copy()).to(self._modules.device, non_blocking=True)
        timestep, scale, x0_x, x0_m, next_x, next_m, next_p, keep_image, keep_noise = columns.reshape(
            len(columns), -1, 1, 1, 1
        ).unbind(0)
        failed: dict[Row[T], Exception] = {}
        output = torch.zeros_like(self._latents)
        scaled = self._latents * scale
        everyone = list(range(len(self.rows)))
        for places in self._portions(everyone):
            self._predict(places, scaled, timestep.reshape(-1), output, failed)
        failed |= self._read_finite()
        predicted = x0_x * self._latents + x0_m * output
        following = next_x * self._latents + next_m * output + next_p * self._previous
        if self._kept is not None:
            image, noise, mask = self._kept
            following = (1 - mask) * (keep_image * image + keep_noise * noise) + mask * following
        self._latents, self._previous = following, predicted
        for row in self.rows:
            row.step += 1
        self._note_finite()
        if any(row.done for row in self.rows):
            failed |= self._read_finite()
        self._cap.worked()
        return failed

    def _portions(self, places: list[int]) -> list[list[int]]:
        """Rows in portions that the cap allows: one, unless memory ran short."""
        portions: list[list[int]] = [[]]
        used = 0
        for place in places:
            rows = self.rows[place].rows
            if portions[-1] and used + rows > self._cap.rows:
                portions.append([])
                used = 0
            portions[-1].append(place)
            used += rows
        return portions

    def _predict(
        self,
        places: list[int],
        scaled: torch.Tensor,
        timestep: torch.Tensor,
        output: torch.Tensor,
        failed: dict[Row[T], Exception],
    ) -> None:
        """Fill `output` for some rows. A pass that fails is halved until the row that it fails for is alone."""
        try:
            everyone = len(places) == len(self.rows)
            conditions = self._all_conditions() if everyone else self._make_conditions([self.rows[p] for p in places])
            chosen = scaled if everyone else scaled[places]
            times = timestep if everyone else timestep[places]
            sample = torch.cat([chosen, chosen[conditions.guided]]) if len(conditions.guided) else chosen
            times = torch.cat([times, times[conditions.guided]]) if len(conditions.guided) else times
            if conditions.extra is not None:
                sample = torch.cat([sample.to(self._modules.dtype), conditions.extra], dim=1)
            inputs = Inputs(
                sample.to(self._modules.dtype), times, conditions.text, conditions.pooled, conditions.time_ids
            )
            predicted = self._forward(inputs)
            plain = predicted[: len(places)]
            if len(conditions.guided):
                without = predicted[len(places) :]
                plain = plain.clone()
                plain[conditions.guided] = without + conditions.scale * (plain[conditions.guided] - without)
            if everyone:
                output.copy_(plain)
            else:
                output[places] = plain
        except Exception as error:  # noqa: BLE001 - whatever it is, it must reach its own job and no other
            short = isinstance(error, torch.OutOfMemoryError)
            if short:
                self._cap.shrink(sum(self.rows[place].rows for place in places))
                if self._modules.device.type == "cuda":
                    torch.cuda.empty_cache()
            if len(places) == 1:
                failed[self.rows[places[0]]] = OutOfMemory() if short else error
                return
            middle = len(places) // 2
            for half in (places[:middle], places[middle:]):
                self._predict(half, scaled, timestep, output, failed)

    def _all_conditions(self) -> _Conditions:
        if self._conditions is None:
            self._conditions = self._make_conditions(self.rows)
        return self._conditions

    def _make_conditions(self, rows: Sequence[Row[T]]) -> _Conditions:
        """Conditions of some rows, in order."""
        device, dtype = self._modules.device, self._modules.dtype
        guided = [place for place, row in enumerate(rows) if row.rows > 1]
        texts = [row.start.texts[0] for row in rows] + [rows[place].start.texts[1] for place in guided]
        pooled = [text.pooled for text in texts if text.pooled is not None]
        times = [row.start.time_ids for row in rows]
        ids = [both[0] for both in times if both is not None]
        ids += [both[1] for place in guided if (both := times[place]) is not None]
        extra = None
        if self._modules.inpaint:
            drawn = [torch.cat([row.start.mask, row.start.masked]) for row in rows if row.start.masked is not None]
            extra = torch.stack(drawn + [drawn[place] for place in guided]).to(dtype)
        return _Conditions(
            guided=torch.tensor(guided, dtype=torch.int64, device=device),
            scale=torch.tensor([rows[place].guidance for place in guided], device=device).reshape(-1, 1, 1, 1),
            text=torch.stack([text.embedding for text in texts]),
            pooled=torch.stack(pooled) if pooled else None,
            time_ids=torch.stack(ids).to(dtype) if ids else None,
            extra=extra,
        )

    def _change(self, staying: Sequence[int], new: list[Row[T]], latents: torch.Tensor | None) -> None:
        """Keep some rows, add others, and wipe the memory that held them before."""
        rows = [self.rows[place] for place in staying] + new
        old = (self._latents, self._previous)
        places = list(staying)
        kept = [part[places] if places else part[:0] for part in old] if len(self.rows) else []
        if latents is not None:
            added = [latents, torch.zeros_like(latents)]
            kept = [torch.cat(pair) for pair in zip(kept, added, strict=True)] if places else added
        self._latents, self._previous = kept or [torch.empty(0), torch.empty(0)]
        for part in old:
            part.zero_()
        self.rows = rows
        self._wipe_conditions()
        if not self._modules.inpaint and rows:
            parts = [(row.start.image, row.start.noise, row.start.mask) for row in rows]
            images, noises, masks = zip(*parts, strict=True)
            self._kept = (torch.stack(images), torch.stack(noises), torch.stack(masks))

    def _wipe_conditions(self) -> None:
        for part in self._kept or ():
            part.zero_()
        if self._conditions is not None and self._conditions.extra is not None:
            self._conditions.extra.zero_()
        self._kept = self._conditions = None

    def _note_finite(self) -> None:
        """Have it found out which rows hold finite numbers, without waiting for the answer."""
        flags = torch.isfinite(self._latents).flatten(1).all(1)
        event = None
        if flags.is_cuda:
            host = torch.empty(flags.shape, dtype=torch.bool, pin_memory=True)
            host.copy_(flags, non_blocking=True)
            flags, event = host, torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch types it in part
            event.record()
        self._unread = (list(self.rows), flags, event)

    def _read_finite(self) -> dict[Row[T], Exception]:
        """The rows that went bad in the step last noted, if they are still here."""
        if self._unread is None:
            return {}
        rows, flags, event = self._unread
        self._unread = None
        if event is not None:
            event.synchronize()
        here = {id(row) for row in self.rows}
        bad = [row for row, fine in zip(rows, flags.tolist(), strict=True) if not fine and id(row) in here]
        return {row: NotANumber() for row in bad}
