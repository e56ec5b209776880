"""Who goes next."""

from collections import Counter
from itertools import pairwise

from tests.worker.engine.orders import request
from worker.engine.line import LOOK_AHEAD, MAX_PASSED, Line
from worker.engine.request import PaintRequest

NOBODY: Counter[str] = Counter()


def line_of(*requests: PaintRequest, slots_each: int = 100) -> Line[int]:
    line: Line[int] = Line(slots_each)
    for number, asked in enumerate(requests):
        line.join(asked, number)
    return line


def admit(line: Line[int], free: int, held: Counter[str] = NOBODY) -> list[int]:
    return line.admit(free=free, held=held, ready=lambda _: True)


def small(tenant: str = "", tag: float = 0.0) -> PaintRequest:
    return request(tenant=tenant, fair_tag=tag, guidance=1.0)


def big(tenant: str = "", tag: float = 0.0) -> PaintRequest:
    return request(tenant=tenant, fair_tag=tag)


def test_the_fair_tag_leads() -> None:
    assert admit(line_of(small(tag=3), small(tag=1), small(tag=2)), 2) == [1, 2]


def test_a_thousand_of_one_tenant_do_not_stand_before_one_of_another() -> None:
    line = line_of(*[small("heavy") for _ in range(1000)], small("light"))
    assert 1000 in admit(line, 2)


def test_tenants_share_by_cost_within_the_fair_queueing_bound() -> None:
    """Golestani's and Goyal's bound for equal weights: |W_a - W_b| ≤ the largest request of each."""
    heavy = [request(tenant="a", steps=40, guidance=1.0) for _ in range(60)]
    light = [request(tenant="b", steps=10, guidance=1.0) for _ in range(240)]
    line = line_of(*heavy, *light)
    work: Counter[str] = Counter()
    requests = [*heavy, *light]
    for _ in range(200):
        (number,) = admit(line, 1)
        work[requests[number].tenant] += int(requests[number].cost)
        assert abs(work["a"] - work["b"]) <= heavy[0].cost + light[0].cost


def test_an_idle_tenant_saves_up_no_turn() -> None:
    line = line_of(*[small("busy") for _ in range(50)])
    for _ in range(40):
        admit(line, 1)
    for number in range(100, 120):
        line.join(small("late"), number)
    order = [admit(line, 1)[0] for _ in range(20)]
    # Turn about from now on, not twenty in a row.
    assert all(a < 100 or b < 100 for a, b in pairwise(order))


def test_a_tenant_holds_no_more_than_its_slots_while_others_wait() -> None:
    line = line_of(small("a"), small("a"), small("a"), small("b"), slots_each=2)
    assert sorted(admit(line, 8)) == [0, 1, 3]
    assert admit(line, 8, Counter(a=2, b=1)) == []
    assert admit(line, 8, Counter(a=1, b=1)) == [2]


def test_a_tenant_alone_may_have_everything() -> None:
    assert len(admit(line_of(*[small("a") for _ in range(8)], slots_each=2), 8)) == 8


def test_one_that_does_not_fit_is_passed_a_bounded_number_of_times() -> None:
    line = line_of(big(tag=0), *[small(tag=1) for _ in range(20)])
    passed = 0
    while chosen := admit(line, 1):
        passed += len(chosen)
    assert passed == MAX_PASSED
    # From here on slots are held for it, and it is the next to go.
    assert admit(line, 2)[0] == 0


def test_no_further_than_the_look_ahead_is_filled() -> None:
    line = line_of(*[big(tag=0) for _ in range(LOOK_AHEAD + 1)], small(tag=1))
    assert admit(line, 1) == []


def test_one_that_is_not_encoded_yet_is_overtaken_and_loses_nothing() -> None:
    line = line_of(small(tag=0), small(tag=1))
    for _ in range(MAX_PASSED + 1):
        assert line.admit(free=1, held=NOBODY, ready=lambda number: number == 1) in ([1], [])
    assert admit(line, 1) == [0]


def test_who_leaves_is_gone() -> None:
    line = line_of(small(), small(), small())
    assert line.leave(lambda number: number == 1) == [1]
    assert admit(line, 8) == [0, 2]
    assert len(line) == 0
