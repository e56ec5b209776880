"""Charts, in one palette and with one voice. Each says in words what it shows, for whoever does not see it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from operator_ui.theme import BLUE, GRAY, SERIES

_TIME = alt.Axis(title=None, format="%-d %b", labelOverlap="greedy", tickCount=8, grid=False)
_HOUR = alt.Axis(title=None, format="%H:%M", labelOverlap="greedy", tickCount=8, grid=False)


def _y(field: str, title: str, values: Iterable[float], *, step: float = 0, **more: Any) -> alt.Y:
    """An axis upwards from zero, its numbers in full or, from ten thousand on, with k and M. step: between two marks.

    Where there is nothing but zeros it goes to one: an axis without a length is labelled NaN.
    """
    most = max(values, default=0)
    written = ",~f" if most < 10_000 else "~s"  # noqa: PLR2004 (five figures take too much room)
    scale = alt.Scale(zero=True) if most else alt.Scale(domain=[0, 1])
    axis = alt.Axis(tickCount=4, format=written, tickMinStep=step)
    return alt.Y(f"{field}:Q", title=title, axis=axis, scale=scale, **more)


def hours(
    rows: Sequence[Mapping[str, Any]], *, at: str, series: Mapping[str, str], unit: str, said: str, height: int = 200
) -> None:
    """Bars per hour, stacked. series: field to name, in the order of the stack."""
    _bars(
        rows, at=at, series=series, unit=unit, said=said, height=height, axis=_HOUR, time_unit="utcyearmonthdatehours"
    )


def days(
    rows: Sequence[Mapping[str, Any]], *, at: str, series: Mapping[str, str], unit: str, said: str, height: int = 200
) -> None:
    """Bars per day, stacked."""
    _bars(rows, at=at, series=series, unit=unit, said=said, height=height, axis=_TIME, time_unit="utcyearmonthdate")


def _bars(
    rows: Sequence[Mapping[str, Any]],
    *,
    at: str,
    series: Mapping[str, str],
    unit: str,
    said: str,
    height: int,
    axis: alt.Axis,
    time_unit: Any,
) -> None:
    long = [
        {"at": row[at], "series": name, "value": row.get(field, 0)} for row in rows for field, name in series.items()
    ]
    names = list(series.values())
    colour = alt.Color(
        "series:N",
        sort=names,
        scale=alt.Scale(domain=names, range=list(SERIES[: len(names)])),
        legend=alt.Legend(orient="top", title=None) if len(names) > 1 else None,
    )
    chart = (
        alt.Chart(pd.DataFrame(long))
        .mark_bar(cornerRadiusTopLeft=1, cornerRadiusTopRight=1)
        .encode(
            x=alt.X("at:T", timeUnit=time_unit, axis=axis, scale=alt.Scale(type="utc")),
            y=_y("value", unit, (row["value"] for row in long), step=1, stack="zero"),
            color=colour,
            tooltip=[
                alt.Tooltip("at:T", title="UTC", format="%-d %b %Y, %H:%M"),
                alt.Tooltip("series:N", title="What"),
                alt.Tooltip("value:Q", title=unit, format=","),
            ],
        )
        .properties(height=height)
    )
    st.altair_chart(chart, alt=said)


def ranked(rows: Sequence[tuple[str, float]], *, unit: str, said: str, colours: Sequence[str] | None = None) -> None:
    """Horizontal bars, longest first, each with its number."""
    frame = pd.DataFrame(
        [
            {"name": name, "value": value, "colour": colours[at] if colours else BLUE}
            for at, (name, value) in enumerate(rows)
        ]
    )
    order = [name for name, _ in rows]
    whole = all(float(value).is_integer() for _, value in rows)
    y = alt.Y(
        "name:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, labelOverlap=False, ticks=False, domain=False)
    )
    base = alt.Chart(frame).encode(y=y)
    bars = base.mark_bar(height={"band": 0.62}, cornerRadiusEnd=2).encode(
        x=alt.X(
            "value:Q", title=unit, axis=alt.Axis(tickCount=4, format="~s", grid=True, tickMinStep=1 if whole else 0)
        ),
        color=alt.Color("colour:N", scale=None),
        tooltip=[alt.Tooltip("name:N", title="What"), alt.Tooltip("value:Q", title=unit, format=",")],
    )
    numbers = base.mark_text(align="left", dx=4, color=GRAY).encode(x="value:Q", text=alt.Text("value:Q", format=","))
    st.altair_chart((bars + numbers).properties(height=34 * len(rows) + 64), alt=said)


def lines(
    rows: Sequence[Mapping[str, Any]],
    *,
    x: str,
    series: Mapping[str, str],
    unit: str,
    said: str,
    dashed: frozenset[str] = frozenset(),
    limit: tuple[float, str] | None = None,
    height: int = 220,
) -> None:
    """Lines over time. dashed: what is expected rather than known. limit: a level with its name."""
    long = [
        {"at": row[x], "series": name, "value": row[field], "dash": name in dashed}
        for row in rows
        for field, name in series.items()
        if row.get(field) is not None
    ]
    names = list(series.values())
    chart: Any = (
        alt.Chart(pd.DataFrame(long))
        .mark_line(strokeWidth=2, interpolate="monotone")
        .encode(
            x=alt.X("at:T", axis=_TIME, scale=alt.Scale(type="utc")),
            y=_y("value", unit, (row["value"] for row in long)),
            color=alt.Color(
                "series:N",
                scale=alt.Scale(domain=names, range=list(SERIES[: len(names)])),
                legend=alt.Legend(orient="top", title=None) if len(names) > 1 else None,
            ),
            strokeDash=alt.StrokeDash(
                "dash:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [5, 4]]), legend=None
            ),
            tooltip=[
                alt.Tooltip("at:T", title="Day", format="%-d %b %Y"),
                alt.Tooltip("series:N", title="What"),
                alt.Tooltip("value:Q", title=unit, format=","),
            ],
        )
    )
    if limit is not None:
        level, name = limit
        marked = pd.DataFrame([{"level": level, "name": name}])
        rule = alt.Chart(marked).mark_rule(strokeDash=[2, 3], color=GRAY).encode(y="level:Q")
        label = alt.Chart(marked).mark_text(align="left", dx=4, dy=-6, color=GRAY).encode(
            y="level:Q", x=alt.value(0), text="name:N"
        )  # fmt: skip
        chart = chart + rule + label
    st.altair_chart(chart.properties(height=height), alt=said)


def curve(
    rows: Sequence[Mapping[str, Any]], *, x: str, y: str, x_title: str, y_title: str, mark: float | None, said: str
) -> None:
    """A curve over a number, with a line at the value that is chosen."""
    frame = pd.DataFrame([{"x": row[x], "y": row[y]} for row in rows])
    chart: Any = (
        alt.Chart(frame)
        .mark_area(line={"color": BLUE, "strokeWidth": 2}, color=BLUE, opacity=0.18, interpolate="step-after")
        .encode(
            x=alt.X("x:Q", title=x_title, axis=alt.Axis(tickCount=8, format="~s", grid=False)),
            y=_y("y", y_title, (row[y] for row in rows)),
            tooltip=[
                alt.Tooltip("x:Q", title=x_title, format=","),
                alt.Tooltip("y:Q", title=y_title, format=","),
            ],
        )
    )
    if mark is not None:
        rule = alt.Chart(pd.DataFrame([{"x": mark}])).mark_rule(color=SERIES[1], strokeWidth=2).encode(x="x:Q")
        chart = chart + rule
    st.altair_chart(chart.properties(height=220), alt=said)
