"""Opened keys, kept for a short while.

Invariants of this file:
- A key is given out at most `uses` times, and for at most `seconds` after it was opened.
- A key that was fetched before an eviction, and comes back after it, is not kept: `put` takes the ticket that was
  drawn before the fetch, and any eviction since then makes the ticket void.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_ENTRIES = 10_000


@dataclass
class _Entry(Generic[V]):
    value: V
    opened_at: float
    uses_left: int


class BoundedCache(Generic[K, V]):
    """Values bounded in age, uses and number; the least recently used leaves first.

    seconds: measured on the monotonic clock. uses: counts the use for which the value was opened.
    """

    def __init__(self, *, seconds: float, uses: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._uses = uses
        self._clock = clock
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._evictions = 0

    def ticket(self) -> int:
        """To be drawn before a value is fetched, and handed to `put` with it."""
        return self._evictions

    def get(self, key: K) -> V | None:
        """The value, counted as one use, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.uses_left <= 0 or self._clock() - entry.opened_at >= self._seconds:
            del self._entries[key]
            return None
        entry.uses_left -= 1
        self._entries.move_to_end(key)
        return entry.value

    def put(self, key: K, value: V, *, ticket: int) -> None:
        """Keep a value just opened and used once, unless something was evicted since the ticket was drawn."""
        if ticket != self._evictions:
            return
        self._entries[key] = _Entry(value, self._clock(), self._uses - 1)
        self._entries.move_to_end(key)
        while len(self._entries) > _ENTRIES:
            self._entries.popitem(last=False)

    def evict(self, key: K) -> None:
        """Forget one value, whether it is here or on its way."""
        self._evictions += 1
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything, whether it is here or on its way."""
        self._evictions += 1
        self._entries.clear()
