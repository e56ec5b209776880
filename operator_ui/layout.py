"""What every page is made of: a heading that says which question it answers, figures in a row, empty states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st
from streamlit.navigation.page import Page

from operator_ui import words
from operator_ui.session import needs
from operator_ui.words import plain

_ACROSS: Final = 4  # the look has the grid: `lk-figures-4-…` in theme.py


@dataclass(frozen=True, slots=True)
class Figure:
    """One number at a glance. hint: what it counts."""

    label: str
    value: str
    note: str = ""
    hint: str = ""
    bad: bool = False


def heading(title: str, question: str) -> None:
    """The page's name and the question that it answers."""
    st.title(title, anchor=False)
    st.caption(question)


def figures(row: Sequence[Figure]) -> None:
    """Figures in one even grid: four side by side, or as many as there are; two on a phone."""
    across = min(_ACROSS, len(row))
    with st.container(horizontal=True, gap="small", key=f"lk-figures-{across}-{words.slug(row[0].label)}"):
        for figure in row:
            st.metric(
                figure.label,
                figure.value,
                delta=figure.note or None,
                delta_color="red" if figure.bad else "off",
                delta_arrow="off",
                help=figure.hint or None,
                border=True,
                width="stretch",
                height="stretch",
            )


def nothing(said: str, then: str = "") -> None:
    """An empty state: why there is nothing here, and what to do if that is a surprise."""
    with st.container(border=True):
        st.markdown(f":material/check_circle: {plain(said)}" + (f"  \n:gray[{plain(then)}]" if then else ""))


def links(**pages: Mapping[str, str]) -> None:
    """Ways to other pages, which open at once and in this tab. pages: the place of each, and its query."""
    known: Mapping[str, Page] = st.session_state["pages"]
    with st.container(horizontal=True, gap="medium"):
        for path, query in pages.items():
            st.page_link(known[path], query_params=dict(query))


def section(title: str, note: str = "") -> None:
    """A heading inside a page."""
    st.subheader(title, anchor=False)
    if note:
        st.caption(note)


def roles(*allowed: str) -> None:
    """Say beside an action whose it is."""
    st.caption(f":material/badge: {needs(*allowed)}.")
