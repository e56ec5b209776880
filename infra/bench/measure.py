"""How benchmarks measure: contestants take turns in one run, so that a busy machine slows all of them alike."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

_PACKAGES = ("torch", "diffusers", "transformers", "numpy")


@dataclass(frozen=True, slots=True)
class Series:
    """One contestant's figures, in the unit of its benchmark.

    Attributes:
        name: of the contestant.
        values: one per turn.
    """

    name: str
    values: tuple[float, ...]

    @property
    def low(self) -> float:
        """The least."""
        return min(self.values)

    @property
    def middle(self) -> float:
        """The median."""
        return float(median(self.values))


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times better than a peer, turn by turn.

    Attributes:
        name: what is compared with what.
        values: one per turn.
        target: to reach.
        at_most: whether the target is an upper bound.
    """

    name: str
    values: tuple[float, ...]
    target: float
    at_most: bool = False

    @property
    def middle(self) -> float:
        """The median."""
        return float(median(self.values))

    @property
    def reached(self) -> bool:
        """Whether the median meets the target."""
        return self.middle <= self.target if self.at_most else self.middle >= self.target


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark.

    Attributes:
        id: as in the list of what is measured.
        title: what it measures.
        unit: of the series.
        series: the contestants.
        ratios: against the peers.
        notes: what a reader must know to judge the figures.
        machine: what the figures were taken on.
    """

    id: str
    title: str
    unit: str
    series: tuple[Series, ...]
    ratios: tuple[Ratio, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)
    machine: Mapping[str, Any] = field(default_factory=dict)


def take_turns(contestants: Mapping[str, Callable[[], float]], turns: int) -> dict[str, Series]:
    """Run contestants A/B/A/B, every other round in reverse, after one round that is not counted.

    Args:
        contestants: each returns its figure.
        turns: counted rounds.
    """
    values: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(turns + 1):
        order = list(contestants)[:: -1 if turn % 2 else 1]
        for name in order:
            value = contestants[name]()
            if turn:
                values[name].append(value)
    return {name: Series(name, tuple(each)) for name, each in values.items()}


def ratios(over: Series, under: Series) -> tuple[float, ...]:
    """`over` / `under`, turn by turn."""
    return tuple(a / b for a, b in zip(over.values, under.values, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of values lies, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        **{package: version(package) for package in _PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def as_json(result: Result) -> dict[str, Any]:
    """A result as plain data, medians and verdicts included."""
    data = asdict(result)
    for plain, series in zip(data["series"], result.series, strict=True):
        plain |= {"min": series.low, "median": series.middle}
    for plain, ratio in zip(data["ratios"], result.ratios, strict=True):
        plain |= {"median": ratio.middle, "reached": ratio.reached}
    return data


def from_json(data: Mapping[str, Any]) -> Result:
    """A result as `as_json` wrote it."""
    return Result(
        id=data["id"],
        title=data["title"],
        unit=data["unit"],
        series=tuple(Series(each["name"], tuple(each["values"])) for each in data["series"]),
        ratios=tuple(
            Ratio(each["name"], tuple(each["values"]), each["target"], each["at_most"]) for each in data["ratios"]
        ),
        notes=tuple(data["notes"]),
        machine=data["machine"],
    )
