"""Filters that live in the address: what is chosen can be reloaded, kept as a bookmark, and sent to a colleague."""

from collections import Counter
from collections.abc import Callable, Mapping

import streamlit as st

from operator_ui.session import api
from operator_ui.views.tenants import TenantPage

MOST_TENANTS = 1000


def kept(name: str) -> str:
    """What the address says; empty when it says nothing."""
    return str(st.query_params.get(name, ""))


def keep(name: str, value: str) -> None:
    """Put it into the address, or take it out."""
    if value:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)


def apart(options: Mapping[str, str]) -> dict[str, str]:
    """The options with no two labels alike: of equal ones Streamlit takes the first, whichever was meant."""
    twice = {label for label, count in Counter(options.values()).items() if count > 1}
    return {value: f"{label} · …{value[-6:]}" if label in twice else label for value, label in options.items()}


def choose(name: str, label: str, options: Mapping[str, str], *, every: str | None = "All", page: str) -> str:
    """One of these; empty is all of them. every: the word for all, None where one must be chosen."""
    values = ([""] if every is not None else []) + list(options)
    labels = apart(options)
    key = f"{page}-{name}"

    def changed() -> None:
        keep(name, st.session_state[key])

    if key not in st.session_state:
        named = kept(name)
        st.session_state[key] = named if named in values else (values[0] if values else "")
    found = st.selectbox(
        label, values, key=key, on_change=changed, format_func=lambda value: labels.get(value, every or "")
    )
    return found or ""


def typed(name: str, label: str, *, page: str, placeholder: str = "", help: str | None = None) -> str:  # noqa: A002 (Streamlit's word)
    """A text, an id for the most part."""
    key = f"{page}-{name}"

    def changed() -> None:
        keep(name, st.session_state[key].strip())

    if key not in st.session_state:
        st.session_state[key] = kept(name)
    found: str = st.text_input(label, key=key, on_change=changed, placeholder=placeholder, help=help)
    return found.strip()


def opener(name: str, *, page: str) -> Callable[[str], None]:
    """What a click on a row calls: opens this id on the page, as if it had been typed."""

    def open_it(value: str) -> None:
        st.session_state[f"{page}-{name}"] = value
        keep(name, value)

    return open_it


def tenants() -> dict[str, str]:
    """The tenants by id, each with its name, in the order of the names."""
    found = {
        one.tenant.id: one.tenant.name
        for page in api().every("tenants", TenantPage, most=MOST_TENANTS)
        for one in page.data
    }
    return dict(sorted(found.items(), key=lambda pair: pair[1].lower()))
