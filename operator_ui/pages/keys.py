"""*Keys*: what is sealed under what, how old is it, and does the provider answer?"""

from typing import Final

import streamlit as st

from operator_ui import acts, filters, words
from operator_ui.layout import Figure, figures, heading, nothing, roles, section
from operator_ui.session import api, live, may
from operator_ui.tables import Column, table
from operator_ui.views.keys import Keys, Provider

_PAGE = "keys"
_PURPOSES: Final = {"kek": "Wraps people's keys", "index": "Finds by reference", "secrets": "Signs webhooks"}


def show() -> None:
    """The page."""
    heading("Keys", "What is sealed under what, how old is it, and does the provider answer? No key is shown anywhere.")
    acts.said()
    names = filters.tenants()
    _provider()
    if not names:
        nothing("There is no tenant yet.")
        return
    chosen = filters.choose("tenant", "Tenant", names, every=None, page=_PAGE)
    _hierarchy(chosen)
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.popover("Rotate …", icon=":material/sync:", disabled=not may("admin")):
            st.write("A new version wraps everything from now on; keys of people move over in the background.")
            if st.button("Rotate the tenant's key", type="primary", key="rotate"):
                acts.act("POST", f"tenants/{chosen}/keys/rotate", done="The tenant has a new key version.")
        roles("admin")


@live(10.0)
def _provider() -> None:
    provider = api().read("keys", Provider)
    well = provider.state == "ok"
    figures(
        (
            Figure("Key provider", words.state("well" if well else "down"), bad=not well,
                   note="answers" if well else "nothing sealed opens"),
            Figure("Answers within", words.span((provider.milliseconds or 0) / 1000) if well else "–",
                   "wrap, unwrap, look"),
            Figure("Opened keys", "Kept a while" if provider.caching else "Not kept",
                   "shreds are heard of" if provider.caching else "shreds may go unheard"),
        )
    )  # fmt: skip


@live(5.0)
def _hierarchy(tenant: str) -> None:
    keys = api().read(f"keys/{tenant}", Keys)
    section("Hierarchy", "Root key → tenant key, versioned → one random key a person → one random key an object.")
    table(
        [
            {
                "what": _PURPOSES.get(version.purpose, version.purpose),
                "version": version.version,
                "state": version.state,
                "under": version.under,
                "age": words.span(version.age_days * 86_400) if version.age_days >= 1 else "under a day",
                "created": version.created_at,
                "subjects": version.subjects,
            }
            for version in keys.versions
        ],
        {
            "what": Column("Key", width="medium"),
            "version": Column("Version", "number"),
            "state": Column("State", "state"),
            "under": Column("Wrapped under"),
            "age": Column("Age", "figure"),
            "created": Column("Made", "time"),
            "subjects": Column("People's keys", "number"),
        },
        key="keys-versions",
        alt="Versions of the tenant's keys",
        empty="This tenant has no keys.",
    )
    rotation = keys.rotation
    if rotation.state == "idle":
        nothing(
            "No rotation is under way.", f"{words.counted(rotation.total, 'key')} of people under the newest version."
        )
    else:
        st.progress(
            min(1.0, rotation.share),
            text=f"Rotation: {rotation.moved:,} of {rotation.total:,} keys have moved to the newest version.",
        )
