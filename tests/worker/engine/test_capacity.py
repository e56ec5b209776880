"""The cap on rows: fitted, shrunk, grown back."""

import pytest
import torch

from worker.engine.capacity import MIN_CAP, ROWS_TRIED, Cap, fit, measure


def test_the_fit_finds_what_a_pass_and_a_row_cost() -> None:
    found = fit([(rows, 0.030 + 0.002 * rows) for rows in ROWS_TRIED])
    assert found.a == pytest.approx(0.030)
    assert found.b == pytest.approx(0.002)


def test_the_cap_is_where_nine_tenths_of_the_throughput_are_had() -> None:
    found = fit([(rows, 0.030 + 0.015 * rows) for rows in ROWS_TRIED])
    cap = found.cap(64)
    assert cap == 18
    throughput = cap / (found.a + found.b * cap)
    assert throughput >= 0.9 / found.b
    assert found.cap(12) == 12


def test_where_batching_gains_nothing_short_requests_still_get_slots() -> None:
    assert fit([(rows, 0.1 * rows) for rows in ROWS_TRIED]).cap(64) == MIN_CAP


def test_measuring_stops_where_memory_does() -> None:
    tried: list[int] = []

    def run(rows: int) -> None:
        tried.append(rows)
        if rows > 2:
            raise torch.OutOfMemoryError

    found = measure(run, device=torch.device("cpu"), most=64)
    assert [rows for rows, _ in found.points] == [1, 2]
    assert max(tried) == 4


def test_a_cap_shrinks_at_once_and_grows_back_with_time() -> None:
    cap = Cap(16)
    cap.shrink(16)
    assert cap.rows == 8
    for _ in range(10_000):
        cap.worked()
    assert cap.rows == 16
    for _ in range(10):
        cap.shrink(cap.rows)
    assert cap.rows == 1
