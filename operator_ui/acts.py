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
