"""Plans: how far an operator may raise a tenant's limits alone. Beyond them a second person has to agree.

A plan is a ceiling for changes, not an entitlement: a tenant has the limits that stand in its quota.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """What a tenant may use. concurrency: its jobs that run at once; None is no cap. weight: its share of a queue."""

    credits: int
    concurrency: int | None
    weight: float

    def facts(self) -> dict[str, int | float | None]:
        """As it is kept in the history."""
        return asdict(self)


STANDARD: Final = "standard"
PLANS: Final[Mapping[str, Limits]] = {
    "trial": Limits(credits=500, concurrency=2, weight=1.0),
    "standard": Limits(credits=50_000, concurrency=16, weight=4.0),
    "enterprise": Limits(credits=5_000_000, concurrency=128, weight=32.0),
}


def above(plan: str, *, before: Limits, after: Limits) -> list[str]:
    """Which limits a change raises beyond the plan. A limit that is lowered, or stays, needs nobody's consent."""
    ceiling = PLANS.get(plan, PLANS[STANDARD])
    return [
        name
        for name, most, was, becomes in (
            ("credits", ceiling.credits, before.credits, after.credits),
            ("concurrency", _places(ceiling.concurrency), _places(before.concurrency), _places(after.concurrency)),
            ("weight", ceiling.weight, before.weight, after.weight),
        )
        if becomes > most and becomes > was
    ]


def _places(concurrency: int | None) -> float:
    return float("inf") if concurrency is None else concurrency
