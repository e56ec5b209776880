"""How many model rows share a forward pass: fitted at start-up, shrunk when memory runs out, grown back with time."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

ROWS_TRIED = (1, 2, 4, 8)
MIN_CAP = 8
"""Fewer would make short requests wait behind long ones even where batching itself gains nothing."""

_ENOUGH = 0.9  # of the throughput that an endless batch would have
_BUDGET_SECONDS = 4.0
_STEPS_TO_GROW = 256


@dataclass(frozen=True, slots=True)
class Fit:
    """t(B) = a + b·B, s, by least squares.

    Attributes:
        a: what a pass costs whatever its size.
        b: what each row adds.
        points: rows and seconds measured.
    """

    a: float
    b: float
    points: tuple[tuple[int, float], ...]

    def cap(self, most: int) -> int:
        """The fewest rows that reach nine tenths of the throughput 1/b, within `MIN_CAP` and `most`."""
        if self.b <= 0:
            return most
        wanted = int(np.ceil(_ENOUGH / (1 - _ENOUGH) * self.a / self.b))
        return max(min(MIN_CAP, most), min(wanted, most))


def fit(points: list[tuple[int, float]]) -> Fit:
    """Fit measured points: (rows, seconds), one or more."""
    rows = np.array([point[0] for point in points], float)
    seconds = np.array([point[1] for point in points])
    if len(points) == 1:
        return Fit(0.0, float(seconds[0] / rows[0]), tuple(points))
    b, a = np.polyfit(rows, seconds, 1)
    return Fit(max(float(a), 0.0), float(b), tuple(points))


def measure(run: Callable[[int], object], *, device: torch.device, most: int) -> Fit:
    """Time the pass at growing sizes until the budget of a few seconds is spent or memory is.

    Args:
        run: one pass over that many rows.
        device: where it runs.
        most: rows not to go beyond.
    """
    points: list[tuple[int, float]] = []
    spent = 0.0
    for rows in [rows for rows in ROWS_TRIED if rows <= most] or [1]:
        if points and spent + 3 * points[-1][1] > _BUDGET_SECONDS:
            break
        try:
            timings = [_time(run, rows, device) for _ in range(3)]
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        spent += sum(timings)
        points.append((rows, min(timings[1:])))
    return fit(points) if points else Fit(0.0, 1.0, ())


def _time(run: Callable[[int], object], rows: int, device: torch.device) -> float:
    began = perf_counter()
    run(rows)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter() - began


class Cap:
    """Model rows that may share a pass now.

    Attributes:
        rows: now.
        most: as fitted.
    """

    def __init__(self, most: int) -> None:
        self.rows = self.most = most
        self._clean = 0

    def shrink(self, failed: int) -> None:
        """A pass of that many rows did not fit."""
        self.rows = max(1, min(self.rows, failed) // 2)
        self._clean = 0

    def worked(self) -> None:
        """A step went well: after many of them the cap grows back, since memory was perhaps short for a while."""
        self._clean += 1
        if self._clean >= _STEPS_TO_GROW:
            self.rows, self._clean = min(self.most, self.rows * 2), 0
