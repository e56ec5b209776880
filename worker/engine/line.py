"""Who waits for a slot, and who is next. Holds no tensors and knows no threads; time is counted in work.

The fair order leads: lowest `fair_tag` first and, among equals, start-time fair queueing over tenants (Goyal, Vin and
Cheng 1996) on the request's cost, so that no tenant's thousand requests stand before another's one. When the first in
line does not fit the free slots, a few behind it may go first, a bounded number of times; then slots are held for it.
"""

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from worker.engine.request import PaintRequest

LOOK_AHEAD = 8
"""How many behind one that does not fit are looked at."""

MAX_PASSED = 4
"""How often one that does not fit may be passed by."""

T = TypeVar("T")


@dataclass(slots=True, order=True)
class Waiting(Generic[T]):
    """One place in line; ordered by tag, then by fair start, then by arrival."""

    tag: float
    start: float
    arrival: int
    request: PaintRequest = field(compare=False)
    job: T = field(compare=False)
    passed: int = field(compare=False, default=0)


class Line(Generic[T]):
    """The line before the slots.

    Attributes:
        slots_each: model rows that one tenant may hold while others wait.
    """

    def __init__(self, slots_each: int) -> None:
        self.slots_each = slots_each
        self._line: list[Waiting[T]] = []
        self._arrivals = count()
        self._now = 0.0
        self._finished: dict[str, float] = defaultdict(float)
        self._waiting: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._line)

    def __iter__(self) -> Iterator[T]:
        """Jobs in order."""
        return (place.job for place in self._line)

    def join(self, request: PaintRequest, job: T) -> None:
        """Take a place."""
        start = max(self._now, self._finished[request.tenant])
        self._finished[request.tenant] = start + request.cost
        self._waiting[request.tenant] += 1
        insort(self._line, Waiting(request.fair_tag, start, next(self._arrivals), request, job))

    def leave(self, gone: Callable[[T], bool]) -> list[T]:
        """Take those out that are gone, and return them."""
        leaving = [place for place in self._line if gone(place.job)]
        if leaving:
            away = {place.arrival for place in leaving}
            self._line = [place for place in self._line if place.arrival not in away]
            self._forget(leaving)
        return [place.job for place in leaving]

    def admit(self, *, free: int, held: Counter[str], ready: Callable[[T], bool]) -> list[T]:
        """Choose who goes in now, and take them out of the line.

        Args:
            free: model rows that are free.
            held: model rows that each tenant holds.
            ready: whether a job's encoding is done; one that is not is overtaken without being counted as passed.
        """
        held = Counter(held)
        alone = len(self._waiting.keys() | held.keys()) == 1
        chosen: list[Waiting[T]] = []
        blocked: list[Waiting[T]] = []
        looked = 0
        for place in self._line:
            if free < 1 or looked > LOOK_AHEAD or any(other.passed >= MAX_PASSED for other in blocked):
                break
            rows, tenant = place.request.rows, place.request.tenant
            # A tenant that is alone may have everything; its cap is for when others want slots too.
            if not alone and held[tenant] and held[tenant] + rows > self.slots_each:
                continue
            if rows > free or not ready(place.job):
                looked += 1
                blocked += [place] if rows > free else []
                continue
            free -= rows
            held[tenant] += rows
            chosen.append(place)
            for other in blocked:
                other.passed += 1
        self._take(chosen)
        return [place.job for place in chosen]

    def _take(self, chosen: list[Waiting[T]]) -> None:
        for place in chosen:
            del self._line[bisect_left(self._line, place)]
            self._now = max(self._now, place.start)
        self._forget(chosen)
        if not self._line:
            # Nobody waits: a tenant whose turn is due anyway need not be remembered.
            self._finished = defaultdict(float, {t: f for t, f in self._finished.items() if f > self._now})

    def _forget(self, gone: list[Waiting[T]]) -> None:
        self._waiting.subtract(place.request.tenant for place in gone)
        self._waiting = +self._waiting
