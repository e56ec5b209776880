"""Results as JSON for machines, Markdown for readers, and a picture per benchmark."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.bench.measure import Result, as_json, from_json

_OURS, _PEER, _INK = "#1f6f5c", "#b8b2a7", "#2b2b2b"
_WIDE = 200  # times: beyond it, a shorter bar could not be seen beside the longest


def write(results: Sequence[Result], folder: Path, *, machine: dict[str, Any], name: str) -> list[Path]:
    """Write everything. What an earlier run found of other benchmarks stays, with the machine that it was found on.

    Args:
        results: of one run.
        folder: made if it is not there.
        machine: what the figures were taken on.
        name: of the JSON and Markdown files.

    Returns:
        the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data, table = folder / f"{name}.json", folder / f"{name}.md"
    fresh = [replace(result, machine=machine) for result in results]
    earlier = json.loads(data.read_text(encoding="utf-8"))["results"] if data.exists() else []
    kept = [from_json(each) for each in earlier if each["id"] not in {result.id for result in fresh}]
    together = sorted([*kept, *fresh], key=_place)
    data.write_text(json.dumps({"results": [as_json(each) for each in together]}, indent=2) + "\n", encoding="utf-8")
    table.write_text(markdown(together), encoding="utf-8")
    charts = [_chart(result, folder / f"{result.id}.png") for result in results if result.series]
    return [data, table, *charts]


def markdown(results: Sequence[Result]) -> str:
    """Results as a page."""
    parts = ["# Benchmarks", ""]
    for result in results:
        parts += [f"## {result.id} · {result.title}", ""]
        if result.series:
            parts += [f"| | min, {result.unit} | median, {result.unit} |", "| --- | ---: | ---: |"]
            parts += [f"| {each.name} | {_figure(each.low, 4)} | {_figure(each.middle, 4)} |" for each in result.series]
            parts += [""]
        if result.ratios:
            parts += ["| ratio | median | spread | to reach | |", "| --- | ---: | ---: | ---: | --- |"]
            for ratio in result.ratios:
                bound = ("≤ " if ratio.at_most else "≥ ") + f"{ratio.target:g}"
                spread = f"{_figure(min(ratio.values), 3)} to {_figure(max(ratio.values), 3)}"
                verdict = "reached" if ratio.reached else "short"
                parts += [f"| {ratio.name} | {_figure(ratio.middle, 3)} | {spread} | {bound} | {verdict} |"]
            parts += [""]
        parts += [*(f"- {note}" for note in result.notes), ""]
        if result.machine:
            parts += ["Taken on: " + " · ".join(f"{key} {value}" for key, value in result.machine.items()) + ".", ""]
        if result.series:
            parts += [f"![{result.id}]({result.id}.png)", ""]
    return "\n".join(parts).rstrip() + "\n"


def _place(result: Result) -> tuple[str, int, str]:
    """C2 before C13."""
    letter, number, rest = re.match(r"(\D*)(\d*)(.*)", result.id).groups()  # type: ignore[union-attr]  # matches all
    return letter, int(number or 0), rest


def _figure(value: float, digits: int) -> str:
    """So many significant digits, as people write them: thousands apart, never an exponent."""
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def _chart(result: Result, path: Path) -> Path:
    """Horizontal bars: the median, with a dot for each turn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 0.9 + 0.5 * len(result.series)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, series in enumerate(reversed(result.series)):
        ours = series.name.startswith("Likeness")
        axes.barh(place, series.middle, color=_OURS if ours else _PEER, height=0.6)
        axes.plot(series.values, [place] * len(series.values), "o", color=_INK, markersize=3, alpha=0.7)
    axes.set_yticks(range(len(result.series)), [series.name for series in reversed(result.series)])
    middles = [series.middle for series in result.series]
    if max(middles) > _WIDE * min(middles):
        axes.set_xscale("log")
    axes.set_xlabel(result.unit)
    axes.set_title(f"{result.id} · {result.title}", loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    return path
