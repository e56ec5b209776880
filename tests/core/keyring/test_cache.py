from dataclasses import dataclass

import pytest

from core.keyring.cache import BoundedCache


@dataclass
class Clock:
    time: float = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> BoundedCache[str, bytes]:
    return BoundedCache(seconds=300, uses=1000, clock=clock)


def test_a_key_is_used_a_thousand_times_and_no_more(cache: BoundedCache[str, bytes]) -> None:
    cache.put("a", b"key", ticket=cache.ticket())
    assert [cache.get("a") for _ in range(999)] == [b"key"] * 999
    assert cache.get("a") is None


def test_a_key_lives_three_hundred_seconds_however_often_it_is_used(
    cache: BoundedCache[str, bytes], clock: Clock
) -> None:
    cache.put("a", b"key", ticket=cache.ticket())
    for _ in range(299):
        clock.time += 1
        assert cache.get("a") == b"key"
    clock.time += 1
    assert cache.get("a") is None


def test_an_evicted_key_is_gone_and_its_neighbour_stays(cache: BoundedCache[str, bytes]) -> None:
    for name in ("a", "b"):
        cache.put(name, name.encode(), ticket=cache.ticket())
    cache.evict("a")
    assert (cache.get("a"), cache.get("b")) == (None, b"b")


def test_a_key_fetched_before_an_eviction_is_not_kept_after_it(cache: BoundedCache[str, bytes]) -> None:
    ticket = cache.ticket()
    cache.evict("a")
    cache.put("a", b"key", ticket=ticket)
    assert cache.get("a") is None
    ticket = cache.ticket()
    cache.clear()
    cache.put("a", b"key", ticket=ticket)
    assert cache.get("a") is None


def test_the_number_of_keys_is_bounded_and_the_least_used_leaves(cache: BoundedCache[str, bytes]) -> None:
    for number in range(10_000):
        cache.put(str(number), b"key", ticket=cache.ticket())
    cache.get("0")
    cache.put("one more", b"key", ticket=cache.ticket())
    assert (cache.get("0"), cache.get("1")) == (b"key", None)
