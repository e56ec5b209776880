"""Continuous batching: two threads for one model.

The step thread admits, steps and retires; the encoding thread turns requests into starts and latents into pictures, in
micro-batches, so that neither words nor pictures ever stall a step. A request joins a running batch at the next tick,
and leaves it at its own last step.

    paint → line → (encoding thread) start → slots → … → latent → (encoding thread) picture → paint's caller
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

import torch

from worker.engine.capacity import Cap
from worker.engine.encode import Encoder, Start
from worker.engine.forward import Forward
from worker.engine.line import LOOK_AHEAD, Line
from worker.engine.modules import Modules
from worker.engine.request import EngineClosed, OutOfMemory, Painted, PaintRequest
from worker.engine.slots import Row, Slots

logger = logging.getLogger("likeness.engine")

MICRO_BATCH = 4
"""Pictures encoded or decoded in one call."""


class Cancelled(Exception):
    """The caller no longer waits."""


@dataclass(slots=True, eq=False)
class Job:
    """One request on its way. Its future resolves to `Painted`, once."""

    request: PaintRequest
    future: "Future[Painted]"
    start: Start | None = None
    encoding: bool = False
    cancelled: bool = False
    latent: torch.Tensor | None = None

    def reason_to_stop(self, share: float) -> Exception | None:
        """Ask the caller: `Cancelled`, whatever its check raised, or None to go on."""
        if self.cancelled or self.future.done():
            return Cancelled()
        if self.request.check is not None:
            try:
                self.request.check(share)
            except Exception as error:  # noqa: BLE001 - the check's exception is the caller's own message to itself
                return error
        return None

    def settle(self, outcome: Painted | Exception) -> None:
        """Answer the caller, unless it left."""
        with suppress(InvalidStateError):
            if isinstance(outcome, Exception):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)


class StepLoop:
    """The threads of one model.

    Attributes:
        steps: taken since the start, over all rows.
        passes: ticks since the start.
    """

    def __init__(
        self, modules: Modules, forward: Forward, cap: Cap, *, slots_each: int, encoder: Encoder | None = None
    ) -> None:
        """Begin to serve.

        Args:
            modules: the model.
            forward: its U-Net.
            cap: model rows in a pass.
            slots_each: model rows that one tenant may hold while others wait.
            encoder: another than the model's own; benchmarks of the order alone bring one that has all ready.
        """
        self._modules, self._forward, self._cap = modules, forward, cap
        self._encoder = encoder or Encoder(modules)
        self._changed = threading.Condition()
        self._line: Line[Job] = Line(slots_each)
        self._slots: dict[tuple[int, int], Slots[Job]] = {}
        self._decoding: deque[Job] = deque()
        self._unanswered = 0
        self._somebody_left = False
        self._finishing = self._stopping = False
        self.steps = self.passes = 0
        self._threads = [
            threading.Thread(target=self._guard, args=(target,), name=name, daemon=True)
            for name, target in (("engine-steps", self._run_steps), ("engine-encode", self._run_encoder))
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, request: PaintRequest) -> Job:
        """Put a request in line.

        Raises:
            EngineClosed: the loop is leaving.
            ValueError: no pass could take it.
        """
        request.validate()
        job = Job(request, Future())
        with self._changed:
            if self._finishing or self._stopping:
                raise EngineClosed
            self._unanswered += 1
            job.future.add_done_callback(self._answered)
            self._line.join(request, job)
            self._changed.notify_all()
        return job

    def _answered(self, _future: object) -> None:
        with self._changed:
            self._unanswered -= 1
            self._somebody_left = True
            self._changed.notify_all()

    def cancel(self, job: Job) -> None:
        """Free what a job holds, before the next step."""
        job.cancelled = True
        with self._changed:
            self._somebody_left = True
            self._changed.notify_all()

    def finish(self) -> None:
        """Take no more; the threads leave when everything in hand is answered."""
        with self._changed:
            self._finishing = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Leave before the next step; what is in hand is answered with `EngineClosed`."""
        with self._changed:
            self._finishing = self._stopping = True
            self._changed.notify_all()

    def join(self, seconds: float) -> bool:
        """Wait for the threads, at most so long; whether they left."""
        until = monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def waiting(self) -> int:
        """Requests without a slot."""
        return len(self._line)

    @property
    def active(self) -> int:
        """Requests in slots."""
        return sum(len(slots.rows) for slots in list(self._slots.values()))

    def _guard(self, run: Callable[[], None]) -> None:
        """Run a thread; if it dies of a defect, nobody is left waiting."""
        try:
            # A stream of its own lets pictures be encoded while steps run.
            if self._modules.device.type == "cuda":
                stream = torch.cuda.Stream(self._modules.device)  # type: ignore[no-untyped-call]  # typed in part
                with torch.cuda.stream(stream):
                    run()
            else:
                run()
        except Exception as error:
            logger.exception("the engine's thread died", extra={"error_type": type(error).__name__})
        finally:
            self.stop()
            self._answer_all()

    def _answer_all(self) -> None:
        with self._changed:
            jobs = self._line.leave(lambda _: True) + list(self._decoding)
            jobs += [row.job for slots in self._slots.values() for row in slots.rows]
            self._decoding.clear()
        for job in jobs:
            job.settle(EngineClosed())

    # The step thread.

    def _run_steps(self) -> None:
        while True:
            with self._changed:
                while not self._stopping and not self._busy() and not self._leaving():
                    self._changed.wait()
                if self._stopping or self._leaving():
                    self._release_everything()
                    return
                chosen = self._admit()
            self._enter(chosen)
            for slots in [slots for slots in self._slots.values() if slots.rows]:
                self._tick(slots)
            self.passes += 1

    def _busy(self) -> bool:
        """Whether there is something to step, to admit or to let go."""
        return bool(self.active) or any(job.start is not None or job.cancelled for job in self._line)

    def _leaving(self) -> bool:
        return self._finishing and not self._unanswered

    def _admit(self) -> list[Job]:
        # The whole line is looked through only when somebody may have left it.
        left, self._somebody_left = self._somebody_left, False
        for job in self._line.leave(lambda job: job.cancelled or job.future.done()) if left else ():
            if job.start is not None:
                job.start.wipe()
            job.settle(Cancelled())
        held: Counter[str] = Counter()
        for slots in self._slots.values():
            for row in slots.rows:
                held[row.job.request.tenant] += row.rows
        # Something always runs: a guided request in an empty engine may exceed a cap that shrank to one row.
        free = max(self._cap.rows - held.total(), 0 if held else 2)
        return self._line.admit(free=free, held=held, ready=lambda job: job.start is not None)

    def _enter(self, jobs: list[Job]) -> None:
        by_shape: dict[tuple[int, int], list[tuple[Job, Start, float]]] = {}
        for job in jobs:
            if job.start is not None:
                by_shape.setdefault(job.request.shape, []).append((job, job.start, job.request.guidance))
                job.start = None
        for shape, entries in by_shape.items():
            if shape not in self._slots:
                self._slots[shape] = Slots(self._modules, self._forward, self._cap)
            self._slots[shape].admit(entries)
        if jobs:
            with self._changed:
                # Those behind them move up, and may be encoded now.
                self._changed.notify_all()

    def _tick(self, slots: Slots[Job]) -> None:
        stopped: list[Row[Job]] = []
        for row in slots.rows:
            reason = row.job.reason_to_stop(row.share)
            if reason is not None:
                row.job.settle(reason)
                stopped.append(row)
        if stopped:
            slots.release(stopped)
            self._wait_for_device()
        if not slots.rows:
            return
        failed = slots.step()
        self.steps += len(slots.rows)
        for row, error in failed.items():
            row.job.settle(error)
        finished = [row for row in slots.rows if row.done and row not in failed]
        for row in finished:
            row.job.latent = slots.latent(row)
        leaving = [*failed, *finished]
        if not leaving:
            return
        slots.release(leaving)
        self._wait_for_device()
        with self._changed:
            self._decoding.extend(row.job for row in finished)
            self._changed.notify_all()

    def _release_everything(self) -> None:
        for slots in self._slots.values():
            for row in slots.rows:
                row.job.settle(EngineClosed())
            if slots.rows:
                slots.release(list(slots.rows))

    def _wait_for_device(self) -> None:
        """What one thread's stream does is done before the other's reads it or takes its memory anew."""
        if self._modules.device.type == "cuda":
            torch.cuda.current_stream(self._modules.device).synchronize()

    # The encoding thread.

    def _run_encoder(self) -> None:
        while True:
            with self._changed:
                while not (self._decoding or self._to_encode() or self._stopping or self._leaving()):
                    self._changed.wait()
                if self._stopping or self._leaving():
                    return
                pictures, batch = self._to_decode(), self._to_encode()
                if not pictures:
                    for job in batch:
                        job.encoding = True
            if pictures:
                self._decode(pictures)
            else:
                self._encode(batch)
            with self._changed:
                # There may be something to admit now.
                self._changed.notify_all()

    def _to_encode(self) -> list[Job]:
        """The next few of one shape, no further down the line than may be admitted soon."""
        near = []
        for place, job in enumerate(self._line):
            if place > self._cap.rows + LOOK_AHEAD:
                break
            if not job.encoding and job.start is None and not job.cancelled:
                near.append(job)
        return [job for job in near if job.request.shape == near[0].request.shape][:MICRO_BATCH]

    def _to_decode(self) -> list[Job]:
        if not self._decoding:
            return []
        shape = self._decoding[0].request.shape
        chosen = [job for job in self._decoding if job.request.shape == shape][:MICRO_BATCH]
        for job in chosen:
            self._decoding.remove(job)
        return chosen

    def _encode(self, jobs: list[Job]) -> None:
        try:
            starts = self._encoder.encode([job.request for job in jobs])
            self._wait_for_device()
        except Exception as error:  # noqa: BLE001 - it must reach its own job and no other
            self._divide(jobs, error, self._encode)
            return
        for job, start in zip(jobs, starts, strict=True):
            job.start = start

    def _decode(self, jobs: list[Job]) -> None:
        latents = [job.latent for job in jobs if job.latent is not None]
        try:
            pictures = self._encoder.decode(torch.stack(latents))
        except Exception as error:  # noqa: BLE001 - it must reach its own job and no other
            self._divide(jobs, error, self._decode)
            return
        for job, latent, picture in zip(jobs, latents, pictures, strict=True):
            with torch.inference_mode():
                latent.zero_()
            self._wait_for_device()
            job.latent = None
            job.settle(Painted(picture))

    def _divide(self, jobs: list[Job], error: Exception, again: Callable[[list[Job]], None]) -> None:
        """Find the one that a micro-batch failed for."""
        if len(jobs) > 1:
            again(jobs[: len(jobs) // 2])
            again(jobs[len(jobs) // 2 :])
            return
        with self._changed:
            self._line.leave(lambda job: job is jobs[0])
        jobs[0].settle(OutOfMemory() if isinstance(error, torch.OutOfMemoryError) else error)
