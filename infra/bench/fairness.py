"""C7: one tenant with 10,000 requests, ten with 10 each, through the engine's own line, against first in, first out.

Time is counted in steps of the batch, so nothing here depends on the machine but the cost of a decision.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random
from time import perf_counter

import numpy as np

from infra.bench.engine import FULL, Bench
from infra.bench.measure import Ratio, Result, Series, percentile
from worker.engine.line import Line
from worker.engine.request import PaintRequest

HEAVY, LIGHT, EACH, ROWS = "heavy", 10, 10, 8
_STEPS = (8, 20, 30, 50)


def c7_fairness(bench: Bench) -> Result:
    """Every request waits at the start, the heavy tenant's in front."""
    backlog = 10_000 if bench.scale.size == FULL.size else 500
    rng = Random(7)  # noqa: S311 - a workload, not a secret
    requests = [_request(HEAVY, rng.choice(_STEPS)) for _ in range(backlog)]
    requests += [_request(f"light {n % LIGHT}", rng.choice(_STEPS)) for n in range(LIGHT * EACH)]
    fair, lead, microseconds = _fair(requests)
    first = _first_in_first_out(requests)
    light = [number for number, request in enumerate(requests) if request.tenant != HEAVY]
    waits = {name: [ended[number] for number in light] for name, ended in (("fair", fair), ("first", first))}
    p99 = {name: float(percentile(each, 0.99)) for name, each in waits.items()}
    _, _, short = _fair(requests[backlog - backlog // 100 :])
    return Result(
        id="C7",
        title=f"one tenant with {backlog:,} requests, {LIGHT} with {EACH} each: when the light ones are done",
        unit="steps of the batch, p99",
        series=(Series("Likeness", (p99["fair"],)), Series("first in, first out", (p99["first"],))),
        ratios=(
            Ratio("first in, first out / Likeness, p99 of the light tenants", (p99["first"] / p99["fair"],), 2.0),
            Ratio("largest lead of one tenant over another / the bound", (lead,), 1.0, at_most=True),
        ),
        notes=(
            f"{microseconds:.0f} µs to choose who goes in with {backlog:,} waiting, {short:.0f} µs with a hundredth.",
            "The lead is in work given to tenants that both wait; the bound is the sum of their largest requests.",
        ),
    )


def _request(tenant: str, steps: int) -> PaintRequest:
    blank = np.zeros((8, 8, 3), np.uint8)
    return PaintRequest(
        picture=blank,
        mask=blank[..., 0],
        prompt="",
        negative_prompt="",
        steps=steps,
        guidance=1.0,
        strength=1.0,
        seed=0,
        tenant=tenant,
    )


def _fair(requests: list[PaintRequest]) -> tuple[dict[int, int], float, float]:
    """When each is done, the largest lead over its bound, and microseconds per decision."""
    line: Line[int] = Line(slots_each=ROWS)
    for number, request in enumerate(requests):
        line.join(request, number)
    left = Counter(request.tenant for request in requests)
    given: defaultdict[str, float] = defaultdict(float)
    largest = max(request.cost for request in requests)
    light = {number for number, request in enumerate(requests) if request.tenant != HEAVY}
    spent, decisions, lead = 0.0, 0, 0.0
    ended: dict[int, int] = {}
    inside: list[tuple[int, int]] = []
    for tick in _ticks():
        held = Counter(requests[number].tenant for number, _ in inside)
        began = perf_counter()
        chosen = line.admit(free=ROWS - len(inside), held=held, ready=lambda _: True)
        spent, decisions = spent + perf_counter() - began, decisions + 1
        for number in chosen:
            given[requests[number].tenant] += requests[number].cost
            left[requests[number].tenant] -= 1
        backlogged = [given[tenant] for tenant, count in left.items() if count]
        if len(backlogged) > 1:
            lead = max(lead, (max(backlogged) - min(backlogged)) / (2 * largest))
        inside = _stepped(inside + [(number, requests[number].steps) for number in chosen], ended, tick)
        # The light tenants are what is measured; the rest of the backlog would only repeat itself.
        if not light - ended.keys():
            break
    return ended, lead, 1e6 * spent / decisions


def _first_in_first_out(requests: list[PaintRequest]) -> dict[int, int]:
    ended: dict[int, int] = {}
    inside: list[tuple[int, int]] = []
    waiting = iter(enumerate(requests))
    for tick in _ticks():
        while len(inside) < ROWS and (following := next(waiting, None)) is not None:
            inside.append((following[0], following[1].steps))
        if not inside:
            break
        inside = _stepped(inside, ended, tick)
    return ended


def _stepped(inside: list[tuple[int, int]], ended: dict[int, int], tick: int) -> list[tuple[int, int]]:
    ended |= {number: tick for number, steps in inside if steps == 1}
    return [(number, steps - 1) for number, steps in inside if steps > 1]


def _ticks() -> Iterator[int]:
    tick = 0
    while True:
        tick += 1
        yield tick
