"""Break-glass while it stands: on every page a banner says that records of single people are open, whose, and how long.

It is found among the proposals that were carried out, so it shows in every tab of both people, and goes by itself.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import streamlit as st

from operator_ui import words
from operator_ui.client import SignedOut, Trouble
from operator_ui.layout import links
from operator_ui.session import api, live, may, operator
from operator_ui.views.approvals import Approval, ApprovalPage

OPEN_FOR: Final = timedelta(minutes=30)
KIND: Final = "break_glass"
ROLES: Final = ("support", "privacy_officer", "admin")
_LOOKS_AGAIN_SECONDS: Final = 5.0


def open_until(one: Approval) -> datetime | None:
    """When it closes; None where it never opened."""
    return None if one.decided_at is None or one.state != "executed" else one.decided_at + OPEN_FOR


def standing() -> list[Approval]:
    """What is open to whoever looks now."""
    me = operator().id
    page = api().read("approvals", ApprovalPage, state="executed", limit=100)
    return [
        one
        for one in page.data
        if one.kind == KIND
        and me is not None
        and me in {one.proposed_by.id, one.decided_by.id if one.decided_by else None}
        and (until := open_until(one)) is not None
        and until > words.now()
    ]


def banner() -> None:
    """The banner, on every page, while anything is open."""
    if may(*ROLES):
        _banner()


@live(_LOOKS_AGAIN_SECONDS)
def _banner() -> None:
    # Whether the API answers is said by the page below; what was open when it last did is shown on.
    with suppress(Trouble, SignedOut):
        st.session_state["standing"] = standing()
    for one in st.session_state.get("standing", []):
        until = open_until(one)
        if until is None or until <= words.now():
            continue
        with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"standing-{one.id}"):
            st.markdown(
                f":red[:material/emergency: **Break-glass is open.**] {words.plain(one.summary)}. Closes in "
                f"**{words.span(until - words.now())}**, at {words.moment(until)}. "
                "Every look is in the log, and the tenant was told.",
                width="stretch",
            )
            links(glass={"approval": one.id})
