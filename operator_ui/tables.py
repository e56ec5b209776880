"""A table: numbers aligned, times with their zone, states in words, a page at a time, the whole of it as CSV.

Rows are lists of plain values. Nothing in a cell is read as markup: cells are drawn on a canvas, as text.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pandas as pd
import streamlit as st
from streamlit.column_config import DatetimeColumn, NumberColumn, ProgressColumn, TextColumn

from operator_ui import words
from operator_ui.client import Api
from operator_ui.layout import nothing
from operator_ui.session import api

Kind = Literal["text", "figure", "number", "time", "state", "urgency", "seconds", "share"]
MOST_EXPORTED = 10_000

_COLOURS = {
    "light": {"red": "#b3362f", "orange": "#a85a08", "green": "#2f7a4d", "blue": "#2a6496", "gray": "#5d686d"},
    "dark": {"red": "#ef8b82", "orange": "#e9a860", "green": "#7cc79a", "blue": "#86b9e2", "gray": "#a3aeb3"},
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    figure: a number that may be a word. urgency: of a date that is due. share: 0..1, drawn as a bar. seconds: a length
    of time.
    """

    title: str
    kind: Kind = "text"
    width: Literal["small", "medium", "large"] | None = None
    help: str | None = None


Row = Mapping[str, Any]


def table(
    rows: Sequence[Row],
    columns: Mapping[str, Column],
    *,
    key: str,
    alt: str,
    empty: str,
    chosen: Callable[[Row], None] | None = None,
    height: int | None = None,
) -> None:
    """Show rows. chosen: called with the row that is clicked, before the page runs again."""
    if not rows:
        nothing(empty)
        return
    frame = pd.DataFrame(
        {name: [_shown(row.get(name), column.kind) for row in rows] for name, column in columns.items()}
    )
    styled = frame.style
    for name, column in columns.items():
        if column.kind in {"state", "urgency"}:
            colours = [_colour(row.get(name), column.kind) for row in rows]
            styled = styled.apply(lambda _series, found=colours: [f"color: {one}" for one in found], subset=[name])

    def on_select() -> None:
        picked = st.session_state[key].selection.rows
        if picked and chosen is not None and picked[0] < len(rows):
            chosen(rows[picked[0]])

    common: dict[str, Any] = {
        "hide_index": True,
        "column_config": {name: _config(column) for name, column in columns.items()},
        "alt": alt,
        "key": key,
        "height": height or "auto",
        "placeholder": "–",
    }
    if chosen is None:
        st.dataframe(styled, **common)
    else:
        st.dataframe(styled, on_select=on_select, selection_mode="single-row", **common)


def export(label: str, columns: Mapping[str, Column], rows: Callable[[Api], Iterable[Row]], *, file_name: str) -> None:
    """A button that reads all rows, at most ten thousand, when it is clicked, and gives them as CSV."""
    # The file is written when it is asked for, apart from any run of the page: who asks is settled here.
    caller = api()

    def written() -> bytes:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([column.title for column in columns.values()])
        for number, row in enumerate(rows(caller)):
            if number >= MOST_EXPORTED:
                break
            writer.writerow([words.cell(_written(row.get(name))) for name in columns])
        return text.getvalue().encode("utf-8-sig")

    st.download_button(
        label,
        written,
        file_name=f"{file_name}-{words.now():%Y%m%d-%H%M}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"csv-{file_name}",
    )


class Pager:
    """Where a list stands: the cursors of the pages before. A change of filter begins again at the first page."""

    def __init__(self, key: str, *filters: object) -> None:
        self._key = f"pager-{key}"
        kept = st.session_state.get(self._key)
        if kept is None or kept["filters"] != filters:
            st.session_state[self._key] = {"filters": filters, "cursors": [None]}

    @property
    def cursor(self) -> str | None:
        """The cursor of this page."""
        found: str | None = st.session_state[self._key]["cursors"][-1]
        return found

    def controls(self, following: str | None, *, shown: int) -> None:
        """Newer and older, where there are such pages."""
        cursors: list[str | None] = st.session_state[self._key]["cursors"]
        if following is None and len(cursors) == 1:
            return
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Newer", icon=":material/chevron_left:", key=f"{self._key}-newer", disabled=len(cursors) == 1,
                on_click=_back, args=(cursors,),
            )  # fmt: skip
            st.button(
                "Older", icon=":material/chevron_right:", key=f"{self._key}-older", disabled=following is None,
                on_click=cursors.append, args=(following,),
            )  # fmt: skip
            st.caption(f"Page {len(cursors)} · {words.counted(shown, 'row')}")


def _back(cursors: list[str | None]) -> None:
    cursors.pop()


def _shown(value: Any, kind: Kind) -> Any:
    match kind:
        case "state":
            return words.state(str(value)) if value else None
        case "urgency":
            return value.badge if isinstance(value, words.Urgency) else None
        case "seconds":
            return words.span(value) if value is not None else None
        case "share":
            return None if value is None else round(100 * value)
        case "time" | "number":
            return value
        case _:
            return None if value is None else str(value)


def _colour(value: Any, kind: Kind) -> str:
    tone = value.tone if kind == "urgency" and isinstance(value, words.Urgency) else words.tone(str(value))
    return _COLOURS["dark" if st.context.theme.type == "dark" else "light"][tone]


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.text if isinstance(value, words.Urgency) else value


def _config(column: Column) -> Any:
    label, width, said = column.title, column.width, column.help
    match column.kind:
        case "number":
            return NumberColumn(label, width=width, help=said, format="localized")
        case "time":
            return DatetimeColumn(f"{label} (UTC)", width=width, help=said, format="D MMM YYYY, HH:mm", timezone="UTC")
        case "share":
            return ProgressColumn(label, width=width, help=said, min_value=0, max_value=100, format="%d%%")
        case "figure" | "seconds":
            return TextColumn(label, width=width, help=said, alignment="right")
        case _:
            return TextColumn(label, width=width, help=said)
