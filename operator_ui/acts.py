"""Doing something: what came of it is said at the top of the page, and stays until the next act.

An act that needs two people comes back as a proposal. Then nothing has happened yet, and that is what is said.
"""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from operator_ui.client import Answer
from operator_ui.session import api, troubles
from operator_ui.words import moment, plain

_SAID = "what-came-of-it"


def act(
    method: str,
    path: str,
    *,
    done: str,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    rerun: bool = True,
) -> Answer | None:
    """Do it, and run the page again so that it shows how things stand now. None: it was refused, and said so here."""
    with troubles():
        answer = api().act(method, path, body=body, headers=headers)
        proposal = answer.proposal
        if proposal is None:
            say(done)
        else:
            say(
                f"Nothing has changed yet: this needs a second person. The proposal "
                f"({proposal.summary or proposal.kind}) waits under Approvals until {moment(proposal.expires_at)}.",
                waits=True,
            )
        if rerun:
            st.rerun()
        return answer
    return None


def seen_version(key: str, version: int, *, what: str, stands: str) -> int:
    """The version that a form was opened on, which its change will name.

    Where somebody else changed it since, that is said, and the operator goes on from there with a click: what they
    typed stays. key: of the form, in the session's state. stands: how it is now, in a few words.
    """
    seen: int = st.session_state.setdefault(f"{key}-version", version)
    if seen == version:
        return seen
    with st.container(border=True):
        st.warning(
            f"Somebody changed {what} meanwhile: version {version} stands now, and you saw version {seen}. "
            f"Now: {plain(stands)}. What you typed is kept; decide again.",
            icon=":material/sync_problem:",
        )
        if st.button("I have seen it, go on from there", key=f"{key}-go-on"):
            st.session_state[f"{key}-version"] = version
            st.rerun()
    return seen


def say(text: str, *, waits: bool = False) -> None:
    """Leave word for the next run of the page."""
    st.session_state[_SAID] = (text, waits)


def said() -> None:
    """Show the word that was left, once."""
    found = st.session_state.pop(_SAID, None)
    if found is None:
        return
    text, waits = found
    if waits:
        st.info(plain(text), icon=":material/group:")
    else:
        st.success(plain(text), icon=":material/check:")
