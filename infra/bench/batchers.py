"""The engine's peers on the same model: the batchers that a serving framework would give.

They take the engine's own rows and steps, which are the fastest there are here, so that what differs is only who shares
a pass with whom. Both begin a batch the moment that anything waits: the choice that is kindest to their latency.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter, sleep

import numpy as np
import numpy.typing as npt
import torch

from worker.engine.capacity import Cap
from worker.engine.encode import Encoder, Start
from worker.engine.forward import Forward
from worker.engine.loop import Job, StepLoop
from worker.engine.modules import Modules
from worker.engine.request import PaintRequest
from worker.engine.slots import Slots


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that comes `at` seconds after the start."""

    request: PaintRequest
    at: float


Serve = Callable[[Sequence[Arrival]], list[float]]
"""Serves arrivals in real time and returns each one's latency, s."""


class Prepared(Encoder):
    """Has every start ready and decodes nothing, so that batchers are compared by their order alone."""

    def __init__(self, modules: Modules, requests: Sequence[PaintRequest]) -> None:
        super().__init__(modules)
        self._ready = {id(request): super(Prepared, self).encode([request])[0] for request in requests}

    def encode(self, requests: Sequence[PaintRequest]) -> list[Start]:
        """Copies, since a start is wiped when its row leaves."""
        return [self._copy(self._ready[id(request)]) for request in requests]

    def decode(self, latents: torch.Tensor) -> list[npt.NDArray[np.uint8]]:
        """Blank pictures."""
        return [np.zeros((1, 1, 3), np.uint8)] * len(latents)

    @staticmethod
    @torch.inference_mode()
    def _copy(start: Start) -> Start:
        def clone(part: torch.Tensor | None) -> torch.Tensor | None:
            return None if part is None else part.clone()

        return Start(
            plan=start.plan,
            latent=start.latent.clone(),
            image=clone(start.image),
            noise=clone(start.noise),
            mask=start.mask,
            masked=clone(start.masked),
            texts=start.texts,
            time_ids=start.time_ids,
        )


def in_flight(modules: Modules, encoder: Encoder, *, rows: int) -> Serve:
    """Likeness: requests join and leave at every step."""

    def serve(arrivals: Sequence[Arrival]) -> list[float]:
        loop = StepLoop(modules, Forward(modules), Cap(rows), slots_each=rows, encoder=encoder)
        ended: dict[int, float] = {}
        began = perf_counter()
        jobs: list[Job] = []
        for number, arrival in enumerate(arrivals):
            _wait_until(began + arrival.at)
            job = loop.submit(arrival.request)
            job.future.add_done_callback(partial(_note, ended, number))
            jobs.append(job)
        for job in jobs:
            job.future.result()
        loop.finish()
        loop.join(10)
        return [ended[number] - began - arrival.at for number, arrival in enumerate(arrivals)]

    return serve


def _note(ended: dict[int, float], number: int, _future: object) -> None:
    ended[number] = perf_counter()


def pad_to_max(modules: Modules, encoder: Encoder, *, rows: int) -> Serve:
    """Whoever waits goes together, and all stay until the longest is done."""
    return _batcher(modules, encoder, rows=rows, keyed=False)


def keyed(modules: Modules, encoder: Encoder, *, rows: int) -> Serve:
    """Whoever waits and asks for as many steps as the first in line goes together."""
    return _batcher(modules, encoder, rows=rows, keyed=True)


def _batcher(modules: Modules, encoder: Encoder, *, rows: int, keyed: bool) -> Serve:
    def serve(arrivals: Sequence[Arrival]) -> list[float]:
        forward = Forward(modules)
        waiting = list(enumerate(arrivals))
        latencies = [0.0] * len(arrivals)
        began = perf_counter()
        while waiting:
            now = perf_counter() - began
            here = [entry for entry in waiting if entry[1].at <= now]
            if not here:
                _wait_until(began + waiting[0][1].at)
                continue
            if keyed:
                key = (here[0][1].request.steps, here[0][1].request.guidance)
                here = [entry for entry in here if (entry[1].request.steps, entry[1].request.guidance) == key]
            batch: list[tuple[int, Arrival]] = []
            for entry in here:
                if sum(other.request.rows for _, other in batch) + entry[1].request.rows <= rows:
                    batch.append(entry)
            waiting = [entry for entry in waiting if entry not in batch]
            run_whole(modules, forward, encoder, [arrival.request for _, arrival in batch])
            for number, arrival in batch:
                latencies[number] = perf_counter() - began - arrival.at
        return latencies

    return serve


def run_whole(modules: Modules, forward: Forward, encoder: Encoder, requests: list[PaintRequest]) -> None:
    """Run a batch until its longest is done; the others' rows go on and are thrown away."""
    slots: Slots[int] = Slots(modules, forward, Cap(1 << 30))
    starts = encoder.encode(requests)
    slots.admit([(number, start, requests[number].guidance) for number, start in enumerate(starts)])
    for _ in range(max(len(row.table) for row in slots.rows)):
        slots.step()
        for row in slots.rows:
            # One that is done repeats its last step: as dear as any other, and its result is out already.
            row.step = min(row.step, len(row.table) - 1)
    slots.release(list(slots.rows))


def _wait_until(moment: float) -> None:
    while (left := moment - perf_counter()) > 0:
        sleep(min(left, 0.005))
