"""Figures that can be trusted: turns taken fairly, ratios turn by turn, verdicts by the median."""

from pathlib import Path

from infra.bench.measure import Ratio, Result, Series, as_json, percentile, ratios, take_turns
from infra.bench.report import markdown, write


def test_contestants_take_turns_and_the_first_round_is_not_counted() -> None:
    played: list[str] = []

    def contestant(name: str) -> float:
        played.append(name)
        return float(len(played))

    series = take_turns({"a": lambda: contestant("a"), "b": lambda: contestant("b")}, 2)
    assert played == ["a", "b", "b", "a", "a", "b"]
    assert series["a"].values == (4.0, 5.0)
    assert series["b"].values == (3.0, 6.0)


def test_ratios_are_taken_within_a_turn() -> None:
    """So that a machine that slows down between turns does not show in them."""
    assert ratios(Series("a", (2.0, 20.0)), Series("b", (1.0, 10.0))) == (2.0, 2.0)


def test_percentiles_are_of_values_that_were_seen() -> None:
    values = [float(value) for value in range(100)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([3.0], 0.99) == 3


def test_a_target_that_is_missed_says_so() -> None:
    result = Result(
        "C0",
        "nothing",
        "s",
        (Series("Likeness", (1.0, 2.0, 3.0)),),
        (Ratio("fast", (1.0, 1.1, 9.0), 2.0), Ratio("small", (1.0,), 2.0, at_most=True)),
    )
    data = as_json(result)
    assert [ratio["reached"] for ratio in data["ratios"]] == [False, True]
    page = markdown([result])
    assert "| fast | 1.1 | 1 to 9 | ≥ 2 | short |" in page
    assert "| small | 1 | 1 to 1 | ≤ 2 | reached |" in page
    assert "| Likeness | 1 | 2 |" in page


def test_a_later_run_keeps_what_an_earlier_one_found_of_other_benchmarks(tmp_path: Path) -> None:
    def of(name: str, value: float) -> Result:
        return Result(name, "title", "s", (Series("Likeness", (value, value)),), (Ratio("twice", (value,), 2.0),))

    write([of("C13", 1.5), of("C2", 12_345.6)], tmp_path, machine={"cores": 2}, name="engine")
    write([of("C13", 2.5)], tmp_path, machine={"cores": 8}, name="engine")
    page = (tmp_path / "engine.md").read_text(encoding="utf-8")
    assert page.index("## C2 ·") < page.index("## C13 ·")
    assert "| Likeness | 12,346 | 12,346 |" in page
    assert "| Likeness | 2.5 | 2.5 |" in page
    assert "| 1.5 |" not in page
    assert page.index("cores 2.") < page.index("## C13 ·") < page.index("cores 8.")
